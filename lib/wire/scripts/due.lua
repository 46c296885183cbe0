-- due: which delayed jobs are due
--
-- KEYS  delayed
-- ARGV  most ids to answer
-- Returns ms until the next one after these (-1: there is none, 0: more are due now), then
-- the ids of those that are due.
--
-- A step of its own, since promote.lua needs their keys. It writes nothing.
local limit, now = tonumber(ARGV[1]), now_ms()
local next_ms = next_due_ms(KEYS[1], now)
if next_ms ~= 0 then
  return {next_ms} -- most often nothing is due, and one look tells
end
local first = redis.call('ZRANGE', KEYS[1], 0, limit, 'WITHSCORES')
local answer = {-1}

for i = 1, #first, 2 do
  local wait = wait_ms(first[i + 1], now)
  if wait > 0 or i > 2 * limit then
    answer[1] = wait
    break
  end
  answer[#answer + 1] = first[i]
end
return answer
