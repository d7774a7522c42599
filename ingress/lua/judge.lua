-- Judges one call by several windows: it is counted in all of them where all have room for it, else in none.
--
-- KEYS: the ledger's id, then the windows.
-- ARGV: an id for a new ledger; the time in microseconds, or '' for this server's; then for each window its length in microseconds, its
--       quota, the length of its slots (0: each call by itself), and what a call takes (0 where its cost counts, later).
-- Answers the ledger's id, the time, and each window as it was before the call.

local at = time_of(ARGV[2])
local id = redis.call('GET', KEYS[1])
if not id then
  id = ARGV[1]
  redis.call('SET', KEYS[1], id)
end

local answer, room = { id, string.format('%.0f', at) }, true
for number = 2, #KEYS do
  local first = 4 * number - 5
  local pairs_ = live(redis.call('GET', KEYS[number]) or '', at)
  local quota, takes = tonumber(ARGV[first + 1]), tonumber(ARGV[first + 3])
  local sum = used(pairs_)
  if takes > 0 and sum + takes > quota or takes == 0 and math.floor(sum * 1e9 + 0.5) / 1e9 >= quota then
    room = false
  end
  answer[number + 1] = pairs_
end

if room then
  for number = 2, #KEYS do
    local first = 4 * number - 5
    local length, slot, takes = tonumber(ARGV[first]), tonumber(ARGV[first + 2]), tonumber(ARGV[first + 3])
    if takes > 0 then
      local pairs_, leaves = counted(answer[number + 1], at, length, slot, takes)
      keep(KEYS[number], pairs_, leaves, at)
    end
  end
end
return answer
