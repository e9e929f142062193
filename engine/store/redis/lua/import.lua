-- Keeps rows of a moved store that must not be kept twice.
-- KEYS  1 the shard
-- ARGV  1 "records": 2 job id  3 number of the first  4... texts
--       1 "progress": 2 job id  3 task id  4 number of the entry  5 text
--       1 "message": 2 bucket  3 id  4 due, ms, or "" when it is parked  5 given up, 1 or 0  6 text
-- Gives 1, or 0 when it is there already or what goes before it is not.
local shard, id = KEYS[1], ARGV[2]
if ARGV[1] == 'records' then
  local key = shard .. ':recs:' .. id
  if redis.call('LLEN', key) ~= tonumber(ARGV[3]) - 1 then return 0 end
  for first = 4, #ARGV, 4000 do
    redis.call('RPUSH', key, unpack(ARGV, first, math.min(first + 3999, #ARGV)))
  end
elseif ARGV[1] == 'progress' then
  local row, list = shard .. ':job:' .. id, shard .. ':prog:' .. id .. ':' .. ARGV[3]
  local newest = redis.call('LINDEX', list, -1)
  if newest and string.sub(newest, 1, 16) >= ARGV[4] then return 0 end
  redis.call('RPUSH', list, ARGV[4] .. ' move ' .. ARGV[5])
  redis.call('HSET', row, 'p', string.format('%d', tonumber(ARGV[4])))
  redis.call('SADD', shard .. ':progs:' .. id, ARGV[3])
else
  local bucket = shard .. ':msgs:' .. id
  if redis.call('HEXISTS', bucket, ARGV[3]) == 1 then return 0 end
  local number = string.format('%016d', redis.call('HINCRBY', shard, 'messages', 1))
  redis.call('HSET', bucket, ARGV[3], number .. ARGV[6])
  if ARGV[4] ~= '' then redis.call('ZADD', shard .. ':out', ARGV[4], number .. ARGV[3]) end
  if ARGV[5] == '1' then redis.call('ZADD', shard .. ':gone', 0, ARGV[3]) end
end
return 1
