-- Adds to a counter unless that passes its bound. A counter is kept as a claim is, and where that
-- has its token it has those of the counts that were taken last, the newest first, with commas
-- between: another count may come between two sendings of one. Those that give back begin with
-- "-" and are kept apart, for they are few, and one done twice would give something away.
-- KEYS  1 the claim
-- ARGV  1 now, ms  2 its end when it begins, ms  3 token of this count  4 what to add  5 the bound
--       6 life of the key when it begins, ms
-- Gives what stands as text, and 1 when it was taken; done twice, the second adds nothing.
local now, ends, by = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[4])
local kept, stands, life = redis.call('GET', KEYS[1]), 0, ARGV[6]
local token = (by < 0 and '-' or '') .. ARGV[3]
local tokens, room = {token}, {[true] = 16, [false] = 16} -- the kinds: does it give back?
room[by < 0] = 15
if kept then
  local was, list, n = string.match(kept, '^(%-?%d+) (%S+) (%d+)$')
  if not n then return redis.error_reply('ERR ' .. KEYS[1] .. ' holds no count') end
  if tonumber(was) > now then
    stands, ends, life = tonumber(n), was, ''
    for old in string.gmatch(list, '[^,]+') do
      if old == token then return {n, 1} end
      local back = string.sub(old, 1, 1) == '-'
      if room[back] > 0 then
        room[back] = room[back] - 1
        tokens[#tokens + 1] = old
      end
    end
  end
end
if by > 0 and stands > tonumber(ARGV[5]) - by then return {string.format('%.0f', stands), 0} end
local text = string.format('%.0f', math.max(0, stands + by))
if by ~= 0 then
  local list = table.concat(tokens, ',')
  if life == '' then
    redis.call('SET', KEYS[1], ends .. ' ' .. list .. ' ' .. text, 'KEEPTTL')
  else
    redis.call('SET', KEYS[1], ends .. ' ' .. list .. ' ' .. text, 'PX', life)
  end
end
return {text, 1}
