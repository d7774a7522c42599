-- Keeps an answer in the first slot of its key that is free, and makes room for it.
--
-- ARGV: the prefix; the key; how many slots; the value; for how many seconds; the limit of all sizes together; the time, or '' for this
--       server's; how many others are removed at most; which slot is taken where none is free, or ''.
-- One for which so many others would not be enough is not kept: nobody is answered while this runs.

local key, slots, value, limit, at = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[6]), time_of(ARGV[7])
local left = tonumber(ARGV[8])
local BESIDE = 760  -- bytes: its names in the sorted sets, and its size

-- Refused by a server that has no memory left. Behind a removal nothing would be.
redis.call('SET', PREFIX .. 'room', 1, 'PX', 1000)

for _, place in ipairs(redis.call('ZRANGEBYSCORE', ENDS, '-inf', at, 'LIMIT', 0, left)) do
  remove(place)
  left = left - 1
end

local free
for slot = 0, slots - 1 do
  if not lives(place_of(key, slot), at) then
    free = place_of(key, slot)
    break
  end
end
if not free and ARGV[9] ~= '' then
  free = place_of(key, ARGV[9])
end
if not free then
  return
end
remove(free)

local function has_room(wanted)
  while tonumber(redis.call('GET', BYTES) or 0) + wanted > limit do
    local oldest = redis.call('ZRANGE', USED, 0, 0)[1]
    if not oldest or left <= 0 then
      return false
    end
    remove(oldest)
    left = left - 1
  end
  return true
end

if not has_room(#value + BESIDE) then
  return
end
local lasts = tonumber(ARGV[5])
redis.call('HSET', PREFIX .. free, 'value', value, 'used', at, 'ends', at + lasts)
redis.call('EXPIRE', PREFIX .. free, lasts + 60)
local size = redis.call('MEMORY', 'USAGE', PREFIX .. free) + BESIDE
redis.call('HSET', SIZES, free, size)
redis.call('ZADD', USED, at, free)
redis.call('ZADD', ENDS, at + lasts, free)
redis.call('INCRBY', BYTES, size)
if not has_room(0) then
  remove(free)
end
