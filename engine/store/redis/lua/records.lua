-- Records of a job from a place on, until they have so many bytes.
-- KEYS  1 the shard
-- ARGV  1 job id  2 place of the first, from 0  3 most records  4 bytes: what passes them is the last
-- Gives the texts.
local key, at, bytes = KEYS[1] .. ':recs:' .. ARGV[1], tonumber(ARGV[2]), 0
local stop, most, out = at + tonumber(ARGV[3]), tonumber(ARGV[4]), {}
while at < stop and bytes <= most do
  local some = redis.call('LRANGE', key, at, math.min(at + 3, stop - 1)) -- a few: they are copied
  for _, text in ipairs(some) do
    if bytes > most then return out end
    out[#out + 1], bytes = text, bytes + #text
  end
  if #some < 4 then return out end
  at = at + 4
end
return out
