-- leave: take a consumer off the group, unless it still holds entries
--
-- KEYS  jobs
-- ARGV  group, consumer
-- Returns 1 when it is gone, 0 when it stays: XGROUP DELCONSUMER drops what a consumer
-- holds, so look and leave must be one step.
local held = redis.pcall('XPENDING', KEYS[1], ARGV[1], '-', '+', 1, ARGV[2])
if is_error(held) or #held > 0 then
  return 0
end
redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], ARGV[2])
return 1
