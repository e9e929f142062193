// Heartbeats: partial updates of what a worker said about itself.

package protocol

import (
	"bytes"
	"encoding/json"
)

// Values of Heartbeat.Status that the SDKs send.
const (
	StatusIdle    = "idle"
	StatusBusy    = "busy"
	StatusFull    = "full"
	StatusOffline = "offline"
)

// Heartbeat is a partial update: a member that did not come is nil, false or
// "", and means "as before". An empty body is only a sign of life (Empty).
type Heartbeat struct {
	Empty    bool
	WorkerID string // absent in A, whose id stands in the path only
	Status   string // idle, busy, full, offline, or absent
	// Load is the worker's own measure, in tasks for A and B.
	Load *float64
	// Usage is C's measure of the machine, as it came.
	Usage json.RawMessage

	CurrentTasks    []string // task ids; A never lists them
	HasCurrentTasks bool
	// Skills is what "supported_*" says. For A and B it shrinks to nothing
	// while the worker is busy, so it tells what is available; for C it is the
	// catalogue and comes only when that changed. See Available.
	Skills          []string
	HasSkills       bool
	AvailableSkills []string
	HasAvailable    bool
	HotSkills       []string
	HasHotSkills    bool
	HotCache        []string
	HasHotCache     bool

	MaxConcurrent int // 0 when not said
	Costs         Costs
	SkillsHash    string
}

// ParseHeartbeat reads a heartbeat or a partial update of any age. An empty
// body, "null" and "{}" only renew the worker's time to live.
func ParseHeartbeat(body []byte) (Heartbeat, error) {
	if !present(body) {
		return Heartbeat{Empty: true}, nil
	}
	o, err := decodeObject(body)
	if err != nil {
		return Heartbeat{}, err
	}
	h := Heartbeat{Empty: len(o.members) == 0}
	if h.WorkerID, err = o.id("worker_id"); err != nil {
		return Heartbeat{}, err
	}
	if h.Status, err = o.text("status"); err != nil {
		return Heartbeat{}, err
	}
	if h.Load, err = o.number("load"); err != nil {
		return Heartbeat{}, err
	}
	if h.MaxConcurrent, err = o.count("max_concurrent_tasks"); err != nil {
		return Heartbeat{}, err
	}
	if h.SkillsHash, err = o.text("skills_hash"); err != nil {
		return Heartbeat{}, err
	}
	if h.Costs, err = readCosts(o); err != nil {
		return Heartbeat{}, err
	}
	if raw := o.raw("usage"); len(raw) <= MaxRawBytes {
		h.Usage = bytes.Clone(raw)
	}
	return h, h.readLists(o)
}

func (h *Heartbeat) readLists(o object) (err error) {
	if h.CurrentTasks, h.HasCurrentTasks, err = o.names("current_tasks"); err != nil {
		return err
	}
	if h.Skills, h.HasSkills, err = firstNames(o, "supported_skills", "supported_tasks"); err != nil {
		return err
	}
	if h.AvailableSkills, h.HasAvailable, err = o.names("available_skills"); err != nil {
		return err
	}
	if h.HotSkills, h.HasHotSkills, err = o.names("hot_skills"); err != nil {
		return err
	}
	h.HotCache, h.HasHotCache, err = o.names("hot_cache")
	return err
}

// Available tells what the worker takes from now on. said is false when the
// heartbeat leaves it as it was. namesAvailable is whether this worker has ever
// sent available_skills: such a worker says "none" by leaving the list out of a
// full heartbeat (one that lists its tasks).
func (h Heartbeat) Available(age Age, namesAvailable bool) (skills []string, said bool) {
	switch {
	case h.HasAvailable:
		return h.AvailableSkills, true
	case age == AgeC18 || namesAvailable:
		return nil, h.HasCurrentTasks
	case h.HasSkills:
		return h.Skills, true
	}
	return nil, false
}

// Catalogue returns the worker's whole list of skills when the heartbeat
// carries it, which only those of C do.
func (h Heartbeat) Catalogue(age Age) (skills []string, said bool) {
	if age < AgeC || !h.HasSkills || len(h.Skills) == 0 {
		return nil, false
	}
	return h.Skills, true
}
