-- aside: put jobs aside whose handler is at its limit
--
-- KEYS  jobs
-- ARGV  group, consumer, then for each job: entry id, handler
-- Returns for each job: 1 put aside, 0 not ours any more.
--
-- The entry stays where it is, with its place and its count of deliveries: only its holder
-- changes, to one that is no daemon. See take_aside.lua.
local jobs, group, consumer = KEYS[1], ARGV[1], ARGV[2]

local refused = begin_writing(jobs)
if refused then
  return refused
end
local codes, claims = {}, {}
for i = 3, #ARGV, 2 do
  local entry, handler = ARGV[i], ARGV[i + 1]
  local mine = is_mine(entry)
  if mine then
    local claim = claims[handler] or {'XCLAIM', jobs, group, ASIDE .. handler, 0}
    claim[#claim + 1] = entry
    claims[handler] = claim
  end
  codes[#codes + 1] = mine and 1 or 0
end
for _, claim in pairs(claims) do
  claim[#claim + 1] = 'JUSTID'
  redis.call(unpack(claim))
end
return codes
