-- take_aside: take jobs that were put aside for a handler, the oldest first
--
-- KEYS  jobs
-- ARGV  group, consumer, handler, least age in ms (by entry id), most entries
-- Returns for each entry: its id, its fields, how often it was delivered: that it was put
-- aside counts for nothing.
--
-- Who holds what is put aside goes with the last entry.
local jobs, group, consumer, handler = KEYS[1], unpack(ARGV)
local age, count = tonumber(ARGV[4]), tonumber(ARGV[5])
local aside = ASIDE .. handler

local upto = age > 0 and string.format('%.0f', now_ms() - age) or '+'
local held = redis.pcall('XPENDING', jobs, group, '-', upto, count, aside)
if is_error(held) then
  return held
elseif #held == 0 then
  if age == 0 then
    redis.pcall('XGROUP', 'DELCONSUMER', jobs, group, aside)
  end
  return held
end
local refused = begin_writing(jobs)
if refused then
  return refused
end
local claim = {'XCLAIM', jobs, group, consumer, 0}
for _, row in ipairs(held) do
  claim[#claim + 1] = row[1]
end
claim[#claim + 1] = 'JUSTID'
redis.call(unpack(claim))
local answer = {}
for _, row in ipairs(held) do
  local fields = fields_of_mine(row[1])
  if fields then
    answer[#answer + 1] = {row[1], fields, row[4]}
  end
end
if #held < count and #redis.call('XPENDING', jobs, group, '-', '+', 1, aside) == 0 then
  redis.call('XGROUP', 'DELCONSUMER', jobs, group, aside)
end
return answer
