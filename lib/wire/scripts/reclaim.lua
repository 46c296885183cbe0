-- reclaim: take over entries that nobody has renewed for the time of a lease
--
-- KEYS  jobs
-- ARGV  group, consumer, lease in ms, cursor ('0-0': from the start), most entries
-- Returns the next cursor ('0-0': all were looked at), 1 if others hold entries, else 0,
-- then for each entry: its id, its fields, how often it was delivered, this time included.
--
-- Each entry that another daemon holds may have to be taken over later; when nobody else
-- holds any, the next look can wait. XAUTOCLAIM of Redis 6.2 answers nil for entries that
-- were deleted, and does not list them.
local jobs, group, consumer, lease, cursor, count = KEYS[1], unpack(ARGV)

-- Of what XPENDING tells: daemons that hold entries; and is anything put aside, which has no
-- lease?
local function holders(summary)
  local names, has_asides = {}, false
  for _, holder in ipairs(summary[4] or {}) do
    if is_aside(holder[1]) then
      has_asides = true
    else
      names[#names + 1] = holder[1]
    end
  end
  return names, has_asides
end

-- XAUTOCLAIM would go through what is put aside, which may be very much, and take it.
-- Instead each daemon's own entries are looked at, from the start.
local function claim_of(names)
  local claim = {'XCLAIM', jobs, group, consumer, lease}
  for _, name in ipairs(names) do
    local left = tonumber(count) - (#claim - 5)
    if left > 0 then
      local stale = redis.call('XPENDING', jobs, group, 'IDLE', lease, '-', '+', left, name)
      for _, row in ipairs(stale) do
        claim[#claim + 1] = row[1]
      end
    end
  end
  local is_full = #claim - 5 >= tonumber(count)
  return {is_full and '0-1' or '0-0', #claim > 5 and redis.pcall(unpack(claim)) or {}}
end

local summary = redis.pcall('XPENDING', jobs, group)
if is_error(summary) then
  return summary
end
local names, has_asides = holders(summary)
local claimed = has_asides and claim_of(names)
  or redis.pcall('XAUTOCLAIM', jobs, group, consumer, lease, cursor, 'COUNT', count)
if is_error(claimed) or is_error(claimed[2]) then
  return is_error(claimed) and claimed or claimed[2]
end
local answer = {claimed[1], 0}
for _, name in ipairs((holders(redis.call('XPENDING', jobs, group)))) do
  if name ~= consumer then
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
