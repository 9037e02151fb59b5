-- Calls, if the queue is still at the version that was decided on. In two steps: where the
-- frontier would come to stand is asked first, and made durable before it is moved.
--
-- ARGV 6 version, 7 calls
--      8 to: '' asks, else moves the frontier there
--      9 credit, 10 earned_until: the pace after it
-- Returns {'OK', .., 'stale', version}    another decision came first, or nobody may be called
--         {'OK', .., 'unranked'}          the draw is not in the keys yet
--         {'OK', .., 'to', rank} asked    {'OK', .., 'moved', rank} done
-- Repeating it is stale.

if settle() then
  return start_first()
end
if head.version ~= ARGV[6] or phase() ~= 'open' then
  return answer('stale', head.version)
elseif head.ranked ~= head.order then
  return answer('unranked')
end
local frontier, calls = num('frontier'), tonumber(ARGV[7])

if ARGV[8] == '' then
  local last = {}
  if calls > 0 then
    last = redis.call('ZRANGEBYSCORE', KEYS[3], frontier, '+inf', 'WITHSCORES', 'LIMIT', calls - 1, 1)
    if not last[2] then
      last = redis.call('ZREVRANGEBYSCORE', KEYS[3], '+inf', frontier, 'WITHSCORES', 'LIMIT', 0, 1)
    end
  end
  local to = last[2] and tonumber(last[2]) + 1 or frontier
  return answer('to', int(to))
end

local to = math.max(tonumber(ARGV[8]), frontier)
local called = redis.call('ZCOUNT', KEYS[3], frontier, '(' .. int(to))
if to > frontier then
  local last = redis.call('ZRANGE', KEYS[12], -1, -1)[1]
  local c = last and call_of(last)
  if c and c.opened_at + num('grain') > now then
    c.called_at, c.called = math.max(c.called_at, now), c.called + called
    keep_call(last, c)
    redis.call('ZADD', KEYS[12], to, last)
  else
    local at = c and math.max(now, c.called_at) or now
    keep_call(int(frontier), {opened_at = at, called_at = at, called = called, shown = 0})
    redis.call('ZADD', KEYS[12], to, int(frontier))
  end
  put('frontier', to)
end
put('credit', ARGV[9])
put('earned_until', ARGV[10])
add('version', 1)
return answer('moved', head.frontier)
