-- The queue at this moment, from counts and not from lists of shoppers.
--
-- ARGV 6 held, for how long a claim counts; 7 delay, how much later claims are counted at
--      8 '1' where it is asked until when each admission is revoked: there may be tens of thousands, and this runs
--        several times a second
-- Returns {'OK', .., head, calls, revoked, counts, joined_at, stock}
--   head: name, value, ..     calls: first rank, rank after, opened_at:called_at:called:shown, ..
--   revoked: admission, ..; with '1' each with the instant until when its token is to be refused
--   counts: waiting, active, ordered, claims, returning
--   joined_at of the first in line, or ''     stock: the hint as in head.lua, name, value, ..

if settle() then
  return start_first()
end
local calls = {}
local stretches = redis.call('ZRANGE', KEYS[12], 0, -1, 'WITHSCORES')
for i = 1, #stretches, 2 do
  calls[#calls + 1] = stretches[i]
  calls[#calls + 1] = int(stretches[i + 1])
  calls[#calls + 1] = redis.call('HGET', KEYS[13], stretches[i])
end
local revoked
if ARGV[8] == '1' then
  revoked = redis.call('ZRANGE', KEYS[11], 0, -1, 'WITHSCORES')
  for i = 2, #revoked, 2 do
    revoked[i] = int(revoked[i])
  end
else
  revoked = redis.call('ZRANGE', KEYS[11], 0, -1)
end
local counts = {
  redis.call('ZCOUNT', KEYS[3], head.frontier, '+inf'),
  redis.call('ZCARD', KEYS[5]),
  redis.call('SCARD', KEYS[7]),
  redis.call('ZCOUNT', KEYS[8], '(' .. int(now + tonumber(ARGV[7]) - tonumber(ARGV[6])), '+inf'),
  redis.call('ZCARD', KEYS[9]),
}
local first = redis.call('ZRANGEBYSCORE', KEYS[3], head.frontier, '+inf', 'LIMIT', 0, 1)[1]
local joined_at = first and int(member_of(first).joined_at) or ''
local shown = {}
for field, value in pairs(head) do
  shown[#shown + 1] = field
  shown[#shown + 1] = value
end
return answer(shown, calls, revoked, counts, joined_at, redis.call('HGETALL', KEYS[15]))
