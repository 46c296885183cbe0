-- admit: may jobs that were just read be run: not while there is one of the same id, nor
-- before their time
--
-- KEYS  jobs, ids, delayed, bodies, stats, then for each job: its result, its state
-- ARGV  group, consumer, then for each job: entry id, job id (the entry id: it brought
--       none, so only the delay is looked at), due time in unix ms ('': none)
-- Returns for each job: 1 run it now; 2 a duplicate, removed and counted; 3 delayed;
-- 0 not ours any more; and last: ms until the queue's next due time, -1: nothing is
-- delayed.
--
-- Repeated after a lost answer it says 1 and 3 again, and 0 (or 3, if its like is
-- delayed) for a duplicate: in each case the entry is gone.
local jobs, ids, delayed, bodies, stats = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local now = now_ms()

-- The job of an entry without an id of its own is called like the entry.
local function is_entry_called(id)
  local fields = string.find(id, '^%d+%-%d+$') and fields_of(jobs, id)
  return fields and not field(fields, 'id')
end

-- Is there another job of this id? One that `ids` names but that is gone does not count:
-- somebody has deleted the entry.
local function is_duplicate(entry, id, result)
  if redis.call('EXISTS', result) == 1 or redis.call('ZSCORE', delayed, id) then
    return true
  end
  local holder = redis.call('HGET', ids, id)
  return holder and holder ~= entry and fields_of(jobs, holder) ~= nil
    or is_entry_called(id)
end

local function admit(entry, id, due, result, state)
  if not is_mine(entry) then
    return redis.call('ZSCORE', delayed, id) and 3 or 0
  end
  if id ~= entry and is_duplicate(entry, id, result) then
    forget_id(ids, id, entry)
    remove(entry)
    redis.call('HINCRBY', stats, 'duplicates', 1)
    return 2
  end
  if due ~= '' and tonumber(due) > now then
    local fields = fields_of_mine(entry)
    if not fields then
      return 0
    end
    put_off({
      id = id, entry = entry, due = tonumber(due), status = 'delayed', attempt = 1,
      -- submitted when Redis took it: its entry id says so
      body = copy_of(fields, id, string.match(entry, '^%d+'), '1', '0', '0'),
    }, ids, delayed, bodies, state)
    return 3
  end
  if id ~= entry then
    redis.call('HSET', ids, id, entry)
  end
  return 1
end

local refused = begin_writing(jobs)
if refused then
  return refused
end
local codes = {}
for i = 0, (#KEYS - 5) / 2 - 1 do
  local entry, id, due = unpack(ARGV, 3 + 3 * i, 5 + 3 * i)
  codes[#codes + 1] = admit(entry, id, due, KEYS[6 + 2 * i], KEYS[7 + 2 * i])
end
codes[#codes + 1] = next_due_ms(delayed, now)
return codes
