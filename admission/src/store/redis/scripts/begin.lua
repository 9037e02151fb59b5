-- Begins to write a drop's keys anew. Alone: head.lua does not stand in front of it.
--
-- KEYS as in head.lua
-- ARGV 1 era
-- Returns {'OK'}, or {'STALE'} if a later era is there or being written: nothing was changed

local era = tonumber(ARGV[1])
local being = tonumber(string.match(redis.call('GET', KEYS[14]) or '0', '^%d+'))
local there = tonumber(redis.call('HGET', KEYS[1], 'era') or 0)
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
local alive = redis.call('HGET', KEYS[1], 'run') == run
if being > era or there > era or (there == era and alive) then
  return {'STALE'}
end
redis.call('UNLINK', unpack(KEYS))
redis.call('SET', KEYS[14], ARGV[1] .. ':' .. run)
return {'OK'}
