-- Sessions that stand still because everybody is held, some at a time, and when each will end if the queue goes on
-- now: what control.lua will make of it.
--
-- ARGV 6 how many to pass over, in the order of their end; 7 how many to look at, at most
-- Returns {'OK', .., ends}: admission, expires_at, .. ; nothing where no session stands still
-- Repeating it changes nothing. An ending in between may hide one from a later look.

if settle() then
  return start_first()
end
local ends = {}
if head.queue_all == '1' and head.held_since ~= '' then
  local lost, first = math.max(now - num('held_since'), 0), tonumber(ARGV[6])
  ends = redis.call('ZRANGE', KEYS[5], first, first + tonumber(ARGV[7]) - 1, 'WITHSCORES')
  for i = 2, #ends, 2 do
    ends[i] = int(tonumber(ends[i]) + lost)
  end
end
return answer(ends)
