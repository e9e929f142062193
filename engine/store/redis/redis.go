// Package redis keeps everything in Redis, for several nodes at once: one server, a master
// with replicas that Sentinels watch, or a Redis Cluster.
//
// Words: a shard is the unit of commit, as everywhere; all its keys carry the tag {sNN}, so
// they are on one server (keys.go has them all). A commit is one script on one shard
// (lua/commit.lua), so it is done whole or not at all, and every list that finds a job is
// written by the same script as the job: none can miss one. A token is the mark of one
// write; a script that meets its own token has been sent twice and does nothing again, so
// that a broken connection may be answered by sending again. What reads over all shards asks
// each and joins the answers (merge.go).
//
// What is promised: with appendonly yes and appendfsync always a commit that returned is on
// the server's disk; with everysec a crash of the machine may lose the last second, and Open
// and doctor say so. Replication is asynchronous: a failover loses what the new master had not
// received, whatever was acknowledged. With ?wait=N nothing is acknowledged, nor read while it
// is in doubt, that fewer than N replicas have (replicas.go), and a failover to one of these
// loses nothing; while fewer than N replicas follow, writes are refused. So wait=1 wants two
// replicas, of a Cluster for each master: with one, its slots stand still from a failover until
// the old master is back. min-replicas-to-write 1 bounds a loss to min-replicas-max-lag and does
// not exclude it. On a Cluster a job outside its blueprint's shard uses the blueprint's data
// stores by three scripts instead of one (across.go).
//
// Who is authoritative: the rows; the lists are part of them. Leases end by the clock of the
// server that holds them, and their fence numbers begin with it: a master that has not got the
// newest lease gives no number a second time.
package redis
