package workers

import (
	"cmp"
	"maps"
	"slices"

	"orrery/workers/protocol"
)

// This file joins what several nodes say of the workers. All know all of them; at which node
// one polls, and which tasks it has, only that node and the owners of the tasks know.

// Together joins the views of nodes, which are told by their ids, in order of worker.
func Together(views map[string][]View) []View {
	joined := map[string]*View{}
	for _, node := range slices.Sorted(maps.Keys(views)) {
		for _, v := range views[node] {
			one := joined[v.ID]
			if one == nil {
				one = &v
				joined[v.ID] = one
			} else {
				one.join(&v)
			}
			if v.Polling || v.Connected {
				one.Nodes = append(one.Nodes, node)
			}
		}
	}
	out := make([]View, 0, len(joined))
	for _, id := range slices.Sorted(maps.Keys(joined)) {
		v := joined[id]
		slices.Sort(v.RunningTasks)
		v.RunningTasks = slices.Compact(v.RunningTasks)
		v.Status = v.statusOfAll()
		out = append(out, *v)
	}
	return out
}

// join takes over what another node knows: all of it when it has heard of the worker later.
func (v *View) join(other *View) {
	tasks, nodes := append(v.RunningTasks, other.RunningTasks...), v.Nodes
	polling, connected := v.Polling || other.Polling, v.Connected || other.Connected
	reputation, results := v.Reputation, v.Results
	if other.Results > results {
		reputation, results = other.Reputation, other.Results
	}
	if other.LastSeen.After(v.LastSeen.Time) {
		*v = *other
	}
	v.RunningTasks, v.Nodes, v.Polling, v.Connected, v.Reputation, v.Results = tasks, nodes, polling, connected, reputation, results
}

// statusOfAll is Hub.statusAt of all nodes together.
func (v *View) statusOfAll() string {
	said := v.Status != protocol.StatusIdle && v.Status != protocol.StatusBusy
	switch {
	case v.Status == protocol.StatusOffline, said && !v.Polling:
		return v.Status
	case len(v.RunningTasks) > 0:
		return protocol.StatusBusy
	case v.Polling:
		return protocol.StatusIdle
	}
	return cmp.Or(v.Status, protocol.StatusIdle)
}

// Together adds the counts of another node. Workers are known to all nodes: what the most is
// that one knows.
func (s Stats) Together(other Stats) Stats {
	return Stats{
		Workers: max(s.Workers, other.Workers), Polling: s.Polling + other.Polling, Queued: s.Queued + other.Queued, Leased: s.Leased + other.Leased,
		Links: s.Links + other.Links, Looked: s.Looked + other.Looked,
	}
}
