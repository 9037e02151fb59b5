-- Gives places, all in one go, in the order of the requests.
--
-- ARGV 6 bound: numbers up to this one are safe to give, the durable record says
--      7 how many requests, then for each: shopper, offset (added to the frontier where a rank is
--      drawn), number, drawn, joined_at, rank of the place on the ticket ('' without one)
-- Returns {'OK', .., answers}: for each {kind, number, drawn, joined_at}, kind one of 'new', 'again',
--         'closed', 'full', or a phase in which nobody joins
--         {'OK', .., 'BLOCK', number}: numbers up to this one may be needed; nobody was given a place
-- Repeating it gives the same places.

if settle() then
  return start_first()
end
put('bound', math.max(num('bound'), tonumber(ARGV[6])))
local count = tonumber(ARGV[7])
local highest = num('issued')
for i = 0, count - 1 do
  highest = math.max(highest, tonumber(ARGV[10 + 6 * i]) or 0)
end
if highest + count > num('bound') then
  return answer('BLOCK', int(highest + count))
end

local joins = {prequeue = true, open = true, paused = true}

local function join(shopper, offset)
  local m = member_of(shopper)
  if m then
    local alive = m.state == 'I'
    if m.state == 'Q' then
      alive = not has_lapsed(tonumber(redis.call('ZSCORE', KEYS[3], shopper)))
    end
    if alive then
      return {'again', int(m.number), m.drawn, int(m.joined_at)}
    end
  end
  if head.method == 'reject' then
    return {'closed'}
  elseif not joins[phase()] then
    return {phase()}
  elseif redis.call('HLEN', KEYS[2]) >= num('capacity') then
    return {'full'}
  end
  local number, drawn = num('issued') + 1, ''
  local rank = number
  if head.method == 'random' then
    rank = num('frontier') + tonumber(offset)
    drawn = int(rank)
  end
  add('joined', 1)
  put_in_line(shopper, {state = 'Q', number = number, drawn = drawn, joined_at = now, admission = ''}, rank)
  return {'new', int(number), drawn, int(now)}
end

local answers = {}
for i = 0, count - 1 do
  local at = 8 + 6 * i
  local shopper = ARGV[at]
  if ARGV[at + 2] ~= '' then
    place_of(shopper, tonumber(ARGV[at + 2]), ARGV[at + 3], tonumber(ARGV[at + 4]), tonumber(ARGV[at + 5]))
  end
  answers[#answers + 1] = join(shopper, ARGV[at + 1])
end
return answer(answers)
