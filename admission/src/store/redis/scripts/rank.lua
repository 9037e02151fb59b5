-- Puts places under their new rank, some at a time, after a draw.
--
-- ARGV 6 'some' or 'last'; then shopper, rank, ..
-- Returns {'OK', .., 'done'}
-- Repeating it changes nothing: the ranks of one order are always the same.

for i = 7, #ARGV, 2 do
  redis.call('ZADD', KEYS[3], 'XX', ARGV[i + 1], ARGV[i])
  redis.call('ZADD', KEYS[4], 'XX', ARGV[i + 1], ARGV[i])
end
if ARGV[6] == 'last' then
  put('ranked', head.order)
end
return answer('done')
