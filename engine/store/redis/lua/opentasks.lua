-- The open tasks of a job in order of their numbers.
-- KEYS  1 the shard
-- ARGV  1 job id
-- Gives the texts, or nothing at all when there is no such job.
local shard, id = KEYS[1], ARGV[1]
local row = shard .. ':job:' .. id
if redis.call('EXISTS', row) == 0 then return false end
local out = {}
for i, member in ipairs(redis.call('ZRANGEBYLEX', shard .. ':open', '[' .. id .. '/', '(' .. id .. '0')) do
  out[i] = redis.call('HGET', row, 't' .. string.sub(member, 38))
end
return out
