-- Ends a session, or notes that it has ordered.
--
-- ARGV 6 admission
--      7 'end', 'completed' (ends it only where the rules say so) or 'ordered' (only noted)
--      8 leeway, for how long a token is accepted after its time
-- Returns {'OK', .., 'over', revoked_until} | {'OK', .., 'ordered'} | {'OK', .., 'nothing'}
-- Repeating it changes nothing, and says the same: the first answer may have been lost, and with it what follows from
-- it into the durable record.

if settle() then
  return start_first()
end
local admission, why = ARGV[6], ARGV[7]
if not redis.call('ZSCORE', KEYS[5], admission) then
  local revoked_until = redis.call('ZSCORE', KEYS[11], admission)
  if revoked_until then
    return answer('over', int(revoked_until))
  end
  return answer('nothing')
elseif why == 'ordered' or (why == 'completed' and head.keep_session == '1') then
  redis.call('SADD', KEYS[7], admission)
  return answer('ordered')
end
return answer('over', int(end_session(admission, tonumber(ARGV[8]))))
