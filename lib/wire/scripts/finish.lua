-- finish: record results, acknowledge and remove jobs, in one atomic step
--
-- KEYS  jobs, dead, then for each job: its result, its reply stream (or jobs again: none)
-- ARGV  group, consumer, most dead letters, most replies, then for each job:
--       entry id, kind, store (1 or 0), ttl in ms, job id, result
-- kind  ok      the first completion wins, whoever holds the entry: a daemon that was
--               suspended must not lose work that is done
--       failed  counts only while this consumer holds the entry: a stale loser must
--               not fail a job that runs elsewhere
--       dead    like failed, and the entry is kept in the dead stream
-- Returns for each job: 0 not ours any more, nothing changed; 1 recorded; 2 there was a
-- result already, it stands; and on top of it 4: the reply, 8: the dead letter could
-- not be added.
--
-- XACK is the first write: a Redis that is out of memory lets a script go on that has
-- written already, so that its queues can still be drained.
local jobs, dead = KEYS[1], KEYS[2]
local group, consumer, dead_max, reply_max = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

-- what one XADD can take from a table (Lua's stack); no real job comes near
local FIELDS_MAX = 4000

local function is_error(r)
  return type(r) == 'table' and r.err ~= nil
end

local function is_mine(entry)
  local r = redis.pcall('XPENDING', jobs, group, entry, entry, 1, consumer)
  return not is_error(r) and #r == 1
end

local function letter(entry, id, result)
  local range = redis.pcall('XRANGE', jobs, entry, entry)
  if is_error(range) or #range == 0 then
    return nil
  end
  local args = {'XADD', dead, 'MAXLEN', '~', dead_max, '*'}
  local fields = range[1][2]
  for i = 1, math.min(#fields, FIELDS_MAX) do
    args[#args + 1] = fields[i]
  end
  -- last: for clients that make a map of it, these win over a job's of the same name
  for _, word in ipairs({'stint-id', id, 'stint-entry', entry, 'stint-result', result}) do
    args[#args + 1] = word
  end
  return args
end

local codes = {}
for i = 0, (#KEYS - 2) / 2 - 1 do
  local result_key, reply_key = KEYS[3 + 2 * i], KEYS[4 + 2 * i]
  local entry, kind, store, ttl, id, result = unpack(ARGV, 5 + 6 * i, 10 + 6 * i)
  local code = 0
  if kind == 'ok' or is_mine(entry) then
    local dead_letter = kind == 'dead' and letter(entry, id, result)
    local acked = redis.pcall('XACK', jobs, group, entry)
    -- no stream any more: the result is recorded all the same; anything else (MISCONF,
    -- NOREPLICAS ...) is told by the first write, so nothing has changed yet
    if is_error(acked) and not string.find(acked.err, 'WRONGTYPE', 1, true) then
      return acked
    end
    redis.pcall('XDEL', jobs, entry)
    local first = acked == 1
    if store == '1' then
      first = redis.call('SET', result_key, result, 'NX', 'PX', ttl) ~= false
    end
    code = first and 1 or 2
    if first and reply_key ~= jobs then
      local added = redis.pcall('XADD', reply_key, 'MAXLEN', '~', reply_max, '*',
        'id', id, 'result', result)
      if is_error(added) then
        code = code + 4
      else
        redis.call('PEXPIRE', reply_key, ttl)
      end
    end
    if dead_letter and is_error(redis.pcall(unpack(dead_letter))) then
      code = code + 8
    end
  end
  codes[#codes + 1] = code
end
return codes
