-- reclaim: take over entries that nobody has renewed for the time of a lease
--
-- KEYS  jobs
-- ARGV  group, consumer, lease in ms, cursor ('0-0': from the start), most entries
-- Returns the next cursor ('0-0': all were looked at), 1 if others hold entries, else 0,
-- then for each entry: its id, its fields, how often it was delivered, this time included.
--
-- Each entry that another one holds may have to be taken over later; when nobody else
-- holds any, the next look can wait. XAUTOCLAIM of Redis 6.2 answers nil for entries that
-- were deleted, and does not list them.
local jobs, group, consumer, lease, cursor, count = KEYS[1], unpack(ARGV)

local claimed = redis.pcall('XAUTOCLAIM', jobs, group, consumer, lease, cursor, 'COUNT', count)
if is_error(claimed) then
  return claimed
end
local answer = {claimed[1], 0}
for _, holder in ipairs(redis.call('XPENDING', jobs, group)[4] or {}) do
  if holder[1] ~= consumer then
    answer[2] = 1
  end
end
for i = 1, #claimed[2] do
  local entry = claimed[2][i]
  if entry and entry[2] then
    local held = redis.call('XPENDING', jobs, group, entry[1], entry[1], 1, consumer)
    answer[#answer + 1] = {entry[1], entry[2], held[1][4]}
  end
end
return answer
