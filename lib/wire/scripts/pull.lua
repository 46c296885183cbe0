-- pull: take one entry out of its turn, to cancel it
--
-- KEYS  jobs
-- ARGV  group, consumer, entry id
-- Returns the entry id, its fields, 1 (delivered once), when it waited in the stream and
-- nobody held it; else nothing.
--
-- When its turn comes before it is removed, whoever reads it then becomes its holder.
local jobs, group, consumer, entry = KEYS[1], unpack(ARGV)

local fields = fields_of(jobs, entry)
local held = fields and redis.pcall('XPENDING', jobs, group, entry, entry, 1)
if not fields or is_error(held) and says(held, 'NOGROUP') then
  return {}
elseif is_error(held) then
  return held
elseif #held > 0 then
  return {}
end
redis.call('XCLAIM', jobs, group, consumer, 0, entry, 'RETRYCOUNT', 1, 'FORCE', 'JUSTID')
return {entry, fields, 1}
