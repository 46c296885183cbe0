-- letter_list: what dead letters are about, without sending their payloads
--
-- KEYS  dead
-- ARGV  XRANGE or XREVRANGE, where to begin and where to end as that command takes it,
--       most letters to tell, job id of those that are wanted ('': all)
-- Returns where the next call is to begin ('': there are no more), then for each letter:
-- its id, job id, handler, attempt, status, error, each '' when it does not say.
--
-- A call looks at so many letters, and bytes of them, as Redis can spare the time for.
local dead, command, from, to, count, wanted = KEYS[1], unpack(ARGV)
local LOOKS_MAX, BYTES_MAX = 200, 4 * 1024 * 1024

local function text(value)
  return type(value) == 'string' and value or ''
end

local function about(letter, fields)
  local field = {}
  for i = 1, #fields - 1, 2 do
    field[fields[i]] = fields[i + 1]
  end
  local is_read, result = pcall(cjson.decode, field['stint-result'])
  result = is_read and type(result) == 'table' and result or {}
  local attempt = type(result.attempt) == 'number' and string.format('%.0f', result.attempt)
  return {letter, text(field['stint-id']), text(field.handler), attempt or '',
    text(result.status), text(result.error)}
end

local told, looks, bytes = {''}, 0, 0
while told[1] == '' do
  local found = redis.call(command, dead, from, to, 'COUNT', 1)[1]
  if not found then
    break
  end
  local row = about(found[1], found[2])
  if wanted == '' or wanted == row[2] then
    told[#told + 1] = row
  end
  from, looks, bytes = '(' .. found[1], looks + 1, bytes + bytes_of(found[2])
  if looks == LOOKS_MAX or bytes >= BYTES_MAX or #told > tonumber(count) then
    told[1] = from
  end
end
return told
