-- Who goes to order, and whether they went before.
--
-- ARGV 6 'now' (remembered) or 'perhaps' (only looked up), 7 admission, and so on in pairs
-- Returns {'OK', .., {went, ..}}: 1 if it may have gone before, also where it has no session here; else 0
-- Repeating it finds everybody gone who goes now.

local answers = {}
for i = 6, #ARGV, 2 do
  local admission = ARGV[i + 1]
  local went = redis.call('SISMEMBER', KEYS[16], admission)
  if not redis.call('ZSCORE', KEYS[5], admission) then
    went = 1
  elseif ARGV[i] == 'now' then
    redis.call('SADD', KEYS[16], admission)
  end
  answers[#answers + 1] = went
end
return answer(answers)
