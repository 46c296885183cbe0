-- renew: start the lease of held entries anew
--
-- KEYS  jobs
-- ARGV  group, consumer, entry ids
-- Returns the entries that are not ours any more.
--
-- XCLAIM takes from anybody: that it is ours is looked at in the same step. With JUSTID
-- the count of deliveries stays as it is. What it does not claim was deleted.
local jobs, group, consumer = KEYS[1], ARGV[1], ARGV[2]
local claim, is_renewed, lost = {'XCLAIM', jobs, group, consumer, 0}, {}, {}

for i = 3, #ARGV do
  if is_mine(ARGV[i]) then
    claim[#claim + 1] = ARGV[i]
  end
end
if #claim > 5 then
  claim[#claim + 1] = 'JUSTID'
  for _, entry in ipairs(redis.call(unpack(claim))) do
    is_renewed[entry] = true
  end
end
for i = 3, #ARGV do
  if not is_renewed[ARGV[i]] then
    lost[#lost + 1] = ARGV[i]
  end
end
return lost
