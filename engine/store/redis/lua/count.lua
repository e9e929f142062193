-- Adds to a counter unless that passes its bound. A counter is kept as a claim is.
-- KEYS  1 the claim
-- ARGV  1 now, ms  2 its end when it begins, ms  3 token of this count  4 what to add  5 the bound
--       6 life of the key when it begins, ms
-- Gives what stands as text, and 1 when it was taken; done twice, the second adds nothing.
local now, ends, by = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[4])
local kept, stands, life = redis.call('GET', KEYS[1]), 0, ARGV[6]
if kept then
  local was, token, n = string.match(kept, '^(%-?%d+) (%S+) (%d+)$')
  if not n then return redis.error_reply('ERR ' .. KEYS[1] .. ' holds no count') end
  if tonumber(was) > now then
    stands, ends, life = tonumber(n), was, ''
    if token == ARGV[3] then return {n, 1} end
  end
end
if by > 0 and stands > tonumber(ARGV[5]) - by then return {string.format('%.0f', stands), 0} end
local text = string.format('%.0f', math.max(0, stands + by))
if by ~= 0 then
  if life == '' then
    redis.call('SET', KEYS[1], ends .. ' ' .. ARGV[3] .. ' ' .. text, 'KEEPTTL')
  else
    redis.call('SET', KEYS[1], ends .. ' ' .. ARGV[3] .. ' ' .. text, 'PX', life)
  end
end
return {text, 1}
