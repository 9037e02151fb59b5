-- Counts admissions from a later instant on, because only then their answer leaves: the rolling minute is about when
-- somebody is told to be in. While its own stamp counts that is moved; after that it needs room, as if it came now,
-- and who finds none is expected back like anybody who meets a full room.
--
-- ARGV 6 held, for how long a claim counts
--      7 kept, for how long a turn is; 8 returning_max
--      then for each: admission, answered_at: '' where it is about to be answered, now; else when it was answered:
--      then it counts from there, whether there is room or not
-- Returns {'OK', .., answers}: for each 'stamped' or 'full'
-- Repeating it moves the stamps once more of those that are about to be answered.

if settle() then
  return start_first()
end
local counting = now - tonumber(ARGV[6])

local function has_room(admission, s)
  local own = redis.call('ZSCORE', KEYS[8], admission)
  if own and tonumber(own) > counting then
    return true
  end
  local claimed = redis.call('ZCOUNT', KEYS[8], '(' .. int(counting), '+inf')
  return num('limit_minute') - claimed > (s and ahead_of(s.rank) or 0)
end

local function restamp(admission, answered_at)
  local s, stamp = session_of(admission), tonumber(answered_at) or now
  if head.method ~= 'passthrough' then
    if answered_at == '' and not has_room(admission, s) then
      if s then
        expect(s.rank, now + tonumber(ARGV[7]), tonumber(ARGV[8]))
      end
      return 'full'
    end
    local newest = tonumber(redis.call('ZRANGE', KEYS[8], -1, -1, 'WITHSCORES')[2] or 0)
    redis.call('ZADD', KEYS[8], int(math.max(stamp, newest)), admission)
  end
  if s then
    no_longer_expected(s.rank)
    local claimed_at = int(math.max(stamp, s.claimed_at))
    redis.call('HSET', KEYS[6], admission, int(s.number) .. ':' .. int(s.rank) .. ':' .. claimed_at .. ':' .. s.shopper)
  end
  return 'stamped'
end

local answers = {}
for i = 9, #ARGV, 2 do
  answers[#answers + 1] = restamp(ARGV[i], ARGV[i + 1])
end
return answer(answers)
