-- Appends to a task's progress and keeps the newest entries.
-- KEYS  1 the shard
-- ARGV  1 job id  2 task id  3 entries kept  4 token of this entry  5 text
-- Gives 1, or 0 when there is no such job, or when the newest entry has the token.
local shard = KEYS[1]
local row = shard .. ':job:' .. ARGV[1]
if redis.call('EXISTS', row) == 0 then return 0 end
local list = shard .. ':prog:' .. ARGV[1] .. ':' .. ARGV[2]
local newest = redis.call('LINDEX', list, -1)
if newest and string.match(newest, '^%d+ (%S+)') == ARGV[4] then return 0 end
local number = string.format('%016d', redis.call('HINCRBY', row, 'p', 1))
redis.call('RPUSH', list, number .. ' ' .. ARGV[4] .. ' ' .. ARGV[5])
redis.call('LTRIM', list, -tonumber(ARGV[3]), -1)
redis.call('SADD', shard .. ':progs:' .. ARGV[1], ARGV[2])
return 1
