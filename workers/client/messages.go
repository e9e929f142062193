// Messages the worker sends, in the form of the newest published SDK: absent
// instead of null, signed with the worker's token.

package client

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"runtime"
	"time"

	"orrery/workers/protocol"
)

// message is a JSON object on its way out.
type message map[string]any

// signed adds sender, clock and signature and encodes the message. The key is
// the configured token, also while an access token is used for the requests.
func (w *Worker) signed(l *link, m message) ([]byte, error) {
	m["worker_id"] = w.cfg.ID
	m["timestamp"] = time.Now().Unix()
	plain, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("the message has no JSON form: %w", err)
	}
	signature, err := protocol.Sign(plain, l.given)
	if err != nil {
		return nil, err
	}
	m["security"] = map[string]string{"signature": signature, "signer_id": w.cfg.ID}
	return json.Marshal(m)
}

type skill struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// catalogue is the worker's list of skills and a hash that changes with it.
func (w *Worker) catalogue() (list []skill, hash string) {
	sum := sha256.New()
	for _, name := range w.skills() {
		list = append(list, skill{Name: name, Type: name})
		fmt.Fprintf(sum, "%d:%s,", len(name), name)
	}
	return list, hex.EncodeToString(sum.Sum(nil))
}

func (w *Worker) registration() message {
	skills, hash := w.catalogue()
	extra := message{}
	maps.Copy(extra, w.cfg.Extra)
	extra["websockets"] = w.cfg.webSockets()
	capabilities := message{"cost_per_skill": w.cfg.CostPerSkill, "extra": extra}
	if w.cfg.CostPerSkill == nil {
		capabilities["cost_per_skill"] = message{}
	}
	if host, err := os.Hostname(); err == nil {
		capabilities["hostname"] = host
	}
	capabilities["ip_address"] = localAddress()
	resources := message{
		"max_concurrent_tasks": w.cfg.MaxConcurrent,
		"properties":           message{"cpu_cores": runtime.NumCPU()},
	}
	if w.cfg.GPU.Model != "" {
		resources["devices"] = []message{{
			"id": "0", "type": "gpu", "model": w.cfg.GPU.Model,
			"properties": message{"memory_gb": w.cfg.GPU.VRAMGB},
		}}
	}
	artifacts := w.cfg.Artifacts
	if artifacts == nil {
		artifacts = []protocol.Artifact{}
	}
	return message{
		"worker_type": w.cfg.Type, "supported_skills": skills, "available_skills": w.skills(), "skills_hash": hash,
		"capabilities": capabilities, "resources": resources,
		"installed_artifacts": artifacts, "installed_software": w.cfg.Software,
	}
}

// localAddress is a hint for operators; loopback when there is no other.
func localAddress() string {
	addresses, err := net.InterfaceAddrs()
	if err == nil {
		for _, a := range addresses {
			if ip, ok := a.(*net.IPNet); ok && !ip.IP.IsLoopback() && ip.IP.To4() != nil {
				return ip.IP.String()
			}
		}
	}
	return "127.0.0.1"
}

// heartbeatMessage tells what runs and what may still come. full adds the
// whole catalogue, which the server asks for when it does not have it.
func (w *Worker) heartbeatMessage(full bool) message {
	skills, hash := w.catalogue()
	m := message{"status": protocol.StatusIdle, "current_tasks": w.runningTasks(), "skills_hash": hash}
	w.mu.Lock()
	offline := w.offline
	w.mu.Unlock()
	switch {
	case offline:
		m["status"] = protocol.StatusOffline
	case w.full():
		m["status"] = protocol.StatusFull
	default:
		m["available_skills"] = w.skills()
	}
	if full {
		m["supported_skills"] = skills
	}
	return m
}

func (w *Worker) eventMessage(t *Task, id, kind string, payload map[string]any) message {
	return message{
		"event_id": id, "event_type": kind, "payload": payload, "origin_worker_id": w.cfg.ID,
		"origin_task_id": t.ID, "target_task_id": t.ID, "target_job_id": t.JobID,
		"bubbling_chain": []string{}, "trace_context": t.Tracing, "priority": 0,
	}
}
