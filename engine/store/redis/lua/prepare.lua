-- Keeps what a commit of another shard does in this shard's data stores until it is known whether
-- that commit was done. Meanwhile nothing else touches these data stores.
-- KEYS  1 the shard of the data stores
-- ARGV  1 token of the commit  2 the key of its own shard, then two lists, each with its length first:
--       reads: store, key, version | writes: store, key, version (0: give one, -: remove), text
-- Gives "" when it is kept, be it by an earlier sending; "over" when it was settled before; "pending
-- TOKEN SHARD" when another is kept; "read STORE-LENGTH STORE KEY" when something read has changed.
local values, token = KEYS[1], ARGV[1]
local kept = redis.call('HMGET', values .. ':pend', 't', 'j')
if kept[1] == token then return '' end
if kept[1] then return 'pending ' .. kept[1] .. ' ' .. kept[2] end
for _, over in ipairs(redis.call('LRANGE', values .. ':settled', 0, -1)) do
  if over == token then return 'over' end
end
local at = 4
for _ = 1, tonumber(ARGV[3]) do
  local name, key = ARGV[at], ARGV[at + 1]
  local is = redis.call('HGET', values .. ':vals:' .. name, key)
  if (is and string.match(is, '^%d+') or '0') ~= ARGV[at + 2] then
    return 'read ' .. #name .. ' ' .. name .. key
  end
  at = at + 3
end
local list = {}
for i = at, #ARGV do list[#list + 1] = ARGV[i] end
redis.call('HSET', values .. ':pend', 't', token, 'j', ARGV[2], 'w', cmsgpack.pack(list))
return ''
