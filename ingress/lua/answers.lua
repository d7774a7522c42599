-- Answers that are kept: each a hash of its `value`, when it was `used` and when it `ends`, in seconds since 1970.
-- ARGV[1] is the prefix of all names. Beside them: `used` and `ends`, sorted sets of all places; `sizes`, in bytes; and `bytes`, their sum.
-- An answer leaves by itself too, a minute after its end: then its place is known until it is removed.

local PREFIX = ARGV[1]
local USED, ENDS, SIZES, BYTES = PREFIX .. 'used', PREFIX .. 'ends', PREFIX .. 'sizes', PREFIX .. 'bytes'

local function time_of(said)
  return said ~= '' and tonumber(said) or tonumber(redis.call('TIME')[1])
end

local function place_of(key, slot)
  return key .. ':' .. slot
end

local function lives(place, at)
  local ends = redis.call('HGET', PREFIX .. place, 'ends')
  return ends and tonumber(ends) > at
end

local function remove(place)
  local size = redis.call('HGET', SIZES, place)
  if size then
    redis.call('DECRBY', BYTES, size)
    redis.call('HDEL', SIZES, place)
  end
  redis.call('DEL', PREFIX .. place)
  redis.call('ZREM', USED, place)
  redis.call('ZREM', ENDS, place)
end
