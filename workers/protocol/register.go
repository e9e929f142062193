// Registrations: what a worker says about itself, one form for all ages.

package protocol

import (
	"bytes"
	"encoding/json"
	"math"
)

// Registration is what a worker said about itself when it registered. Empty
// lists and nil mean that it did not say.
type Registration struct {
	ID   string `json:"worker_id"`
	Type string `json:"worker_type,omitempty"`
	// Skills is the whole catalogue of task types the worker can do.
	Skills []string `json:"skills"`
	// AvailableSkills is what it takes now. Only C from 1.0b14 on says it;
	// HasAvailable tells "none" from "did not say".
	AvailableSkills []string `json:"available_skills,omitempty"`
	HasAvailable    bool     `json:"has_available,omitempty"`
	// HotSkills can start without loading anything; HotCache names what is loaded.
	HotSkills []string `json:"hot_skills,omitempty"`
	HotCache  []string `json:"hot_cache,omitempty"`
	// MaxConcurrent is how many tasks it runs at once, 0 when unknown.
	MaxConcurrent int `json:"max_concurrent,omitempty"`
	Costs
	Resources Resources `json:"resources"`
	// InstalledModels are models and other artifacts, with versions.
	InstalledModels   []Artifact        `json:"installed_models,omitempty"`
	InstalledSoftware map[string]string `json:"installed_software,omitempty"`
	// Extra is capabilities.extra: whatever the operator of the worker declared.
	Extra map[string]any `json:"extra,omitempty"`
	// WebSockets tells whether the worker opens a WebSocket for commands.
	WebSockets bool   `json:"websockets,omitempty"`
	Hostname   string `json:"hostname,omitempty"`
	IPAddress  string `json:"ip_address,omitempty"`
	// SkillsHash changes when the catalogue changes; C only.
	SkillsHash string `json:"skills_hash,omitempty"`
	// Raw is the message as it came, nil when longer than MaxRawBytes.
	Raw json.RawMessage `json:"raw,omitempty"`
}

// Costs is what a worker asks for its work, in the operator's own unit. A nil
// price is unknown, which is not the same as free.
type Costs struct {
	PerSkill  map[string]float64 `json:"cost_per_skill,omitempty"`
	PerSecond *float64           `json:"cost_per_second,omitempty"`
	Flat      *float64           `json:"cost,omitempty"`
}

// For returns the price of a task type: its own, else the one per second, else
// the flat one; ok is false when none is known.
func (c Costs) For(taskType string) (price float64, ok bool) {
	if price, ok = c.PerSkill[taskType]; ok {
		return price, true
	}
	if c.PerSecond != nil {
		return *c.PerSecond, true
	}
	if c.Flat != nil {
		return *c.Flat, true
	}
	return 0, false
}

// Resources is the hardware of a worker.
type Resources struct {
	GPUs []GPU           `json:"gpus,omitempty"`
	Raw  json.RawMessage `json:"raw,omitempty"` // the whole "resources" member
}

// GPU is one graphics card. VRAMGB is its memory in GB, 0 when unknown.
type GPU struct {
	Model  string  `json:"model"`
	VRAMGB float64 `json:"vram_gb"`
}

// Artifact is something installed at a worker, a model for example.
type Artifact struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"`
}

// ParseRegister reads a registration of any age. The worker id is needed and
// checked; everything else may be missing.
func ParseRegister(body []byte) (Registration, error) {
	o, err := decodeObject(body)
	if err != nil {
		return Registration{}, err
	}
	var r Registration
	if r.ID, err = o.id("worker_id"); err != nil {
		return Registration{}, err
	}
	if r.ID == "" {
		return Registration{}, &Error{Code: CodeMissing, Field: "worker_id", What: "is needed to register; set WORKER_ID at the worker"}
	}
	for _, read := range []func(object) error{r.readSkills, r.readHost, r.readResources, r.readInstalled} {
		if err := read(o); err != nil {
			return Registration{}, err
		}
	}
	if r.Costs, err = readCosts(o); err != nil {
		return Registration{}, err
	}
	if len(body) <= MaxRawBytes {
		r.Raw = bytes.Clone(body)
	}
	return r, nil
}

func (r *Registration) readSkills(o object) (err error) {
	if r.Skills, _, err = firstNames(o, "supported_skills", "supported_tasks"); err != nil {
		return err
	}
	if r.AvailableSkills, r.HasAvailable, err = o.names("available_skills"); err != nil {
		return err
	}
	if r.HotSkills, _, err = o.names("hot_skills"); err != nil {
		return err
	}
	if r.HotCache, _, err = o.names("hot_cache"); err != nil {
		return err
	}
	r.SkillsHash, err = o.text("skills_hash")
	return err
}

// firstNames reads the first of several spellings that is there.
func firstNames(o object, spellings ...string) ([]string, bool, error) {
	for _, name := range spellings {
		if out, ok, err := o.names(name); ok || err != nil {
			return out, ok, err
		}
	}
	return nil, false, nil
}

func (r *Registration) readHost(o object) (err error) {
	if r.Type, err = o.text("worker_type"); err != nil {
		return err
	}
	capabilities, err := o.child("capabilities")
	if err != nil {
		return err
	}
	// A says host and address at the top, B and C among the capabilities.
	for _, from := range []object{o, capabilities} {
		if r.Hostname == "" {
			if r.Hostname, err = from.text("hostname"); err != nil {
				return err
			}
		}
		if r.IPAddress == "" {
			if r.IPAddress, err = from.text("ip_address"); err != nil {
				return err
			}
		}
	}
	if capabilities.has("extra") && json.Unmarshal(capabilities.raw("extra"), &r.Extra) != nil {
		return capabilities.bad("extra", "an object")
	}
	// The SDKs put the flag into extra; documents once put it one level higher.
	flag, _ := r.Extra["websockets"].(bool)
	r.WebSockets = flag || string(capabilities.raw("websockets")) == "true"
	return nil
}

func (r *Registration) readResources(o object) error {
	resources, err := o.child("resources")
	if err != nil {
		return err
	}
	if raw := o.raw("resources"); len(raw) <= MaxRawBytes {
		r.Resources.Raw = bytes.Clone(raw)
	}
	for _, from := range []object{o, resources} {
		if r.MaxConcurrent == 0 {
			if r.MaxConcurrent, err = from.count("max_concurrent_tasks"); err != nil {
				return err
			}
		}
	}
	r.Resources.GPUs, err = readGPUs(resources)
	return err
}

// readGPUs reads gpu_info of A and B, and the devices of type gpu of C.
func readGPUs(resources object) ([]GPU, error) {
	var gpus []GPU
	info, err := resources.child("gpu_info")
	if err != nil {
		return nil, err
	}
	if len(info.members) > 0 {
		gpu, err := readGPU(info, info, "vram_gb")
		if err != nil {
			return nil, err
		}
		gpus = append(gpus, gpu)
	}
	devices, _, err := resources.list("devices")
	if err != nil {
		return nil, err
	}
	for _, raw := range devices {
		device := object{path: resources.at("devices")}
		switch {
		case raw[0] == '{':
			device.members = membersOf(raw)
		case present(raw):
			return nil, resources.bad("devices", "a list of objects")
		}
		if kind, _ := device.text("type"); kind != "gpu" {
			continue
		}
		properties, err := device.child("properties")
		if err != nil {
			return nil, err
		}
		gpu, err := readGPU(device, properties, "memory_gb")
		if err != nil {
			return nil, err
		}
		gpus = append(gpus, gpu)
	}
	return gpus, nil
}

func readGPU(named, sized object, memory string) (GPU, error) {
	model, err := named.text("model")
	if err != nil {
		return GPU{}, err
	}
	size, err := sized.number(memory)
	if err != nil || size == nil {
		return GPU{Model: model}, err
	}
	return GPU{Model: model, VRAMGB: math.Max(0, *size)}, nil
}

func (r *Registration) readInstalled(o object) error {
	for _, name := range []string{"installed_models", "installed_artifacts"} {
		items, _, err := o.list(name)
		if err != nil {
			return err
		}
		for _, raw := range items {
			var fields struct {
				Version json.RawMessage `json:"version"`
			}
			artifact, err := nameOf(raw)
			if err != nil || artifact == "" {
				return o.bad(name, "a list of names, or of objects with name and version")
			}
			if raw[0] == '{' {
				if err := json.Unmarshal(raw, &fields); err != nil {
					return o.bad(name, "a list of objects with name and version")
				}
			}
			r.InstalledModels = append(r.InstalledModels, Artifact{Name: artifact, Version: looseText(fields.Version)})
		}
	}
	software, err := o.child("installed_software")
	if err != nil || len(software.members) == 0 {
		return err
	}
	r.InstalledSoftware = make(map[string]string, len(software.members))
	for name, version := range software.byName() {
		r.InstalledSoftware[name] = looseText(version)
	}
	return nil
}

// readCosts reads prices from the top of a message or from its capabilities.
func readCosts(o object) (Costs, error) {
	var c Costs
	capabilities, err := o.child("capabilities")
	if err != nil {
		return c, err
	}
	for _, from := range []object{o, capabilities} {
		if c.PerSecond == nil {
			if c.PerSecond, err = from.number("cost_per_second"); err != nil {
				return c, err
			}
		}
		if c.Flat == nil {
			if c.Flat, err = from.number("cost"); err != nil {
				return c, err
			}
		}
		prices, err := from.child("cost_per_skill")
		if err != nil {
			return c, err
		}
		for skill, value := range prices.byName() {
			price, err := prices.numberAt(skill, value)
			if err != nil {
				return c, err
			}
			if _, known := c.PerSkill[skill]; price == nil || known {
				continue
			}
			if c.PerSkill == nil {
				c.PerSkill = make(map[string]float64, len(prices.members))
			}
			c.PerSkill[skill] = *price
		}
	}
	return c, nil
}
