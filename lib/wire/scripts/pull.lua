-- pull: take one entry out of its turn, to cancel it
--
-- KEYS  jobs
-- ARGV  group, consumer, entry id
-- Returns the entry id, its fields, how often it was delivered, this time included (1, if
-- it was not put aside before), when it waited in the stream and no daemon held it; else
-- nothing.
--
-- When its turn comes before it is removed, whoever reads it then becomes its holder.
local jobs, group, consumer, entry = KEYS[1], unpack(ARGV)

local fields = fields_of(jobs, entry)
local held = fields and redis.pcall('XPENDING', jobs, group, entry, entry, 1)
if not fields or is_error(held) and says(held, 'NOGROUP') then
  return {}
elseif is_error(held) then
  return held
elseif #held > 0 and not is_aside(held[1][2]) then
  return {}
end
local count = held[1] and held[1][4] or 1
redis.call('XCLAIM', jobs, group, consumer, 0, entry, 'RETRYCOUNT', count, 'FORCE', 'JUSTID')
return {entry, fields, count}
