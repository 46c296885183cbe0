-- common: what the scripts share; the build puts it in front of each of them
--
-- Where a script takes them, KEYS[1] is the jobs stream, ARGV[1] the group and ARGV[2]
-- the consumer.

-- what one XADD can take from a table (Lua's stack); no real job comes near
local FIELDS_MAX = 4000
-- a wait in ms that a client can count with, whatever score somebody has put in
local WAIT_MAX_MS = 2 ^ 53

-- Who holds what was put aside for a handler: this and its name. No daemon is called so,
-- since no host's name has a colon.
local ASIDE = 'aside:'

local function is_aside(consumer)
  return string.sub(consumer, 1, #ASIDE) == ASIDE
end

local function is_error(r)
  return type(r) == 'table' and r.err ~= nil
end

local function says(r, word)
  return string.find(r.err, word, 1, true) ~= nil
end

-- Does this consumer hold the entry? The one place where ownership is decided. Without
-- stream or group nobody holds anything; another error (NOPERM ...) ends the script.
local function is_mine(entry)
  local ask = {'XPENDING', KEYS[1], ARGV[1], entry, entry, 1, ARGV[2]}
  local held = redis.pcall(unpack(ask))
  if is_error(held) then
    return not (says(held, 'NOGROUP') or says(held, 'WRONGTYPE')) and redis.call(unpack(ask))
  end
  return #held == 1
end

-- A Redis that is out of memory refuses what takes memory, but not to a script that has
-- written already: this write changes nothing. What follows may then come in the order
-- that loses nothing. Returns what the script is to answer when Redis takes no writes at
-- all now (READONLY, MISCONF, NOREPLICAS): the very error, its first word is read.
local function begin_writing(stream)
  local r = redis.pcall('XDEL', stream, '0-0')
  return is_error(r) and not says(r, 'WRONGTYPE') and r
end

-- A right that is missing would end a script in its middle, and half of a step could lose a
-- job. So what must not be left halfway asks first, which needs Redis 7. Returns what the
-- script is to answer when the user may not run one of @commands, each with arguments.
local function lacks_right(commands)
  for _, command in ipairs(redis.acl_check_cmd and commands or {}) do
    if not redis.acl_check_cmd(unpack(command)) then
      return redis.error_reply('NOPERM this user lacks the right to ' .. command[1])
    end
  end
  return nil
end

-- Redis' clock, unix ms
local function now_ms()
  local t = redis.call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The fields of an entry as one flat list; nil when it is not there, or not written so.
local function fields_of(stream, entry)
  local range = redis.pcall('XRANGE', stream, entry, entry)
  if is_error(range) or #range == 0 or range[1][1] ~= entry then
    return nil
  end
  return range[1][2]
end

-- The fields of a job that this consumer holds; nil when it does not. An entry that
-- somebody has deleted is no job: it is acknowledged, or it would be held for ever.
local function fields_of_mine(entry)
  if not is_mine(entry) then
    return nil
  end
  local range = redis.call('XRANGE', KEYS[1], entry, entry)
  if #range == 0 then
    redis.call('XACK', KEYS[1], ARGV[1], entry)
    return nil
  end
  return range[1][2]
end

-- The value of the first field of this name; nil when there is none.
local function field(fields, name)
  for i = 1, #fields - 1, 2 do
    if fields[i] == name then
      return fields[i + 1]
    end
  end
  return nil
end

-- Append to @list the fields whose name is not in @without.
local function add_fields(list, fields, without)
  for i = 1, math.min(#fields, FIELDS_MAX) - 1, 2 do
    if not without[fields[i]] then
      list[#list + 1] = fields[i]
      list[#list + 1] = fields[i + 1]
    end
  end
  return list
end

-- What a copy of a job says anew. Its delay is over or stands in the delayed set.
local SET_ANEW = {
  id = true, delay = true, at = true, ['stint-submitted'] = true, ['stint-attempt'] = true,
  ['stint-deaths'] = true, ['stint-interruptions'] = true,
}

-- The fields of the entry that takes the place of one with @fields: the same job.
local function copy_of(fields, id, submitted, attempt, deaths, interruptions)
  local list = {'id', id, 'stint-submitted', submitted, 'stint-attempt', attempt,
    'stint-deaths', deaths, 'stint-interruptions', interruptions}
  return add_fields(list, fields, SET_ANEW)
end

-- Forget which entry is the job's, if it is this one.
local function forget_id(ids, id, holder)
  if redis.call('HGET', ids, id) == holder then
    redis.call('HDEL', ids, id)
  end
end

-- The state of a job that ends here, or goes elsewhere: @state is the jobs stream where there
-- can be none. Of one that is not ours (any more) what we have written goes, or, when it is
-- over for all, what anybody has reported; not the state of one that waits for its time.
-- Should it not go now, its time comes by itself.
local function forget_state(state, is_ours, is_over)
  if state == KEYS[1] then
    return
  end
  if is_ours or redis.pcall('HGET', state, 'consumer') == ARGV[2]
    or is_over and not redis.pcall('HGET', state, 'status') then
    redis.pcall('DEL', state)
  end
end

-- Off the queue, for whoever holds it.
local function remove(entry)
  redis.call('XACK', KEYS[1], ARGV[1], entry)
  redis.call('XDEL', KEYS[1], entry)
end

-- Move a held job into the delayed set: @job has id, entry, due (unix ms), body (a
-- copy's fields), status, attempt, and, after a failure, error.
local function put_off(job, ids, delayed, bodies, state)
  local due = string.format('%.0f', job.due)
  redis.call('DEL', state)
  redis.call('HSET', state, 'status', job.status, 'attempt', job.attempt, 'next_ms', due)
  if job.error then
    redis.call('HSET', state, 'error', job.error)
  end
  redis.call('HSET', bodies, job.id, cmsgpack.pack(job.body))
  redis.call('HSET', ids, job.id, 'delayed')
  redis.call('ZADD', delayed, due, job.id)
  remove(job.entry)
end

-- In ms, from now until @score: 0 when it is due.
local function wait_ms(score, now)
  return math.min(math.max(tonumber(score) - now, 0), WAIT_MAX_MS)
end

-- In ms, until the first of the delayed set is due: 0 it is, -1 there is none.
local function next_due_ms(delayed, now)
  local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  return first[2] and wait_ms(first[2], now) or -1
end

-- What a letter counts for in dead_bytes: all its names and values.
local function bytes_of(fields)
  local n = 0
  for i = 1, #fields do
    n = n + #fields[i]
  end
  return n
end

-- Take a letter off the dead stream. An empty stream sets the count of bytes right,
-- should letters have come or gone in other ways.
local function drop_letter(dead, stats, letter, fields)
  redis.call('XDEL', dead, letter)
  local left = redis.call('HINCRBY', stats, 'dead_bytes', -bytes_of(fields))
  if left <= 0 or redis.call('XLEN', dead) == 0 then
    redis.call('HDEL', stats, 'dead_bytes')
  end
end
