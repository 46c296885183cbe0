-- job_state: where a job is
--
-- KEYS  jobs, ids, delayed, state of the job, result of the job
-- ARGV  group, job id
-- Returns finished, delayed, retrying, running (a daemon holds it), waiting or unknown:
-- also of a job under an id of its own that no daemon has read yet: there is no index of
-- those.
local jobs, ids, delayed, state, result = unpack(KEYS)
local group, id = ARGV[1], ARGV[2]

if redis.call('EXISTS', result) == 1 then
  return 'finished'
elseif redis.call('ZSCORE', delayed, id) then
  return redis.call('HGET', state, 'status') or 'delayed'
end
local entry = redis.call('HGET', ids, id) or id
if not fields_of(jobs, entry) then
  return 'unknown'
end
-- without a group nobody holds anything
local held = redis.pcall('XPENDING', jobs, group, entry, entry, 1)
local waits = is_error(held) or #held == 0 or is_aside(held[1][2])
return waits and 'waiting' or 'running'
