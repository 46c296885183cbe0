-- letter_retry: submit a dead letter again
--
-- KEYS  dead, jobs, stats, result of the letter's job (its field stint-id)
-- ARGV  letter's id in the dead stream
-- Returns the new entry's id; nil when there is no such letter.
--
-- It is a new submission of the same id: its result goes, and so do all that daemons
-- wrote, and what was about the first time (delay, at, deadline).
local dead, jobs, stats, result, letter = KEYS[1], KEYS[2], KEYS[3], KEYS[4], ARGV[1]
local NOT_AGAIN = {id = true, delay = true, at = true, deadline = true}

local fields = fields_of(dead, letter)
local id, without = nil, {}
for i = 1, fields and #fields or 0, 2 do
  local name = fields[i]
  without[name] = NOT_AGAIN[name] or string.sub(name, 1, 6) == 'stint-'
  id = name == 'stint-id' and fields[i + 1] or id
end
if not id then
  return false
end
local refused = begin_writing(jobs)
if refused then
  return refused
end
local entry = redis.call('XADD', jobs, '*', unpack(add_fields({'id', id}, fields, without)))
redis.call('DEL', result)
drop_letter(dead, stats, letter, fields)
return entry
