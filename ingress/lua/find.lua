-- One of the answers of a key, where all its slots are filled.
--
-- ARGV: the prefix; the key; how many slots; which of them is wanted; the time, or '' for this server's; after how many seconds a use is
--       noted again.
-- Answers the value, or nothing.

local key, slots, wanted, at = ARGV[2], tonumber(ARGV[3]), ARGV[4], time_of(ARGV[5])
for slot = 0, slots - 1 do
  if not lives(place_of(key, slot), at) then
    return false
  end
end
local place = place_of(key, wanted)
if at - tonumber(redis.call('HGET', PREFIX .. place, 'used')) >= tonumber(ARGV[6]) then
  redis.call('HSET', PREFIX .. place, 'used', at)
  redis.call('ZADD', USED, at, place)
end
return redis.call('HGET', PREFIX .. place, 'value')
