-- Removes answers; how many were removed. None: there are no more.
--
-- ARGV: the prefix; how many at most.

local places = redis.call('ZRANGE', USED, 0, tonumber(ARGV[2]) - 1)
for _, place in ipairs(places) do
  remove(place)
end
return #places
