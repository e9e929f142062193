-- Does or drops what prepare.lua kept.
-- KEYS  1 the shard of the data stores
-- ARGV  1 token of the commit  2 "done" or "void"
-- Gives 1, or 0 when it was settled before.
local values = KEYS[1]
local kept = redis.call('HMGET', values .. ':pend', 't', 'w')
if kept[1] ~= ARGV[1] then return 0 end
if ARGV[2] == 'done' then
  local list = cmsgpack.unpack(kept[2])
  -- All keys are here, or this fails before anything is written: the slot may be moving.
  local keys = {values, values .. ':stores', values .. ':pend', values .. ':settled'}
  for at = 2, #list, 4 do
    keys[#keys + 1] = values .. ':vals:' .. list[at]
    keys[#keys + 1] = values .. ':vkeys:' .. list[at]
  end
  for first = 1, #keys, 4000 do
    redis.call('EXISTS', unpack(keys, first, math.min(first + 3999, #keys)))
  end
  for at = 2, #list, 4 do
    local name, key, version = list[at], list[at + 1], list[at + 2]
    if version == '-' then
      redis.call('HDEL', values .. ':vals:' .. name, key)
      redis.call('ZREM', values .. ':vkeys:' .. name, key)
      if redis.call('EXISTS', values .. ':vals:' .. name) == 0 then redis.call('SREM', values .. ':stores', name) end
    else
      if version == '0' then version = string.format('%d', redis.call('HINCRBY', values, 'values', 1)) end
      redis.call('HSET', values .. ':vals:' .. name, key, version .. ' ' .. list[at + 3])
      redis.call('ZADD', values .. ':vkeys:' .. name, 0, key)
      redis.call('SADD', values .. ':stores', name)
    end
  end
end
redis.call('DEL', values .. ':pend')
redis.call('LPUSH', values .. ':settled', ARGV[1])
redis.call('LTRIM', values .. ':settled', 0, 99)
return 1
