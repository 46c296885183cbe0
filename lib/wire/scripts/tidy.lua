-- tidy: remove messages of no use any more from a control stream
--
-- KEYS  control
-- ARGV  last id that was read, id of the last pause or resume ('': none), age in ms from
--       which a message is old, most messages to look at
-- Returns how many were looked at: as many as asked for, then there may be more.
--
-- The last pause or resume stays for ever: it says how things are. What the caller has
-- not read stays, too: it may be a later one.
local control, read, state = KEYS[1], ARGV[1], ARGV[2]
local age, limit = tonumber(ARGV[3]), tonumber(ARGV[4])

local old = string.format('%.0f', now_ms() - age)
local upto = tonumber(string.match(read, '^%d+')) < tonumber(old) and read or old
local range = redis.call('XRANGE', control, '-', upto, 'COUNT', limit)
local looked = #range
for _, message in ipairs(range) do
  if message[1] ~= state then
    redis.call('XDEL', control, message[1])
  end
end
return looked
