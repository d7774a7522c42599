-- Counts what a call cost, the first time that it is told of this call.
--
-- KEYS: the window, and the name under which it is remembered that the call was told.
-- ARGV: the time in microseconds, or '' for this server's; the window's length and that of its slots, in microseconds; the cents; for how
--       many seconds it is remembered.

if redis.call('SET', KEYS[2], '1', 'NX', 'EX', ARGV[5]) then
  local at = time_of(ARGV[1])
  local pairs_ = live(redis.call('GET', KEYS[1]) or '', at)
  local after, leaves = counted(pairs_, at, tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]))
  keep(KEYS[1], after, leaves, at)
end
