-- Puts a reading of the stock in the hint's place, by the rule of domain::hint::StockHint::may_replace:
-- only a fresh reading, and while a fresh one is there only a later one of its own keeper.
--
-- ARGV 6 keeper, 7 read_at, 8 fresh, for how long a reading is so
--      then name, value, .. of the levels as in head.lua
-- Returns {'OK', .., stock}: the hint as it is then, name, value, ..
-- Repeating it changes nothing.

local there = redis.call('HMGET', KEYS[15], 'keeper', 'read_at')
local read_at, kept_at = tonumber(ARGV[7]), tonumber(there[2] or nil)

local function is_fresh(instant)
  return math.abs(now - instant) <= tonumber(ARGV[8])
end

local is_kept = kept_at and is_fresh(kept_at) and (there[1] ~= ARGV[6] or read_at <= kept_at)
if is_fresh(read_at) and not is_kept then
  redis.call('DEL', KEYS[15])
  redis.call('HSET', KEYS[15], 'keeper', ARGV[6], 'read_at', ARGV[7], unpack(ARGV, 9))
end
return answer(redis.call('HGETALL', KEYS[15]))
