-- takeover: take what a consumer holds that is provably gone, without waiting for its
-- lease to end
--
-- KEYS  jobs
-- ARGV  group, consumer, the consumer that is gone, most entries
-- Returns for each entry: its id, its fields, how often it was delivered, this time
-- included. Entries that were deleted are left out (Redis 6.2 answers nil for them).
local jobs, group, consumer, gone, count = KEYS[1], unpack(ARGV)

local held = redis.pcall('XPENDING', jobs, group, '-', '+', count, gone)
if is_error(held) then
  return held
end
local answer, claim, deliveries = {}, {'XCLAIM', jobs, group, consumer, 0}, {}
for _, row in ipairs(held) do
  claim[#claim + 1] = row[1]
  deliveries[row[1]] = row[4]
end
if #held > 0 then
  local claimed = redis.call(unpack(claim))
  for i = 1, #claimed do
    local entry = claimed[i]
    if entry and entry[2] then
      answer[#answer + 1] = {entry[1], entry[2], deliveries[entry[1]] + 1}
    end
  end
end
return answer
