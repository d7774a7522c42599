-- An answer, whether or not it has ended.
--
-- ARGV: the prefix; the key; its slot.

return redis.call('HGET', PREFIX .. place_of(ARGV[2], ARGV[3]), 'value')
