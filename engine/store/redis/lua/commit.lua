-- One commit: all of a change or nothing.
-- KEYS  1 the shard
-- ARGV  1 job id         2 token of this commit   3 base version, 0 inserts  4 fence, 0 none
--       5 version        6 status                 7 class: live, done or bad 8 ready, 1 or 0
--       9 due, ms or ""  10 close tasks, 1 or 0   11 blueprint               12 client or ""
--       13 parent or ""  14 row                   15 initial data or ""      16 state_history or ""
--       17 the key of the shard with the blueprint's data stores, "-" when none is read or written, ""
--       when prepare.lua has kept what concerns them; then six lists, each with its length first:
--       records: text | reads: store, key, version | tasks: number, open, due, text
--       results: key, task id, text | messages: id, bucket, due, text
--       writes: store, key, version (0: give one, -: remove), text
-- Gives "" when it was done, be it by an earlier sending of the same token; else why nothing was:
--       "exists", "conflict", "fenced N", "read STORE-LENGTH STORE KEY", "pending TOKEN SHARD" when
--       writes are kept for another commit, "void" when this one was given up
local shard, id, token = KEYS[1], ARGV[1], ARGV[2]
local row = shard .. ':job:' .. id
local old = redis.call('HMGET', row, 'v', 's', 'q')
local base, status = ARGV[3], ARGV[6]

local values = ARGV[17]
local fate = values == '' and shard .. ':fate:' .. token
if fate and redis.call('GET', fate) == 'void' then return 'void' end
if old[3] == token and old[1] == ARGV[5] then return '' end
if base == '0' and old[1] then return 'exists' end
if ARGV[4] ~= '0' then
  local fence = redis.call('HGET', shard, 'fence')
  if fence ~= ARGV[4] then return 'fenced ' .. (fence or '0') end
end
if base ~= '0' and old[1] ~= base then return 'conflict' end

if values ~= '' and values ~= '-' then
  local kept = redis.call('HMGET', values .. ':pend', 't', 'j')
  if kept[1] then return 'pending ' .. kept[1] .. ' ' .. kept[2] end
end

local at = 18
local function length()
  local n = tonumber(ARGV[at])
  at = at + 1
  return n
end
-- A list too long for one call (Lua passes at most 8000 values) goes in several.
local function call(command, key, list)
  for first = 1, #list, 4000 do
    redis.call(command, key, unpack(list, first, math.min(first + 3999, #list)))
  end
end

local records = {}
for i = 1, length() do
  records[i] = ARGV[at]
  at = at + 1
end
for _ = 1, length() do
  local name, key = ARGV[at], ARGV[at + 1]
  local kept = redis.call('HGET', values .. ':vals:' .. name, key)
  if (kept and string.match(kept, '^%d+') or '0') ~= ARGV[at + 2] then
    return 'read ' .. #name .. ' ' .. name .. key
  end
  at = at + 3
end

-- From here on everything is written. The first call is one that a full server refuses, so that
-- a refusal leaves nothing behind.
local set = {'v', ARGV[5], 's', status, 'q', token, 'b', ARGV[14]}
if ARGV[15] ~= '' then
  set[#set + 1] = 'i'
  set[#set + 1] = ARGV[15]
end
if ARGV[16] ~= '' then
  set[#set + 1] = 'h'
  set[#set + 1] = ARGV[16]
end
redis.call('HSET', row, unpack(set))
if fate then redis.call('SET', fate, 'done') end
call('RPUSH', shard .. ':recs:' .. id, records)

local open, shut, dated, undated = {}, {}, {}, {}
if ARGV[10] == '1' then
  for _, member in ipairs(redis.call('ZRANGEBYLEX', shard .. ':open', '[' .. id .. '/', '(' .. id .. '0')) do
    local field = 't' .. string.sub(member, 38)
    redis.call('HSET', row, field, '5' .. string.sub(redis.call('HGET', row, field), 2))
    shut[#shut + 1] = member
  end
  call('ZREM', shard .. ':open', shut)
  call('ZREM', shard .. ':due', shut)
  shut = {}
end
set = {}
for _ = 1, length() do
  local n, due = ARGV[at], ARGV[at + 2]
  local member = id .. '/' .. n
  set[#set + 1] = 't' .. n
  set[#set + 1] = ARGV[at + 3]
  if ARGV[at + 1] == '1' then
    open[#open + 1] = 0
    open[#open + 1] = member
  else
    shut[#shut + 1] = member
  end
  if due ~= '' then
    dated[#dated + 1] = due
    dated[#dated + 1] = member
  else
    undated[#undated + 1] = member
  end
  at = at + 4
end
if ARGV[9] ~= '' then
  dated[#dated + 1] = ARGV[9]
  dated[#dated + 1] = id
elseif base ~= '0' then
  undated[#undated + 1] = id
end
call('HSET', row, set)
call('ZADD', shard .. ':open', open)
call('ZREM', shard .. ':open', shut)
call('ZADD', shard .. ':due', dated)
call('ZREM', shard .. ':due', undated)
if ARGV[8] == '1' then
  redis.call('ZADD', shard .. ':ready', 0, id)
elseif base ~= '0' then
  redis.call('ZREM', shard .. ':ready', id)
end

if base == '0' then
  redis.call('ZADD', shard .. ':all', 0, id)
  redis.call('ZADD', shard .. ':bp:' .. ARGV[11], 0, id)
  if ARGV[12] ~= '' then redis.call('ZADD', shard .. ':cl:' .. ARGV[12], 0, id) end
  if ARGV[13] ~= '' then redis.call('ZADD', shard .. ':kids:' .. ARGV[13], 0, id) end
end
if old[2] ~= status then
  local classes = {finished = 'done', failed = 'bad', cancelled = 'bad', quarantined = 'bad'}
  local was = old[2] and (classes[old[2]] or 'live') or 'done'
  local is = ARGV[7]
  if was ~= is then
    if was ~= 'done' then redis.call('ZREM', shard .. ':' .. was, id) end
    if is ~= 'done' then redis.call('ZADD', shard .. ':' .. is, 0, id) end
  end
  if old[2] then redis.call('HINCRBY', shard, 'n:' .. old[2], -1) end
  redis.call('HINCRBY', shard, 'n:' .. status, 1)
end

for _ = 1, length() do
  redis.call('HSETNX', row, 'g' .. ARGV[at], '')
  redis.call('HSET', shard .. ':res:' .. id .. ':' .. ARGV[at], ARGV[at + 1], ARGV[at + 2])
  at = at + 3
end
for _ = 1, length() do
  local number = string.format('%016d', redis.call('HINCRBY', shard, 'messages', 1))
  if redis.call('HSETNX', shard .. ':msgs:' .. ARGV[at + 1], ARGV[at], number .. ARGV[at + 3]) == 1 then
    redis.call('ZADD', shard .. ':out', ARGV[at + 2], number .. ARGV[at])
  end
  at = at + 4
end
for _ = 1, length() do
  local name, key, version = ARGV[at], ARGV[at + 1], ARGV[at + 2]
  if version == '-' then
    redis.call('HDEL', values .. ':vals:' .. name, key)
    redis.call('ZREM', values .. ':vkeys:' .. name, key)
    if redis.call('EXISTS', values .. ':vals:' .. name) == 0 then redis.call('SREM', values .. ':stores', name) end
  else
    if version == '0' then version = string.format('%d', redis.call('HINCRBY', values, 'values', 1)) end
    redis.call('HSET', values .. ':vals:' .. name, key, version .. ' ' .. ARGV[at + 3])
    redis.call('ZADD', values .. ':vkeys:' .. name, 0, key)
    redis.call('SADD', values .. ':stores', name)
  end
  at = at + 4
end
return ''
