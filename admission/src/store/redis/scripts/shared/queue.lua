-- What time does to a queue, and places and sessions as several scripts need them: the same
-- steps as domain::queue takes, on the keys of head.lua.

-- Most places or sessions that time takes away in one script, so that no script blocks the
-- server: what is left over is taken by the next, and refused or counted until then.
local SETTLED_MAX = 1000

local function member_of(shopper)
  local value = redis.call('HGET', KEYS[2], shopper)
  if not value then
    return nil
  end
  local state, number, drawn, joined_at, admission = string.match(value, '^(%a):(%d+):(%d*):(%d+):(.*)$')
  return {state = state, number = tonumber(number), drawn = drawn, joined_at = tonumber(joined_at), admission = admission}
end

local function keep_member(shopper, m)
  local value = m.state .. ':' .. int(m.number) .. ':' .. m.drawn .. ':' .. int(m.joined_at) .. ':' .. m.admission
  redis.call('HSET', KEYS[2], shopper, value)
end

local function forget_member(shopper)
  local m = member_of(shopper)
  redis.call('HDEL', KEYS[2], shopper)
  if m then
    gone[#gone + 1] = shopper
    gone[#gone + 1] = int(m.number)
  end
end

local function session_of(admission)
  local value = redis.call('HGET', KEYS[6], admission)
  if not value then
    return nil
  end
  local number, rank, claimed_at, shopper = string.match(value, '^(%d+):(%d+):(%d+):(.*)$')
  return {number = tonumber(number), rank = tonumber(rank), claimed_at = tonumber(claimed_at), shopper = shopper}
end

-- A session that is over for whatever reason: its shopper is no longer inside.
local function session_over(admission)
  local s = session_of(admission)
  redis.call('ZREM', KEYS[5], admission)
  redis.call('HDEL', KEYS[6], admission)
  redis.call('SREM', KEYS[7], admission)
  redis.call('SREM', KEYS[16], admission)
  if not s then
    return
  end
  local m = member_of(s.shopper)
  if not m or m.state ~= 'I' or m.admission ~= admission then
    return
  end
  if s.rank < num('lapsed_below') then
    forget_member(s.shopper)
  else
    m.state, m.admission = 'F', ''
    keep_member(s.shopper, m)
    redis.call('ZADD', KEYS[4], s.rank, s.shopper)
  end
end

local function void_sessions(until_)
  local over = redis.call('ZRANGEBYSCORE', KEYS[5], '-inf', until_, 'LIMIT', 0, SETTLED_MAX)
  for _, admission in ipairs(over) do
    session_over(admission)
    ended[#ended + 1] = admission
  end
  return #over
end

local function no_longer_expected(rank)
  redis.call('ZREM', KEYS[9], int(rank))
  redis.call('ZREM', KEYS[10], int(rank))
end

local function is_expected(rank)
  return redis.call('ZSCORE', KEYS[9], int(rank)) ~= false
end

-- How many are expected back whose turn comes before this rank's.
local function ahead_of(rank)
  return redis.call('ZCOUNT', KEYS[9], '-inf', '(' .. int(rank))
end

-- Remembers who is expected back; beyond the bound the highest rank is forgotten.
local function expect(rank, until_, returning_max)
  no_longer_expected(rank)
  if redis.call('ZCARD', KEYS[9]) >= returning_max then
    local last = redis.call('ZRANGE', KEYS[9], -1, -1)[1]
    if tonumber(last) <= rank then
      return
    end
    no_longer_expected(last)
  end
  redis.call('ZADD', KEYS[9], rank, int(rank))
  redis.call('ZADD', KEYS[10], until_, int(rank))
end

-- Claim windows are measured at an instant that stands still while the queue is held.
local function lapse_clock()
  if head.held_since ~= '' then
    return math.min(num('held_since'), now)
  end
  return now
end

local function call_of(from)
  local opened_at, called_at, called, shown =
    string.match(redis.call('HGET', KEYS[13], from), '^(%d+):(%d+):(%d+):(%d+)$')
  return {opened_at = tonumber(opened_at), called_at = tonumber(called_at), called = tonumber(called), shown = tonumber(shown)}
end

local function keep_call(from, c)
  local value = int(c.opened_at) .. ':' .. int(c.called_at) .. ':' .. int(c.called) .. ':' .. int(c.shown)
  redis.call('HSET', KEYS[13], from, value)
end

-- Drops the calls whose patience is over, but none that reaches somebody expected back.
local function forget_calls()
  local keep = redis.call('ZRANGE', KEYS[9], 0, 0)[1]
  while true do
    local first = redis.call('ZRANGE', KEYS[12], 0, 0, 'WITHSCORES')
    if not first[1] then
      return
    end
    local to = tonumber(first[2])
    if keep and to > tonumber(keep) then
      return
    end
    if call_of(first[1]).called_at + num('patience') > lapse_clock() then
      return
    end
    put('lapsed_below', to)
    redis.call('ZREM', KEYS[12], first[1])
    redis.call('HDEL', KEYS[13], first[1])
  end
end

-- Forgets the places below the history: nobody came for them.
local function forget_places()
  local below = '(' .. head.lapsed_below
  local absent = redis.call('ZRANGEBYSCORE', KEYS[3], '-inf', below, 'LIMIT', 0, SETTLED_MAX)
  for _, shopper in ipairs(absent) do
    redis.call('ZREM', KEYS[3], shopper)
    forget_member(shopper)
  end
  if #absent > 0 then
    add('no_shows', #absent)
  end
  for _, shopper in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', below, 'LIMIT', 0, SETTLED_MAX)) do
    redis.call('ZREM', KEYS[4], shopper)
    forget_member(shopper)
  end
end

-- Turnover, as domain::turnover counts it: the time that sessions ran, over those that ended.
local function pass(running)
  if running > 0 and now > num('looked_at') then
    add('ran', (now - num('looked_at')) * running)
  end
  put('looked_at', math.max(num('looked_at'), now))
end

local function note_turned()
  add('turned', 1)
  if num('turned') >= math.max(2 * num('limit_active'), 64) then
    put('turned', math.floor(num('turned') / 2))
    put('ran', math.floor(num('ran') / 2))
  end
end

-- Lets time take effect. True if the drop has to start first; then nothing was changed.
local function settle()
  if head.started == '0' and now >= num('event_start') then
    return true
  end
  if head.queue_all == '0' then
    pass(redis.call('ZCARD', KEYS[5]))
    for _ = 1, void_sessions(now) do
      note_turned()
    end
  else
    pass(0)
  end
  for _, rank in ipairs(redis.call('ZRANGEBYSCORE', KEYS[10], '-inf', now)) do
    no_longer_expected(rank)
  end
  forget_calls()
  forget_places()
  redis.call('ZREMRANGEBYSCORE', KEYS[11], '-inf', now)
  return false
end

-- What {'START', ...} says: the cohort of the draw, where one is to be held.
local function start_first()
  if head.shuffles == '1' and head.frontier == '1' then
    return {'START', head.issued}
  end
  return {'START', ''}
end

local function phase()
  if head.ended == '1' or (head.event_end ~= '' and now >= num('event_end')) then
    return 'ended'
  elseif now < num('event_start') then
    return now < num('prequeue_start') and 'scheduled' or 'prequeue'
  elseif ARGV[5] == 'gone' then
    return 'sold_out'
  elseif head.paused == '1' or head.queue_all == '1' then
    return 'paused'
  elseif head.draining == '1' then
    return 'draining'
  end
  return 'open'
end

-- Puts a place in line, instead of an older one that is over.
local function put_in_line(shopper, m, rank)
  local line = redis.call('ZSCORE', KEYS[3], shopper)
  local past = line or redis.call('ZSCORE', KEYS[4], shopper)
  if past then
    redis.call('ZREM', KEYS[3], shopper)
    redis.call('ZREM', KEYS[4], shopper)
    no_longer_expected(past)
  end
  if line then
    add('no_shows', 1)
  end
  redis.call('ZADD', KEYS[3], rank, shopper)
  put('issued', math.max(num('issued'), m.number))
  keep_member(shopper, m)
end

-- How the place on a ticket stands: 'ok', 'lapsed', 'left' or 'finished'. A place that was lost
-- is taken up again: the ticket proves that it was given.
local function place_of(shopper, number, drawn, joined_at, rank)
  local m = member_of(shopper)
  if m and m.number == number then
    local words = {Q = 'ok', I = 'ok', F = 'finished', L = 'left'}
    return words[m.state]
  end
  if m and (m.number > number or m.state == 'I') then
    return 'left'
  end
  if rank < num('lapsed_below') then
    return 'lapsed'
  end
  put_in_line(shopper, {state = 'Q', number = number, drawn = drawn, joined_at = joined_at, admission = ''}, rank)
  return 'ok'
end

-- When a rank was called: a time, 'waiting' or 'forgotten'; and the first rank of its stretch.
local function called_at_of(rank)
  if rank < num('lapsed_below') then
    return 'forgotten'
  end
  local from = redis.call('ZRANGEBYSCORE', KEYS[12], '(' .. int(rank), '+inf', 'LIMIT', 0, 1)[1]
  if not from then
    return 'waiting'
  end
  return call_of(from).called_at, from
end

local function has_lapsed(rank)
  local called_at = called_at_of(rank)
  if called_at == 'waiting' then
    return false
  elseif called_at == 'forgotten' then
    return true
  end
  return called_at + num('patience') <= lapse_clock() and not is_expected(rank)
end

-- Moves every call later by time in which nobody could have claimed.
local function shift_calls(lost)
  for _, from in ipairs(redis.call('ZRANGE', KEYS[12], 0, -1)) do
    local c = call_of(from)
    c.opened_at, c.called_at = c.opened_at + lost, c.called_at + lost
    keep_call(from, c)
  end
end

-- Ends a session before its time. Its token does not know: until it dies it is on the list.
local function end_session(admission, leeway)
  local expires_at = redis.call('ZSCORE', KEYS[5], admission)
  session_over(admission)
  note_turned()
  redis.call('ZADD', KEYS[11], tonumber(expires_at) + leeway, admission)
  return tonumber(expires_at) + leeway
end
