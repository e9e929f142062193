-- Says what became of a commit whose data stores are in another shard; one that was not done by now
-- never will be.
-- KEYS  1 the shard of the commit
-- ARGV  1 token of the commit
-- Gives "done" or "void".
local key = KEYS[1] .. ':fate:' .. ARGV[1]
local fate = redis.call('GET', key)
if fate then return fate end
redis.call('SET', key, 'void', 'PX', 86400000)
return 'void'
