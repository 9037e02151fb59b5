-- Gives a place up for good; ends its session if it has one.
--
-- ARGV 6 shopper, 7 number, 8 drawn, 9 joined_at, 10 rank: the place on the ticket
--     11 leeway, for how long a token is accepted after its time
--     12 admission it would have got
-- Returns {'OK', .., 'left', admission, revoked_until}: with '' and '' where no session ended
--         {'OK', .., 'nothing'}: there was nothing to give up
-- Repeating it changes nothing, and says the same: the first answer may have been lost, and with it what follows from
-- it into the durable record.

if settle() then
  return start_first()
end
local shopper, number, rank = ARGV[6], tonumber(ARGV[7]), tonumber(ARGV[10])
place_of(shopper, number, ARGV[8], tonumber(ARGV[9]), rank)
local m = member_of(shopper)
if not m or m.number ~= number or m.state == 'F' then
  return answer('nothing')
elseif m.state == 'L' then
  local revoked_until = redis.call('ZSCORE', KEYS[11], ARGV[12])
  if revoked_until then
    return answer('left', ARGV[12], int(revoked_until))
  end
  return answer('left', '', '')
end
local admission, revoked_until = '', ''
if m.state == 'I' then
  admission = m.admission
  revoked_until = int(end_session(admission, tonumber(ARGV[11])))
  m = member_of(shopper)
else
  no_longer_expected(rank)
  redis.call('ZREM', KEYS[3], shopper)
  redis.call('ZADD', KEYS[4], rank, shopper)
end
if m then
  m.state, m.admission = 'L', ''
  keep_member(shopper, m)
  add('left', 1)
end
return answer('left', admission, revoked_until)
