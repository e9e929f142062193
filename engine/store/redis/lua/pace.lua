-- Takes turns of a pace, by the server's clock, as store.DrawTurns does it.
-- KEYS  1 the pace: the moment up to which its turns are given away, us
-- ARGV  1 distance of turns, us  2 how far ahead of it one may be, us  3 how far in debt, us
--       4 turns to take at most  5 turns to give back
-- Gives the turns taken, and how long to wait, us.
local each, slack, debt, n, back = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local at = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
at = math.max(at - back * each, now)
local room, turns, wait = now + slack - at, 0, 0
if n > 0 then
  if room >= 0 then
    turns = math.min(n, math.floor(room / each) + 1)
    at = at + turns * each
  elseif debt <= 0 then
    wait = -room
  else
    turns, wait = 1, math.min(-room, debt)
    at = math.min(at + each, now + slack + debt)
  end
end
if at > now then
  redis.call('SET', KEYS[1], string.format('%.0f', at), 'PX', math.ceil((at - now) / 1000))
else
  redis.call('DEL', KEYS[1])
end
return {turns, wait}
