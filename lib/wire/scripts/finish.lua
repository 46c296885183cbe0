-- finish: record results, acknowledge and remove jobs, in one atomic step
--
-- KEYS  jobs, dead, ids, stats, delayed, bodies, then for each job: its result, its reply
--       stream (or jobs again: none), its state
-- ARGV  group, consumer, most dead letters, most bytes of them, most replies, then for
--       each job: entry id, kind, store (1 or 0), ttl in ms, job id, result, told (1:
--       somebody may have told of its progress; 0)
-- kind  ok      the first completion wins, whoever holds the entry: a daemon that was
--               suspended must not lose work that is done
--       failed  counts only while this consumer holds the entry: a stale loser must
--               not fail a job that runs elsewhere
--       dead    like failed, and when it is the first result the entry is kept in the
--               dead stream
-- Returns for each job: 0 not ours any more, nothing changed; 1 recorded; 2 there was a
-- result already, it stands; and on top of 1, 4: the reply, 8: the dead letter could not
-- be added (or alone is larger than all may be).
--
-- XACK is the first write, which is why a Redis that is out of memory can be drained: see
-- begin_writing(). Where no result is stored it tells whether this was the first.
local jobs, dead, ids, stats, delayed, bodies = unpack(KEYS, 1, 6)
local group = ARGV[1]
local dead_max, dead_max_bytes, reply_max = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]

-- letters that one call may remove, beside as many as it adds: bounds its time
local removals_left = 100

local function has_too_many_letters()
  return redis.call('XLEN', dead) > dead_max
    or (tonumber(redis.call('HGET', stats, 'dead_bytes')) or 0) > dead_max_bytes
end

-- Oldest first, until both caps are kept. What goes is counted.
local function trim_dead()
  while removals_left > 0 and has_too_many_letters() do
    local oldest = redis.call('XRANGE', dead, '-', '+', 'COUNT', 1)[1]
    drop_letter(dead, stats, oldest[1], oldest[2])
    redis.call('HINCRBY', stats, 'dead_lost', 1)
    removals_left = removals_left - 1
  end
end

local function add_letter(fields)
  local bytes = bytes_of(fields)
  -- it would drive out all others and then itself
  if bytes > dead_max_bytes then
    redis.call('HINCRBY', stats, 'dead_lost', 1)
    return false
  end
  redis.call('XADD', dead, '*', unpack(fields))
  redis.call('HINCRBY', stats, 'dead_bytes', bytes)
  removals_left = removals_left + 1
  trim_dead()
  return true
end

local function letter_of(entry, id, result)
  local fields = fields_of(jobs, entry)
  -- ours last: for clients that make a map of it, they win over a job's of the same name
  local ours = {'stint-id', id, 'stint-entry', entry, 'stint-result', result}
  return fields and add_fields(add_fields({}, fields, {}), ours, {})
end

local function add_reply(reply, ttl, id, result)
  redis.call('XADD', reply, 'MAXLEN', '~', reply_max, '*', 'id', id, 'result', result)
  redis.call('PEXPIRE', reply, ttl)
end

-- While its daemon was suspended another one may have got the job, failed, and put it off.
local function forget_retry(id, state)
  if redis.call('ZREM', delayed, id) == 1 then
    redis.call('HDEL', bodies, id)
    redis.call('DEL', state)
    forget_id(ids, id, 'delayed')
  end
end

local refused = lacks_right({
  {'XACK', jobs, group, '0-0'}, {'XDEL', jobs, '0-0'}, {'SET', jobs, ''},
  {'XADD', dead, '*', 'id', ''}, {'XLEN', dead}, {'HGET', ids, ''}, {'HDEL', ids, ''},
  {'HINCRBY', stats, '', 1},
})
if refused then
  return refused
end
local codes = {}
for i = 0, (#KEYS - 6) / 3 - 1 do
  local result_key, reply_key, state = unpack(KEYS, 7 + 3 * i, 9 + 3 * i)
  local entry, kind, store, ttl, id, result, told = unpack(ARGV, 6 + 7 * i, 12 + 7 * i)
  local code = 0
  local is_ours = (kind ~= 'ok' or told == '1') and is_mine(entry)
  if kind == 'ok' or is_ours then
    local letter = kind == 'dead' and letter_of(entry, id, result)
    local acked = redis.pcall('XACK', jobs, group, entry)
    -- no stream any more: the result is recorded all the same; anything else (MISCONF,
    -- NOREPLICAS ...) is told by the first write, so nothing has changed yet
    if is_error(acked) and not says(acked, 'WRONGTYPE') then
      return acked
    end
    redis.pcall('XDEL', jobs, entry)
    local first = acked == 1
    if store == '1' then
      first = redis.call('SET', result_key, result, 'NX', 'PX', ttl) ~= false
    end
    code = first and 1 or 2
    -- From here on a fault (a key of another type) must not undo the rest, nor stop the
    -- jobs that follow.
    if id ~= entry then
      pcall(forget_id, ids, id, entry)
    end
    -- without a result, what is delayed could be another job of the same id
    if kind == 'ok' and store == '1' then
      pcall(forget_retry, id, state)
    end
    if first and reply_key ~= jobs and not pcall(add_reply, reply_key, ttl, id, result) then
      code = code + 4
    end
    if first and letter then
      local is_done, is_kept = pcall(add_letter, letter)
      code = is_done and is_kept and code or code + 8
    end
  end
  if told == '1' then
    forget_state(state, is_ours, code ~= 0)
  end
  codes[#codes + 1] = code
end
return codes
