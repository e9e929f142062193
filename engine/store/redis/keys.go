package redis

import (
	"fmt"
	"hash/fnv"
	"strconv"

	"orrery/engine/job"
	"orrery/engine/store"
)

// This file builds every key. The scripts get the key of a shard and add the same endings.
//
//	PREFIX:{sNN}                    of a shard NN: a hash of its numbers (n:STATUS: jobs that have
//	                                it; messages, values: the newest number given; fence)
//	PREFIX:{sNN}:job:ID             hash: v version, s status, q token of the last commit, b row,
//	                                i initial data, h state_history, p number of the newest progress
//	                                entry, n how many are kept, tN task N, gN when there
//	                                are results of group N
//	PREFIX:{sNN}:recs:ID            list of the history's records
//	PREFIX:{sNN}:res:ID:GROUP       hash of branch results by task id
//	PREFIX:{sNN}:progs:ID           set of tasks with progress; :prog:ID:TASK is the list of one
//	PREFIX:{sNN}:kids:ID            the children that live in this shard, by id
//	PREFIX:{sNN}:all, :live, :bad   jobs by id: all, those that go on, those that ended badly
//	PREFIX:{sNN}:bp:NAME, :cl:ID    jobs of a blueprint, of a client
//	PREFIX:{sNN}:ready, :due        jobs with a step due; dates of jobs (ID) and open tasks (ID/N)
//	PREFIX:{sNN}:open               open tasks, ID/N
//	PREFIX:{sNN}:msgs:ID            hash of a job's messages; those with other ids are under "-"
//	PREFIX:{sNN}:out, :gone         messages by date (number and id); ids that were given up
//	PREFIX:{sNN}:vals:STORE         hash of a data store; :vkeys:STORE has its keys in order, and
//	                                :stores the names of those in which something is kept
//	PREFIX:{sNN}:pend, :settled     hash of the writes that wait for a commit of another shard: t token,
//	                                j its shard, w writes; the newest tokens that were settled
//	PREFIX:{sNN}:fate:TOKEN         what became of such a commit: done or void
//	PREFIX:{sNN}:claim:KEY          a claim or a counter; NN is drawn from its key
//	PREFIX:{sNN}:pace:KEY           the moment up to which turns are given away; NN is drawn from its key
//	PREFIX:{sNN}:lease              hash of the shard's lease
//	PREFIX:{leases}, :lease         the same for all other leases
//	PREFIX:{revisions}, :HASH       revisions without texts by hash; one with its texts
//	PREFIX:{revisions}:files        which revision stands for a file
//	PREFIX:{workers}                hash of registrations
//	PREFIX:schema                   the number of this layout
//	...}:mark                       of any tag: the newest mark (replicas.go)
//
// Lists in order of ids are sorted sets whose scores are all 0.

// schema is the number of the layout; a store with a higher one is refused.
const schema = 1

type keys struct{ prefix string }

func (k keys) shard(n byte) string { return fmt.Sprintf("%s:{s%02x}", k.prefix, n) }

// of gives the shard's key of a well-formed job id.
func (k keys) of(id string) string { return k.shard(job.ShardOf(id)) }

// home is the shard of a blueprint's data stores.
func (k keys) home(blueprint string) string { return k.shard(job.ShardByName(blueprint)) }

func (k keys) leases() string    { return k.prefix + ":{leases}" }
func (k keys) revisions() string { return k.prefix + ":{revisions}" }
func (k keys) files() string     { return k.revisions() + ":files" }
func (k keys) workers() string   { return k.prefix + ":{workers}" }
func (k keys) schema() string    { return k.prefix + ":schema" }

// claim spreads claims over the shards, so that they have a tag like all else.
func (k keys) claim(key string) string { return k.spread(key) + claimList + key }

// pace spreads paces likewise.
func (k keys) pace(key string) string { return k.spread(key) + ":pace:" + key }

func (k keys) spread(key string) string {
	h := fnv.New32a()
	h.Write([]byte(key)) // never fails
	return k.shard(byte(h.Sum32()))
}

// claimList stands between a shard and the key of a claim.
const claimList = ":claim:"

// markKey is where marks of a place (prefix and tag) are written.
func markKey(place string) string { return place + ":mark" }

func jobKey(shard, id string) string            { return shard + ":job:" + id }
func recordsKey(shard, id string) string        { return shard + ":recs:" + id }
func resultsKey(shard, id, group string) string { return shard + ":res:" + id + ":" + group }
func childrenKey(shard, id string) string       { return shard + ":kids:" + id }
func valuesKey(shard, name string) string       { return shard + ":vals:" + name }
func valueOrderKey(shard, name string) string   { return shard + ":vkeys:" + name }
func messagesKey(shard, bucket string) string   { return shard + ":msgs:" + bucket }
func progressKey(shard, id, task string) string { return shard + ":prog:" + id + ":" + task }
func pendKey(shard string) string               { return shard + ":pend" }
func fateKey(shard, token string) string        { return shard + ":fate:" + token }
func progressTasksKey(shard, id string) string  { return shard + ":progs:" + id }

// Endings of the lists of a shard.
const (
	allList   = "all"
	liveList  = "live"
	badList   = "bad"
	readyList = "ready"
	dueList   = "due"
	openList  = "open"
	outList   = "out"
	goneList  = "gone"
	stores    = "stores"
)

func blueprintList(name string) string { return "bp:" + name }
func clientList(id string) string      { return "cl:" + id }

// valueStore names a data store: names may hold any character.
func valueStore(blueprint, name string) string {
	return strconv.Itoa(len(blueprint)) + ":" + blueprint + name
}

// otherBucket holds messages whose ids do not begin with a job's.
const otherBucket = "-"

// bucketOf gives the bucket of a message: the job that its id begins with.
func bucketOf(id string) (bucket string, ofJob bool) {
	if len(id) > 37 && id[36] == '/' {
		if _, ok := job.ParseID(id[:36]); ok {
			return id[:36], true
		}
	}
	return otherBucket, false
}

// taskNumber gives a task's number in keys, so that their order is that of the numbers.
func taskNumber(n int) string { return fmt.Sprintf("%08d", n) }

// maxTask is the highest number with that many digits.
const maxTask = 99_999_999

// leaseShard tells the shard that a lease is about.
func leaseShard(name string) (shard byte, ok bool) {
	const head = len("shard/")
	if len(name) != head+2 {
		return 0, false
	}
	n, err := strconv.ParseUint(name[head:], 16, 8)
	return byte(n), err == nil && store.ShardLease(byte(n)) == name
}
