-- Signs of life, all in one go.
--
-- ARGV 6.. admissions
-- Returns {'OK', .., expiries}: the new expiry of each, '' where the session is over or not renewed
-- Repeating it gives the same or a later expiry.

if settle() then
  return start_first()
end
local expiries = {}
for i = 6, #ARGV do
  local expires_at = redis.call('ZSCORE', KEYS[5], ARGV[i])
  local renewed = ''
  if expires_at and head.sliding == '1' and head.queue_all == '0' then
    local later = math.max(tonumber(expires_at), now + num('session_ms'))
    redis.call('ZADD', KEYS[5], later, ARGV[i])
    renewed = int(later)
  end
  expiries[#expiries + 1] = renewed
end
return answer(expiries)
