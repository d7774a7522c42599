-- Keeps an answer in the first slot of its key that is free, and makes room for it.
--
-- ARGV: the prefix; the key; how many slots; the value; for how many seconds; the limit of all sizes together; the time, or '' for this
--       server's; how many that have ended are removed at most; which slot is taken where none is free, or ''.

local key, slots, value, limit, at = ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[6]), time_of(ARGV[7])

for _, place in ipairs(redis.call('ZRANGEBYSCORE', ENDS, '-inf', at, 'LIMIT', 0, tonumber(ARGV[8]))) do
  remove(place)
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

local function make_room(wanted)
  while tonumber(redis.call('GET', BYTES) or 0) + wanted > limit do
    local oldest = redis.call('ZRANGE', USED, 0, 0)[1]
    if not oldest then
      return
    end
    remove(oldest)
  end
end

local BESIDE = 480  -- bytes: its names in the sorted sets
if #value + BESIDE > limit then
  return
end
make_room(#value + BESIDE)
redis.call('HSET', PREFIX .. free, 'value', value, 'used', at, 'ends', at + tonumber(ARGV[5]))
local size = redis.call('MEMORY', 'USAGE', PREFIX .. free) + BESIDE
redis.call('HSET', PREFIX .. free, 'size', size)
redis.call('ZADD', USED, at, free)
redis.call('ZADD', ENDS, at + tonumber(ARGV[5]), free)
redis.call('INCRBY', BYTES, size)
make_room(0)
