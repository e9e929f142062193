-- The messages of a bucket without their texts.
-- KEYS  1 the shard
-- ARGV  1 bucket  2 length of the number before a text
-- Gives id and number of each, one after the other, in no order.
local key, out = KEYS[1] .. ':msgs:' .. ARGV[1], {}
for _, id in ipairs(redis.call('HKEYS', key)) do
  out[#out + 1] = id
  out[#out + 1] = string.sub(redis.call('HGET', key, id), 1, tonumber(ARGV[2]))
end
return out
