-- Carries out an operator's command.
--
-- ARGV 6 'pause', 'resume', 'drain', 'end' or 'queue_all'
-- Returns {'OK', .., paused, draining, ended, queue_all, version, held_since, shifted}: the switches
--         as they stand, and admission, expires_at, .. of every session that got its time back
-- Repeating it leaves the switches as they stand.

if settle() then
  return start_first()
end
local command, shifted = ARGV[6], {}

local function give_back(since)
  local lost = math.max(now - since, 0)
  shift_calls(lost)
  return lost
end

if command == 'pause' then
  put('paused', '1')
elseif command == 'drain' then
  put('draining', '1')
elseif command == 'end' then
  put('ended', '1')
elseif command == 'queue_all' and head.queue_all == '0' then
  -- Sessions stand still from here on, claim windows perhaps from an earlier pause on: that pause
  -- is given back first, because one instant says since when both are held.
  put('queue_all', '1')
  if head.held_since ~= '' then
    give_back(num('held_since'))
  end
  put('held_since', now)
elseif command == 'resume' then
  if head.held_since ~= '' then
    local lost = give_back(num('held_since'))
    if head.queue_all == '1' then
      local all = redis.call('ZRANGE', KEYS[5], 0, -1, 'WITHSCORES')
      for i = 1, #all, 2 do
        local later = tonumber(all[i + 1]) + lost
        redis.call('ZADD', KEYS[5], later, all[i])
        shifted[#shifted + 1] = all[i]
        shifted[#shifted + 1] = int(later)
      end
    end
    put('held_since', '')
  end
  put('paused', '0')
  put('draining', '0')
  put('queue_all', '0')
end
if (head.paused == '1' or head.queue_all == '1') and head.held_since == '' then
  put('held_since', now)
end
add('version', 1)
settle()
return answer(head.paused, head.draining, head.ended, head.queue_all, head.version, head.held_since, shifted)
