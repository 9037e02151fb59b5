-- Ends writing a drop's keys: from here on scripts of this era are carried out. The era comes
-- last, so that nobody ever works on half of the keys. Alone: head.lua does not stand in front of it.
--
-- KEYS as in head.lua
-- ARGV 1 era, then name, value, .. of the head
-- Returns {'OK'}, or {'STALE'} if this era is not being written, or was begun on another server: nothing was changed

local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('GET', KEYS[14]) ~= ARGV[1] .. ':' .. run then
  return {'STALE'}
end
redis.call('HSET', KEYS[1], 'run', run, 'era', ARGV[1], unpack(ARGV, 2))
redis.call('DEL', KEYS[14])
return {'OK'}
