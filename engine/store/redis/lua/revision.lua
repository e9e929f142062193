-- Keeps a revision, notes a later use of it, or drops one that was not used since.
-- KEYS  1 the revisions
-- ARGV  1 "put": 2 hash  3 date of use, ms  4 text without files  5 text
--       1 "drop": 2 hash  3 date, ms
-- Gives 1 when it was kept or dropped, else 0.
local text = KEYS[1] .. ':' .. ARGV[2]
local kept = redis.call('HGET', KEYS[1], ARGV[2])
local used = kept and tonumber(string.match(kept, '^%-?%d+'))
local date = tonumber(ARGV[3])
if ARGV[1] == 'drop' then
  if not kept or used >= date then return 0 end
  redis.call('DEL', text)
  return redis.call('HDEL', KEYS[1], ARGV[2])
end
if not kept then
  redis.call('SET', text, ARGV[5])
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3] .. ' ' .. ARGV[4])
elseif used < date then
  redis.call('HSET', KEYS[1], ARGV[2], ARGV[3] .. string.sub(kept, #string.match(kept, '^%-?%d+') + 1))
end
return 1
