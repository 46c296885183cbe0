-- letter_drop: delete a dead letter
--
-- KEYS  dead, stats
-- ARGV  letter's id in the dead stream
-- Returns 1; 0 when there is no such letter.
local fields = fields_of(KEYS[1], ARGV[1])
if fields then
  drop_letter(KEYS[1], KEYS[2], ARGV[1], fields)
end
return fields and 1 or 0
