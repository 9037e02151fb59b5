-- Counts a claim again that never got as far as the durable record, so that its first answer never left: who asks now is let in now, and the rolling
-- minute is about when somebody is let in.
--
-- ARGV 6 held, for how long a claim counts
-- Returns {'OK', .., 'stamped'} or {'OK', .., 'full'}
-- Repeating it counts once more: safe, and rare.

if settle() then
  return start_first()
end
local counting = '(' .. int(now - tonumber(ARGV[6]))
if head.method ~= 'passthrough' then
  if redis.call('ZCOUNT', KEYS[8], counting, '+inf') >= num('limit_minute') then
    return answer('full')
  end
  local newest = tonumber(redis.call('ZRANGE', KEYS[8], -1, -1, 'WITHSCORES')[2] or 0)
  add('claims', 1)
  redis.call('ZADD', KEYS[8], math.max(now, newest), head.claims)
end
return answer('stamped')
