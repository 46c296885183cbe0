-- retry: put failed jobs off until their next attempt
--
-- KEYS  jobs, ids, delayed, bodies, then for each job: its result, its state
-- ARGV  group, consumer, then for each job: entry id, job id, submitted (unix ms),
--       attempt to come, deaths, interruptions, delay in ms, error
-- Returns for each job: 1 delayed; 0 not ours any more; 2 there is a result, the job was
-- removed; and last: ms until the queue's next due time.
--
-- Only failures are retried, so like a final failure this needs the entry to be ours.
local jobs, ids, delayed, bodies = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local now = now_ms()

local function retry(i, result, state)
  local entry, id, submitted, attempt, deaths, interruptions, delay, text =
    unpack(ARGV, i, i + 7)
  local fields = fields_of_mine(entry)
  if not fields then
    forget_state(state, false)
    return 0
  end
  if redis.call('EXISTS', result) == 1 then
    forget_id(ids, id, entry)
    forget_state(state, true)
    remove(entry)
    return 2
  end
  put_off({
    id = id, entry = entry, due = now + tonumber(delay), status = 'retrying',
    attempt = attempt, error = text,
    body = copy_of(fields, id, submitted, attempt, deaths, interruptions),
  }, ids, delayed, bodies, state)
  return 1
end

local refused = begin_writing(jobs)
if refused then
  return refused
end
local codes = {}
for i = 0, (#KEYS - 4) / 2 - 1 do
  codes[#codes + 1] = retry(3 + 8 * i, KEYS[5 + 2 * i], KEYS[6 + 2 * i])
end
codes[#codes + 1] = next_due_ms(delayed, now)
return codes
