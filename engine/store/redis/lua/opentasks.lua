-- Open tasks of a job in order of their numbers.
-- KEYS  1 the shard
-- ARGV  1 job id  2 number after which they begin  3 most tasks  4 bytes: what passes them is the last
-- Gives "more" or "end", then the texts; nothing at all when there is no such job.
local shard, id = KEYS[1], ARGV[1]
local row, most, bytes = shard .. ':job:' .. id, tonumber(ARGV[3]), 0
if redis.call('EXISTS', row) == 0 then return false end
local out = {'end'}
local members = redis.call('ZRANGEBYLEX', shard .. ':open', '(' .. id .. '/' .. ARGV[2], '(' .. id .. '0', 'LIMIT', 0, most + 1)
for i, member in ipairs(members) do
  if i > most or bytes > tonumber(ARGV[4]) then
    out[1] = 'more'
    break
  end
  local text = redis.call('HGET', row, 't' .. string.sub(member, 38))
  if text then
    out[#out + 1], bytes = text, bytes + #text
  end
end
return out
