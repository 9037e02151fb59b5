-- Stands in front of every script that works on a drop.
--
-- KEYS, the same for every script (names: keys.rs)
--   1 head       hash: the queue as a whole, and the rules in force
--   2 members    hash: shopper -> state:number:drawn:joined_at:admission
--   3 queued     zset: shoppers in line, by rank
--   4 over       zset: shoppers whose place is used or given up, by rank
--   5 sessions   zset: admissions, by the instant they end
--   6 session    hash: admission -> number:rank:claimed_at:shopper
--   7 ordered    set:  admissions that have ordered
--   8 window     zset: claims of the last minute, by their instant: named by their admission, where that is known
--   9 returning  zset: ranks expected back, by rank
--  10 until      zset: ranks expected back, by until when
--  11 revoked    zset: admissions ended early, by when their token dies
--  12 calls      zset: first ranks of the stretches called, by the first rank after
--  13 call       hash: first rank -> opened_at:called_at:called:shown
--  14 rebuild    string: era:run_id, the era that is being written and on which server, while one is
--  15 stock      hash: the stock hint: keeper, read_at, and sku:SKU -> total:held:sold
--  16 went       set:  admissions with a session that may have gone to order
--
-- ARGV, the same for every script
--   1 era        of the keys, as the durable record has it
--   2 beat       the highest beat this gateway was ever answered in this era
--   3 order      the order of ranks this gateway computes with
--   4 now        milliseconds
--   5 stock      'left' or 'gone'
--   then the operation's own
--
-- Returns, before the operation's own
--   {'STALE'}                          not these keys, or an older state of them: nothing was changed
--   {'ORDER', order, cohort, seed}     ranks were computed with another order: nothing was changed
--   {'START', cohort}                  the drop has to start first (cohort '' without a draw): nothing was changed
--   {'OK', beat, gone, ended, ...}     gone: shopper, number, .. forgotten; ended: admissions whose time was over

local head = {}
local fields = redis.call('HGETALL', KEYS[1])
for i = 1, #fields, 2 do
  head[fields[i]] = fields[i + 1]
end

-- A server that was started anew, or another one, may hold an older state of every key, this
-- one's epoch included. Its own name is the one thing that it cannot have from a file.
local run = string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
if head.era ~= ARGV[1] or head.run ~= run or tonumber(head.beat) < tonumber(ARGV[2]) then
  return {'STALE'}
end
if head.order ~= ARGV[3] then
  return {'ORDER', head.order, head.cohort, head.seed}
end

-- The first write, because a server without memory left refuses it: then nothing was changed. Later
-- writes of the same script are not refused for that, so no script is ever carried out by half.
head.beat = redis.call('HINCRBY', KEYS[1], 'beat', 1)

local now = tonumber(ARGV[4])
local gone, ended = {}, {}
local changed = {}

-- Lua writes large numbers with an exponent unless told not to.
local function int(value)
  return string.format('%.0f', value)
end

local function num(field)
  return tonumber(head[field])
end

local function put(field, value)
  if type(value) == 'number' then
    value = int(value)
  end
  head[field] = value
  changed[field] = value
end

local function add(field, by)
  put(field, num(field) + by)
end

-- Writes what changed.
local function answer(...)
  local words = {}
  for field, value in pairs(changed) do
    words[#words + 1] = field
    words[#words + 1] = value
  end
  if words[1] then
    redis.call('HSET', KEYS[1], unpack(words))
  end
  return {'OK', int(head.beat), gone, ended, ...}
end
