-- promote: move delayed jobs that are due into the jobs stream
--
-- KEYS  jobs, ids, delayed, bodies, then for each job: its result, its state
-- ARGV  for each job: its id
-- Returns for each job: 1 moved; 2 there is a result (a daemon that was suspended has
-- finished it after all), the job was removed; 0 not there, or not due.
local jobs, ids, delayed, bodies = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = now_ms()

local function promote(id, result, state)
  local score = redis.call('ZSCORE', delayed, id)
  if not score or wait_ms(score, now) > 0 then
    return 0
  end
  local body = redis.call('HGET', bodies, id)
  local has_result = redis.call('EXISTS', result) == 1
  if body and not has_result then
    redis.call('HSET', ids, id, redis.call('XADD', jobs, '*', unpack(cmsgpack.unpack(body))))
  else
    -- without its body (somebody has deleted it) nothing can be done, either
    forget_id(ids, id, 'delayed')
  end
  redis.call('ZREM', delayed, id)
  redis.call('HDEL', bodies, id)
  redis.call('DEL', state)
  return has_result and 2 or body and 1 or 0
end

local refused = begin_writing(jobs)
if refused then
  return refused
end
local codes = {}
for i, id in ipairs(ARGV) do
  codes[i] = promote(id, KEYS[3 + 2 * i], KEYS[4 + 2 * i])
end
return codes
