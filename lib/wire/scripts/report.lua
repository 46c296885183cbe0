-- report: how far running jobs are
--
-- KEYS  jobs, then for each job: its state
-- ARGV  group, consumer, then for each job: entry id, percent, note, ttl in ms
-- Returns for each job: 1 written; 0 not ours (any more), or its state is no hash.
--
-- Who wrote it stands there, too: when the job is over elsewhere, forget_state() of this
-- consumer knows its own. A Redis without memory refuses it, which does no harm.
local codes = {}
for i = 2, #KEYS do
  local state = KEYS[i]
  local entry, percent, note, ttl = unpack(ARGV, 4 * i - 5, 4 * i - 2)
  local told = is_mine(entry) and redis.pcall('HSET', state, 'percent', percent, 'note', note,
    'consumer', ARGV[2])
  if is_error(told) and not says(told, 'WRONGTYPE') then
    return told
  end
  codes[i - 1] = told and not is_error(told) and 1 or 0
  if codes[i - 1] == 1 then
    redis.call('PEXPIRE', state, ttl)
  end
end
return codes
