-- pull: take a job that waits out of its turn, to cancel it
--
-- KEYS  jobs, ids
-- ARGV  group, consumer, job id, when it was cancelled (unix ms)
-- Returns the entry id, its fields, how often it was delivered, this time included (1, if
-- it was not put aside before), when it waited in the stream and no daemon held it; else
-- nothing.
--
-- The entry is the one that `ids` names (a copy that a daemon wrote), or the one that is
-- called like the job. One that brought its own id and was read by nobody yet is neither.
-- A job that was submitted after the cancel is another one, and left alone.
--
-- When its turn comes before it is removed, whoever reads it then becomes its holder.
local jobs, ids = KEYS[1], KEYS[2]
local group, consumer, id, cancelled = unpack(ARGV)

local function is_meant(entry, fields)
  local submitted = field(fields, 'stint-submitted') or string.match(entry, '^%d+')
  return (field(fields, 'id') or entry) == id
    and (tonumber(submitted) or 0) <= tonumber(cancelled)
end

local entry = redis.call('HGET', ids, id) or id
local fields = fields_of(jobs, entry)
if not fields or not is_meant(entry, fields) then
  return {}
end
local held = redis.pcall('XPENDING', jobs, group, entry, entry, 1)
if is_error(held) and not says(held, 'NOGROUP') then
  return held
elseif is_error(held) or #held > 0 and not is_aside(held[1][2]) then
  return {}
end
local count = held[1] and held[1][4] or 1
redis.call('XCLAIM', jobs, group, consumer, 0, entry, 'RETRYCOUNT', count, 'FORCE', 'JUSTID')
return {entry, fields, count}
