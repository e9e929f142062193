-- Replaces a message that is still there.
-- KEYS  1 the shard
-- ARGV  1 bucket  2 id  3 due, ms, or "" when it is parked  4 given up, 1 or 0  5 text
--       6 fence, 0 none
-- Gives 1, 0 when it is gone, or -1 when another node has the shard.
local shard, id = KEYS[1], ARGV[2]
if ARGV[6] ~= '0' and redis.call('HGET', shard, 'fence') ~= ARGV[6] then return -1 end
local bucket = shard .. ':msgs:' .. ARGV[1]
local kept = redis.call('HGET', bucket, id)
if not kept then return 0 end
local number = string.sub(kept, 1, 16)
redis.call('HSET', bucket, id, number .. ARGV[5])
if ARGV[3] ~= '' then
  redis.call('ZADD', shard .. ':out', ARGV[3], number .. id)
else
  redis.call('ZREM', shard .. ':out', number .. id)
end
if ARGV[4] == '1' then
  redis.call('ZADD', shard .. ':gone', 0, id)
else
  redis.call('ZREM', shard .. ':gone', id)
end
return 1
