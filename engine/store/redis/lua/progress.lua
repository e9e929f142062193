-- Appends to a task's progress and keeps the newest entries of the task, and of the job.
-- KEYS  1 the shard
-- ARGV  1 job id  2 task id  3 entries kept of a task  4 token of this entry  5 text
--       6 entries kept of the job  7 entries left when they are too many
-- Gives 1, or 0 when there is no such job, or when the newest entry has the token.
local shard = KEYS[1]
local row = shard .. ':job:' .. ARGV[1]
if redis.call('EXISTS', row) == 0 then return 0 end
local lists, tasks = shard .. ':prog:' .. ARGV[1] .. ':', shard .. ':progs:' .. ARGV[1]
local list = lists .. ARGV[2]
local newest = redis.call('LINDEX', list, -1)
if newest and string.match(newest, '^%d+ (%S+)') == ARGV[4] then return 0 end
-- How many there are: a row of before, or of a moved store, does not say it.
local count = tonumber(redis.call('HGET', row, 'n') or '')
if not count or count >= tonumber(ARGV[6]) then
  local heads = {}
  count = 0
  for _, task in ipairs(redis.call('SMEMBERS', tasks)) do
    count = count + redis.call('LLEN', lists .. task)
    heads[#heads + 1] = {redis.call('LINDEX', lists .. task, 0) or '', task}
  end
  if count >= tonumber(ARGV[6]) then
    -- The oldest entry is at the head of one of the lists; one call takes a thousand at most.
    for _ = 1, math.min(count - tonumber(ARGV[7]) + 1, 1000) do
      local oldest = 1
      for i = 2, #heads do
        if heads[i][1] < heads[oldest][1] then oldest = i end
      end
      local task = heads[oldest][2]
      redis.call('LPOP', lists .. task)
      count = count - 1
      heads[oldest][1] = redis.call('LINDEX', lists .. task, 0)
      if not heads[oldest][1] then
        redis.call('SREM', tasks, task)
        table.remove(heads, oldest)
      end
    end
  end
end
local number = string.format('%016d', redis.call('HINCRBY', row, 'p', 1))
local length = redis.call('RPUSH', list, number .. ' ' .. ARGV[4] .. ' ' .. ARGV[5])
redis.call('LTRIM', list, -tonumber(ARGV[3]), -1)
redis.call('HSET', row, 'n', string.format('%d', count + 1 - math.max(length - tonumber(ARGV[3]), 0)))
redis.call('SADD', tasks, ARGV[2])
return 1
