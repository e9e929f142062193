-- Notes that a queued task went to a worker, when this is its next hand-out.
-- KEYS  1 the shard
-- ARGV  1 job id  2 task number  3 hand-outs so far, as kept  4 open, 1 or 0  5 due, ms or ""  6 text
--       7 fence, 0 none
-- Gives 1, or 0 when it is dropped. Done twice, the second is dropped.
local shard, n = KEYS[1], ARGV[2]
local row = shard .. ':job:' .. ARGV[1]
local kept = redis.call('HGET', row, 't' .. n)
if not kept or string.match(kept, '^%d+ %d+') ~= '1 ' .. ARGV[3] then return 0 end
if ARGV[7] ~= '0' and redis.call('HGET', shard, 'fence') ~= ARGV[7] then return 0 end
local member = ARGV[1] .. '/' .. n
redis.call('HSET', row, 't' .. n, ARGV[6])
if ARGV[4] ~= '1' then redis.call('ZREM', shard .. ':open', member) end
if ARGV[5] ~= '' then
  redis.call('ZADD', shard .. ':due', ARGV[5], member)
else
  redis.call('ZREM', shard .. ':due', member)
end
return 1
