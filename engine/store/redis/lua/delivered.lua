-- Removes messages of one job.
-- KEYS  1 the shard
-- ARGV  1 bucket  2... ids
-- Gives how many there were.
local shard = KEYS[1]
local bucket, n = shard .. ':msgs:' .. ARGV[1], 0
for i = 2, #ARGV do
  local kept = redis.call('HGET', bucket, ARGV[i])
  if kept then
    redis.call('HDEL', bucket, ARGV[i])
    redis.call('ZREM', shard .. ':out', string.sub(kept, 1, 16) .. ARGV[i])
    redis.call('ZREM', shard .. ':gone', ARGV[i])
    n = n + 1
  end
end
return n
