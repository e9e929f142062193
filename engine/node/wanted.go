package node

import (
	"hash/fnv"

	"orrery/engine/job"
)

// This file says which shards a node wants.

// wanted gives, for each shard, the id of the node that it is to belong to, "" with no node.
func wanted(nodes []string) (out [job.Shards]string) {
	var best [job.Shards]uint64
	for _, id := range nodes {
		h := fnv.New64a()
		h.Write([]byte(id)) // a hash never fails
		seed := h.Sum64()
		for s := range out {
			if w := draw(seed, byte(s)); out[s] == "" || w > best[s] || w == best[s] && id < out[s] {
				out[s], best[s] = id, w
			}
		}
	}
	return out
}

// draw is a number that is as good as random, the same on every node.
func draw(seed uint64, shard byte) uint64 {
	x := seed ^ (uint64(shard)+1)*0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
