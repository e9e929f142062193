-- A part of a shard's list of jobs, newest first, of those in some states only.
-- KEYS  1 the shard
-- ARGV  1 name of the list  2 id before which it begins, "" at first  3 how many to look at
--       4 how many to give at most  5 a second list that the jobs must be in, or ""  6... statuses; none: any
-- Gives the id at which it stopped ("" at the end of the list), then the ids.
local shard = KEYS[1]
local from = ARGV[2] == '' and '+' or '(' .. ARGV[2]
local ids = redis.call('ZREVRANGEBYLEX', shard .. ':' .. ARGV[1], from, '-', 'LIMIT', 0, ARGV[3])
local wanted = {}
for i = 6, #ARGV do wanted[ARGV[i]] = true end
local out = {#ids == tonumber(ARGV[3]) and ids[#ids] or ''}
for _, id in ipairs(ids) do
  if (#ARGV < 6 or wanted[redis.call('HGET', shard .. ':job:' .. id, 's')])
      and (ARGV[5] == '' or redis.call('ZSCORE', shard .. ':' .. ARGV[5], id)) then
    out[#out + 1] = id
    if #out > tonumber(ARGV[4]) then
      out[1] = id
      break
    end
  end
end
return out
