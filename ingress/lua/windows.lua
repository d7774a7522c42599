-- A window is a string of pairs of doubles, in the order in which they leave: until when so much counts, in microseconds, and how much.

local PAIR = 16

-- This server's clock, in microseconds, unless another was read.
local function time_of(said)
  if said ~= '' then
    return tonumber(said)
  end
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function live(pairs_, at)
  local from = 1
  while from < #pairs_ and struct.unpack('<d', pairs_, from) <= at do
    from = from + PAIR
  end
  return string.sub(pairs_, from)
end

local function used(pairs_)
  local sum = 0
  for from = 9, #pairs_, PAIR do
    sum = sum + struct.unpack('<d', pairs_, from)
  end
  return sum
end

local function counted(pairs_, at, length, slot, amount)
  local leaves = slot == 0 and at + length or (math.floor(at / slot) + 1) * slot + length
  if #pairs_ > 0 then
    local last, held = struct.unpack('<dd', pairs_, #pairs_ - PAIR + 1)
    leaves = math.max(leaves, last)
    if leaves == last and slot > 0 then
      return string.sub(pairs_, 1, -PAIR - 1) .. struct.pack('<dd', leaves, held + amount), leaves
    end
  end
  return pairs_ .. struct.pack('<dd', leaves, amount), leaves
end

local function keep(name, pairs_, leaves, at)
  redis.call('SET', name, pairs_, 'PX', math.ceil((leaves - at) / 1000) + 1000)
end
