-- A shopper turns up: the one place where both hard limits are compared.
--
-- ARGV 6 shopper, 7 number, 8 drawn, 9 joined_at, 10 rank: the place on the ticket
--     11 admission it would get
--     12 held, for how long a claim counts against the rolling minute
--     13 returning_max, 14 retry_min, 15 retry_max, 16 slack: for those who meet a full room
-- Returns {'OK', .., kind, ..}:
--   'admitted' or 'again', admission, expires_at, claimed_at
--   'not_called', frontier, waiting     'room_full', retry_after
--   'lapsed' 'left' 'finished' 'paused' 'not_open' 'sold_out' 'ended'
-- Repeating it admits once.

if settle() then
  return start_first()
end
local shopper, number, rank, admission = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[10]), ARGV[11]
local held = tonumber(ARGV[12])

local m = member_of(shopper)
if m and m.number == number and m.state == 'I' then
  local expires_at = redis.call('ZSCORE', KEYS[5], m.admission)
  if expires_at then
    return answer('again', m.admission, int(expires_at), int(session_of(m.admission).claimed_at))
  end
end

local refusals = {scheduled = 'not_open', prequeue = 'not_open', paused = 'paused', sold_out = 'sold_out', ended = 'ended'}
if refusals[phase()] then
  return answer(refusals[phase()])
elseif head.method == 'reject' then
  return answer('not_open')
end
local place = place_of(shopper, number, ARGV[8], tonumber(ARGV[9]), rank)
if place ~= 'ok' then
  return answer(place)
end

-- What still counts was stamped after this instant.
local counting = '(' .. int(now - held)
local function claims()
  return redis.call('ZCOUNT', KEYS[8], counting, '+inf')
end

local function let_in()
  local expires_at = now + num('session_ms')
  local m = member_of(shopper)
  redis.call('ZREM', KEYS[3], shopper)
  m.state, m.admission = 'I', admission
  keep_member(shopper, m)
  redis.call('ZADD', KEYS[5], expires_at, admission)
  redis.call('HSET', KEYS[6], admission, int(number) .. ':' .. int(rank) .. ':' .. int(now) .. ':' .. shopper)
  no_longer_expected(rank)
  add('admitted', 1)
  put('active_max', math.max(num('active_max'), redis.call('ZCARD', KEYS[5])))
  put('claims_max', math.max(num('claims_max'), claims()))
  return answer('admitted', admission, int(expires_at), int(now))
end

if head.method == 'passthrough' then
  return let_in()
end

local called_at, from = called_at_of(rank)
if called_at == 'waiting' then
  local waiting = redis.call('ZCOUNT', KEYS[3], head.frontier, '+inf')
  return answer('not_called', head.frontier, int(waiting))
elseif has_lapsed(rank) then
  return answer('lapsed')
end
if from and not is_expected(rank) then
  local c = call_of(from)
  c.shown = math.min(c.shown + 1, c.called)
  keep_call(from, c)
end

local active, active_limit = redis.call('ZCARD', KEYS[5]), num('limit_active')
local claimed, minute_limit = claims(), num('limit_minute')
local free = math.max(math.min(active_limit - active, minute_limit - claimed), 0)
local ahead = ahead_of(rank)

-- How long until more than `ahead` places are free, if nobody leaves early; none where unknown.
local function room_in()
  local needed = ahead + 1
  if minute_limit < needed then
    return nil
  end
  local by_rate, by_slots = now, now
  local leaving = claimed - (minute_limit - needed)
  if leaving > 0 then
    local stamp = redis.call('ZRANGEBYSCORE', KEYS[8], counting, '+inf', 'WITHSCORES', 'LIMIT', leaving - 1, 1)[2]
    if not stamp then
      return nil
    end
    by_rate = tonumber(stamp) + held
  end
  local over = active + needed - active_limit
  if over > 0 then
    local nth = math.min(over - 1, 64)
    local ends = redis.call('ZRANGE', KEYS[5], nth, nth, 'WITHSCORES')[2]
    if not ends then
      return nil
    end
    by_slots = tonumber(ends)
  end
  return math.max(math.max(by_rate, by_slots) - now, 0)
end

if free <= ahead then
  local retry_max = tonumber(ARGV[15])
  local retry_after = math.min(math.max(room_in() or retry_max, tonumber(ARGV[14])), retry_max)
  expect(rank, now + retry_after + tonumber(ARGV[16]), tonumber(ARGV[13]))
  add('room_full', 1)
  return answer('room_full', int(retry_after))
end

redis.call('ZREMRANGEBYSCORE', KEYS[8], '-inf', int(now - held))
local newest = tonumber(redis.call('ZRANGE', KEYS[8], -1, -1, 'WITHSCORES')[2] or 0)
redis.call('ZADD', KEYS[8], math.max(now, newest), admission)
return let_in()
