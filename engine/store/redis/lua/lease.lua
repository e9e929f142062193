-- Takes and renews leases by the server's clock, and says what stands.
-- KEYS  1 the shard, or the place of the other leases
-- ARGV  1 "hold": 2 holder  3 length, ms  4 information  5... names
--       1 "yield": 2 holder  3... names
--       1 "look"
-- Gives for every lease that has not ended: name, holder, fence, ms left, information.
-- A lease is kept as: fence, end, length of the holder's name, holder and information.
local place, key = KEYS[1], KEYS[1] .. ':lease'
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function read(text)
  local fence, ends, n, rest = string.match(text, '^(%d+) (%d+) (%d+) ()')
  n = tonumber(n)
  return tonumber(fence), tonumber(ends), string.sub(text, rest, rest + n - 1), string.sub(text, rest + n)
end
local function write(name, fence, ends, holder, info)
  redis.call('HSET', key, name, string.format('%d %d %d %s', fence, ends, #holder, '') .. holder .. info)
  if string.sub(name, 1, 6) == 'shard/' then
    redis.call('HSET', place, 'fence', holder == '' and '' or string.format('%d', fence))
  end
end

if ARGV[1] == 'hold' then
  for i = 5, #ARGV do
    local fence, ends, holder = tonumber(redis.call('HGET', place, 'floor') or 0), 0, ''
    local kept = redis.call('HGET', key, ARGV[i])
    if kept then fence, ends, holder = read(kept) end
    if holder == ARGV[2] or ends <= now then
      -- By the clock, so that a master that has lost the newest lease gives no number twice.
      if holder ~= ARGV[2] then fence = math.max(fence + 1, now) end
      write(ARGV[i], fence, now + ARGV[3], ARGV[2], ARGV[4])
    end
  end
elseif ARGV[1] == 'yield' then
  for i = 3, #ARGV do
    local kept = redis.call('HGET', key, ARGV[i])
    if kept then
      local fence, _, holder = read(kept)
      if holder == ARGV[2] then write(ARGV[i], fence, 0, '', '') end
    end
  end
  return {}
end

local out, all = {}, redis.call('HGETALL', key)
for i = 1, #all, 2 do
  local fence, ends, holder, info = read(all[i + 1])
  if ends > now then
    for _, v in ipairs({all[i], holder, string.format('%d', fence), string.format('%d', ends - now), info}) do
      out[#out + 1] = v
    end
  elseif ARGV[1] == 'hold' and ends < now - 86400000 and string.sub(all[i], 1, 6) ~= 'shard/' then
    -- Of what ended a day ago only the number is remembered: new leases begin above it.
    redis.call('HDEL', key, all[i])
    if fence > tonumber(redis.call('HGET', place, 'floor') or 0) then redis.call('HSET', place, 'floor', fence) end
  end
end
return out
