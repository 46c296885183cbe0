-- release: hand jobs back to their queue, as new entries that any daemon may take at once
--
-- KEYS  jobs
-- ARGV  group, consumer, then for each job: entry id, job id, submitted (unix ms)
-- Returns for each job: 1 handed back, 0 not ours any more.
--
-- The new entry has a new entry id but remains the same job: the old id travels as the
-- field `id`, the time of submission as `stint-submitted`.
local jobs, group, consumer = KEYS[1], ARGV[1], ARGV[2]

local function is_error(r)
  return type(r) == 'table' and r.err ~= nil
end

-- The entry's fields with the two that travel set anew, as arguments of XADD; nil when
-- it is not held by this consumer or is gone.
local function copy(entry, id, submitted)
  local held = redis.pcall('XPENDING', jobs, group, entry, entry, 1, consumer)
  if is_error(held) or #held == 0 then
    return nil
  end
  local range = redis.call('XRANGE', jobs, entry, entry)
  if #range == 0 then
    return nil
  end
  local args, fields = {'XADD', jobs, '*', 'id', id, 'stint-submitted', submitted}, range[1][2]
  for i = 1, #fields, 2 do
    if fields[i] ~= 'id' and fields[i] ~= 'stint-submitted' then
      args[#args + 1] = fields[i]
      args[#args + 1] = fields[i + 1]
    end
  end
  return args
end

local codes = {}
for i = 3, #ARGV, 3 do
  local entry = ARGV[i]
  local args = copy(entry, ARGV[i + 1], ARGV[i + 2])
  if args then
    -- XACK first: see finish.lua
    redis.call('XACK', jobs, group, entry)
    redis.call('XDEL', jobs, entry)
    redis.call(unpack(args))
  end
  codes[#codes + 1] = args and 1 or 0
end
return codes
