-- Writes some of a drop's keys. Alone: head.lua does not stand in front of it.
--
-- KEYS as in head.lua
-- ARGV 1 era, 2 'HSET', 'ZADD' or 'SADD', 3 which key, then what to write
-- Returns {'OK'}, or {'STALE'} if this era is not being written, or was begun on another server: nothing was changed
-- Repeating it changes nothing.

-- A server that was started anew in between may hold some of what was written, and not all of it.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if redis.call('GET', KEYS[14]) ~= ARGV[1] .. ':' .. run then
  return {'STALE'}
end
redis.call(ARGV[2], KEYS[tonumber(ARGV[3])], unpack(ARGV, 4))
return {'OK'}
