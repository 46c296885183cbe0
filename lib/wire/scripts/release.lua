-- release: hand jobs back to their queue, as new entries that any daemon may take at once
--
-- KEYS  jobs, ids, then for each job: its state (jobs again: none)
-- ARGV  group, consumer, then for each job: entry id, job id, submitted (unix ms),
--       attempt to come, deaths, interruptions
-- Returns for each job: 1 handed back, 0 not ours any more.
--
-- The new entry has a new entry id but remains the same job: see copy_of().
local jobs, ids = KEYS[1], KEYS[2]

local refused = begin_writing(jobs)
if refused then
  return refused
end
local codes = {}
for i = 0, #KEYS - 3 do
  local entry, id, submitted, attempt, deaths, interruptions = unpack(ARGV, 3 + 6 * i, 8 + 6 * i)
  local fields = fields_of_mine(entry)
  if fields then
    local copy = copy_of(fields, id, submitted, attempt, deaths, interruptions)
    redis.call('HSET', ids, id, redis.call('XADD', jobs, '*', unpack(copy)))
    remove(entry)
  end
  forget_state(KEYS[3 + i], fields)
  codes[#codes + 1] = fields and 1 or 0
end
return codes
