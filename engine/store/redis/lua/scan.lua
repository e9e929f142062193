-- A part of a shard's tasks in one state.
-- KEYS  1 the shard
-- ARGV  1 state's number  2 where the part before ended, "" at first  3 how many to look at
--       4 the list that is walked: open (of tasks) or all (of jobs)
-- Gives where it ended ("" at the end of the list), then the texts.
local shard, state = KEYS[1], ARGV[1]
local from = ARGV[2] == '' and '-' or '(' .. ARGV[2]
local members = redis.call('ZRANGEBYLEX', shard .. ':' .. ARGV[4], from, '+', 'LIMIT', 0, ARGV[3])
local out = {#members == tonumber(ARGV[3]) and members[#members] or ''}
local function take(text)
  if text and string.sub(text, 1, 1) == state then out[#out + 1] = text end
end
for _, member in ipairs(members) do
  local row = shard .. ':job:' .. string.sub(member, 1, 36)
  if ARGV[4] == 'open' then
    take(redis.call('HGET', row, 't' .. string.sub(member, 38)))
  else
    for _, field in ipairs(redis.call('HKEYS', row)) do
      if string.match(field, '^t%d') then take(redis.call('HGET', row, field)) end
    end
  end
end
return out
