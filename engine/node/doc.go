// Package node lets several processes on one store share its shards: who is alive, which
// shards are whose, and who does the work of which there must be one.
//
// Words: a node is one process; it is alive while its lease "node/<id>" stands. A shard
// belongs to whoever holds its lease; a node wants the shards for which it draws the highest
// number among all that are alive (rendezvous hashing), so that all agree without talking and
// few shards move when one comes or goes. Work with a name ("work/...") belongs to whoever
// holds its lease, for as long as it lives.
//
// Who is authoritative: the leases in the store. What a Node remembers of others is as old as
// its last look; what it holds itself counts until the lease would end by its own clock, and
// the fence number of the lease guards what is written by a node that does not know better.
//
// Nothing here knows HTTP or the machine's time: Tell and Clock are given.
package node
