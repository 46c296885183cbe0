-- release: hand jobs back to their queue, as new entries that any daemon may take at once
--
-- KEYS  jobs, ids
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
for i = 3, #ARGV, 6 do
  local entry, id, submitted, attempt, deaths, interruptions = unpack(ARGV, i, i + 5)
  local fields = fields_of_mine(entry)
  if fields then
    local copy = copy_of(fields, id, submitted, attempt, deaths, interruptions)
    redis.call('HSET', ids, id, redis.call('XADD', jobs, '*', unpack(copy)))
    remove(entry)
  end
  codes[#codes + 1] = fields and 1 or 0
end
return codes
