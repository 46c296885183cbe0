-- hasten: make delayed jobs due now, because they were cancelled
--
-- KEYS  jobs, delayed, bodies
-- ARGV  for each job: its id, and when it was cancelled (unix ms)
-- Returns how many of them are due now.
--
-- A job that was submitted after that is another one with the same id, and left alone.
local jobs, delayed, bodies = KEYS[1], KEYS[2], KEYS[3]

local function submitted_ms(id)
  local body = redis.call('HGET', bodies, id)
  local is_read, fields = pcall(cmsgpack.unpack, body)
  for i = 1, is_read and type(fields) == 'table' and #fields or 0, 2 do
    if fields[i] == 'stint-submitted' then
      return tonumber(fields[i + 1])
    end
  end
  return nil
end

local hastened = 0
for i = 1, #ARGV, 2 do
  local score = redis.call('ZSCORE', delayed, ARGV[i])
  local submitted = score and submitted_ms(ARGV[i])
  if submitted and submitted <= tonumber(ARGV[i + 1]) then
    if tonumber(score) > 0 then
      begin_writing(jobs)
      redis.call('ZADD', delayed, 'XX', 0, ARGV[i])
    end
    hastened = hastened + 1
  end
end
return hastened
