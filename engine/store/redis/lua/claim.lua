-- Sets a key that is absent or past its end.
-- KEYS  1 the claim
-- ARGV  1 now, ms  2 its end, ms, 0 for ever  3 token of this claim  4 value  5 life of the key, ms, 0 for ever
-- Gives what stands, and 1 when it is this claim's, be it by an earlier sending.
local kept = redis.call('GET', KEYS[1])
if kept then
  local ends, token, rest = string.match(kept, '^(%-?%d+) (%S+) ()')
  if ends == '0' or tonumber(ends) > tonumber(ARGV[1]) then
    return {string.sub(kept, rest), token == ARGV[3] and 1 or 0}
  end
end
local text = ARGV[2] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4]
if ARGV[5] == '0' then
  redis.call('SET', KEYS[1], text)
else
  redis.call('SET', KEYS[1], text, 'PX', ARGV[5])
end
return {ARGV[4], 1}
