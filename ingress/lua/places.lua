-- Some of the places that have an answer. Each that is there from the first question to the last is told at least once.
--
-- ARGV: the prefix; the cursor, '0' at first; about how many.
-- Answers the next cursor, '0' at the end, and the places.

local found = redis.call('HSCAN', SIZES, ARGV[2], 'COUNT', tonumber(ARGV[3]))
local places = {}
for at = 1, #found[2], 2 do
  places[#places + 1] = found[2][at]
end
return { found[1], places }
