-- hasten: make delayed jobs due now, because they were cancelled
--
-- KEYS  jobs, delayed, bodies
-- ARGV  for each job: its id, and when it was cancelled (unix ms)
-- Returns how many of them are due now.
--
-- A job that was submitted after that is another one with the same id, and left alone. The
-- others are marked: whoever reads one may not have heard of the cancel yet, and would run
-- it before its time.
local jobs, delayed, bodies = KEYS[1], KEYS[2], KEYS[3]

local function body_of(id)
  local is_read, fields = pcall(cmsgpack.unpack, redis.call('HGET', bodies, id))
  return is_read and type(fields) == 'table' and fields or {}
end

local hastened = 0
for i = 1, #ARGV, 2 do
  local id, cancelled = ARGV[i], ARGV[i + 1]
  local fields = redis.call('ZSCORE', delayed, id) and body_of(id) or {}
  local submitted = tonumber(field(fields, 'stint-submitted') or 'none')
  if submitted and submitted <= tonumber(cancelled) then
    if not field(fields, 'stint-cancelled') then
      begin_writing(jobs)
      fields[#fields + 1] = 'stint-cancelled'
      fields[#fields + 1] = cancelled
      redis.call('HSET', bodies, id, cmsgpack.pack(fields))
      redis.call('ZADD', delayed, 'XX', 0, id)
    end
    hastened = hastened + 1
  end
end
return hastened
