-- Removes an answer that cannot be read.
--
-- ARGV: the prefix; the key; its slot.

remove(place_of(ARGV[2], ARGV[3]))
