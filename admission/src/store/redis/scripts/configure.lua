-- Gives the drop its rules. Where the start is moved ahead again, sessions from before it are
-- void, and if nobody was called yet the draw will be held anew.
--
-- ARGV 6 what the gateway made durable beforehand: 'rules' (nothing), 'epoch' (a new epoch) or
--        'draw' (a new epoch and a new seed)
--      7 epoch, 8 seed: of those
--      9 the new start; then name, value, .. of the rules
-- Returns {'OK', .., 'done'}
--         {'OK', .., 'first', what, epoch}: has to be made durable first, and repeated with it
-- Repeating it changes nothing but the version.

if settle() then
  return start_first()
end
if head.started == '1' and now < tonumber(ARGV[9]) then
  local what = head.frontier == '1' and 'draw' or 'epoch'
  if ARGV[6] ~= what or num('epoch') + 1 ~= tonumber(ARGV[7]) then
    return answer('first', what, int(num('epoch') + 1))
  end
  put('epoch', tonumber(ARGV[7]))
  add('version', 1)
  while void_sessions('+inf') > 0 do end
  if what == 'draw' then
    put('started', '0')
    put('cohort', '')
    put('seed', ARGV[8])
    add('order', 1)
  end
end
for i = 10, #ARGV, 2 do
  put(ARGV[i], ARGV[i + 1])
end
add('version', 1)
if not (head.started == '0' and now >= num('event_start')) then
  settle()
end
return answer('done')
