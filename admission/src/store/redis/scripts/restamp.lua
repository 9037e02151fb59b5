-- Counts an admission from now on, because only now its answer leaves: the rolling minute is about when
-- somebody is told to be in. While its own stamp counts that is moved; after that it needs room, as if it
-- came now.
--
-- ARGV 6 admission; 7 held, for how long a claim counts
-- Returns {'OK', .., 'stamped'} or {'OK', .., 'full'}
-- Repeating it moves the stamp once more.

if settle() then
  return start_first()
end
local admission = ARGV[6]
if head.method ~= 'passthrough' then
  local counting = now - tonumber(ARGV[7])
  local own = redis.call('ZSCORE', KEYS[8], admission)
  if not own or tonumber(own) <= counting then
    if redis.call('ZCOUNT', KEYS[8], '(' .. int(counting), '+inf') >= num('limit_minute') then
      return answer('full')
    end
  end
  local newest = tonumber(redis.call('ZRANGE', KEYS[8], -1, -1, 'WITHSCORES')[2] or 0)
  redis.call('ZADD', KEYS[8], int(math.max(now, newest)), admission)
end
local s = session_of(admission)
if s then
  local claimed_at = int(math.max(now, s.claimed_at))
  redis.call('HSET', KEYS[6], admission, int(s.number) .. ':' .. int(s.rank) .. ':' .. claimed_at .. ':' .. s.shopper)
end
return answer('stamped')
