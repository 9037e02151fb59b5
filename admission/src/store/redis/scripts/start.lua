-- Starts the drop as the durable record says it has started: freezes the cohort and voids whatever
-- session there was.
--
-- ARGV 6 epoch, 7 cohort ('' without a draw)
-- Returns {'OK', .., 'done'}
-- Repeating it changes nothing.

if head.started == '0' then
  put('started', '1')
  put('epoch', tonumber(ARGV[6]))
  add('version', 1)
  while void_sessions('+inf') > 0 do end
  if ARGV[7] ~= '' then
    put('cohort', ARGV[7])
    add('order', 1)
  end
end
return answer('done')
