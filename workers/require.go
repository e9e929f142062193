package workers

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"orrery/engine/job"
	"orrery/workers/protocol"
)

// This file decides whether a worker may do a task: max_cost and resource_requirements.

// requirement is what a task asks of its worker, in a form that is quick to check.
type requirement struct {
	maxCost *float64
	gpu     bool // a graphics card is needed
	model   string
	vramGB  float64
	models  []protocol.Artifact
	extra   map[string]json.RawMessage // of capabilities.extra, compact
	others  map[string]json.RawMessage // of resources: numbers at least, all else equal
	broken  string                     // why nobody can meet it: it is not in the known form
}

// needs tells whether anything but the task type matters.
func (r *requirement) needs() bool { return r.maxCost != nil || r.resourceful() }

func (r *requirement) resourceful() bool {
	return r.gpu || len(r.models) > 0 || len(r.extra) > 0 || len(r.others) > 0 || r.broken != ""
}

// judge decides which workers meet a requirement, each kind of them once.
type judge struct {
	req      requirement
	verdicts map[*ability]bool
}

// maxVerdicts bounds what a judge remembers: kinds of workers come and go, and it must not
// grow for ever.
const maxVerdicts = 16384

// fits tells whether workers with this ability meet the requirement, whatever their price.
func (j *judge) fits(a *ability) bool {
	if !j.req.resourceful() {
		return true
	}
	ok, known := j.verdicts[a]
	if !known {
		ok = j.req.unmet(a) == ""
		if j.verdicts == nil || len(j.verdicts) >= maxVerdicts {
			j.verdicts = map[*ability]bool{}
		}
		j.verdicts[a] = ok
	}
	return ok
}

// parseRequirement reads max_cost and resource_requirements of a task.
func parseRequirement(t *job.Task) requirement {
	r := requirement{maxCost: t.MaxCost}
	if isEmptyJSON(t.Resources) {
		return r
	}
	var all map[string]json.RawMessage
	if json.Unmarshal(t.Resources, &all) != nil {
		r.broken = "resource_requirements is not an object"
		return r
	}
	for _, name := range slices.Sorted(maps.Keys(all)) {
		raw := all[name]
		var ok bool
		switch name {
		case "gpu", "gpu_info":
			ok = r.readGPU(raw)
		case "installed_models", "installed_artifacts":
			ok = r.readModels(raw)
		case "extra_requirements":
			ok = json.Unmarshal(raw, &r.extra) == nil
		default:
			if r.others == nil {
				r.others = map[string]json.RawMessage{}
			}
			r.others[name], ok = raw, true
		}
		if !ok {
			r.broken = "resource_requirements." + name + " is not in a known form"
		}
	}
	return r
}

// readGPU takes an object with model and vram_gb, a model's name, or true for any card.
func (r *requirement) readGPU(raw json.RawMessage) bool {
	if isEmptyJSON(raw) || string(raw) == "false" {
		return true
	}
	r.gpu = true
	if string(raw) == "true" || json.Unmarshal(raw, &r.model) == nil {
		return true
	}
	var want struct {
		Model  string   `json:"model"`
		VRAM   *float64 `json:"vram_gb"`
		Memory *float64 `json:"memory_gb"`
	}
	if json.Unmarshal(raw, &want) != nil {
		return false
	}
	r.model = want.Model
	for _, least := range []*float64{want.VRAM, want.Memory} {
		if least != nil {
			r.vramGB = max(r.vramGB, *least)
		}
	}
	return true
}

func (r *requirement) readModels(raw json.RawMessage) bool {
	var items []json.RawMessage
	if json.Unmarshal(raw, &items) != nil {
		return false
	}
	for _, item := range items {
		var a protocol.Artifact
		if json.Unmarshal(item, &a.Name) != nil && (json.Unmarshal(item, &a) != nil || a.Name == "") {
			return false
		}
		r.models = append(r.models, a)
	}
	return true
}

// ability is what a worker offers, shared by all workers that offer the same, so that a
// class of tasks judges it once.
type ability struct {
	key    string
	uses   int // workers that have it
	gpus   []protocol.GPU
	models []protocol.Artifact
	extra  map[string]any
	raw    map[string]json.RawMessage // resources, with C's "properties" lifted
}

func newAbility(reg *protocol.Registration) *ability {
	a := &ability{gpus: reg.Resources.GPUs, models: reg.InstalledModels, extra: reg.Extra, raw: map[string]json.RawMessage{}}
	// Resources.Raw was checked when the registration was read; absent gives an empty map.
	if json.Unmarshal(reg.Resources.Raw, &a.raw) == nil && a.raw["properties"] != nil {
		var lifted map[string]json.RawMessage
		if json.Unmarshal(a.raw["properties"], &lifted) == nil {
			maps.Copy(a.raw, lifted)
		}
	}
	text, err := json.Marshal([]any{a.gpus, a.models, a.extra, a.raw})
	if err != nil { // parts of a parsed registration always have a JSON form
		text = []byte(reg.ID)
	}
	sum := sha256.Sum256(text)
	a.key = hex.EncodeToString(sum[:16])
	return a
}

// unmet says why a worker with this ability can not do the task, "" when it can. The price is
// not looked at: see tooDear.
func (r *requirement) unmet(a *ability) string {
	if r.broken != "" {
		return r.broken
	}
	if r.gpu {
		if why := r.unmetGPU(a); why != "" {
			return why
		}
	}
	for _, want := range r.models {
		if !slices.ContainsFunc(a.models, func(have protocol.Artifact) bool { return sameModel(want, have) }) {
			return fmt.Sprintf("does not have the model %q installed", modelName(want))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.extra)) {
		if have, ok := a.extra[name]; !ok || !sameJSON(r.extra[name], have) {
			return fmt.Sprintf("extra %q is not %s", name, r.extra[name])
		}
	}
	for _, name := range slices.Sorted(maps.Keys(r.others)) {
		if !atLeast(r.others[name], a.raw[name]) {
			return fmt.Sprintf("resource %q does not reach %s", name, r.others[name])
		}
	}
	return ""
}

func (r *requirement) unmetGPU(a *ability) string {
	if len(a.gpus) == 0 {
		return "has no GPU"
	}
	var seen []string
	for _, g := range a.gpus {
		if strings.Contains(strings.ToLower(g.Model), strings.ToLower(r.model)) && g.VRAMGB >= r.vramGB {
			return ""
		}
		seen = append(seen, fmt.Sprintf("%s with %g GB", g.Model, g.VRAMGB))
	}
	return fmt.Sprintf("its GPU is %s, wanted is %s with at least %g GB", strings.Join(seen, ", "), cmp.Or(r.model, "any"), r.vramGB)
}

// tooDear says why the price does not meet max_cost, "" when it does.
func (r *requirement) tooDear(costs protocol.Costs, taskType string) string {
	if r.maxCost == nil {
		return ""
	}
	price, known := costs.For(taskType)
	switch {
	case !known:
		return fmt.Sprintf("says no cost, and max_cost is %g", *r.maxCost)
	case price > *r.maxCost:
		return fmt.Sprintf("costs %g, more than max_cost %g", price, *r.maxCost)
	}
	return ""
}

// sameModel compares a wanted model with an installed one; a wanted name may carry the
// version behind a dash, colon, at sign or blank.
func sameModel(want, have protocol.Artifact) bool {
	if want.Name == have.Name {
		return want.Version == "" || want.Version == have.Version
	}
	rest, ok := strings.CutPrefix(want.Name, have.Name)
	return ok && want.Version == "" && have.Version != "" && strings.ContainsAny(rest[:1], "-:@ ") && rest[1:] == have.Version
}

func modelName(a protocol.Artifact) string {
	if a.Version == "" {
		return a.Name
	}
	return a.Name + " " + a.Version
}

// sameJSON compares a wanted value's text with a decoded one by their canonical text.
func sameJSON(want json.RawMessage, have any) bool {
	var w any
	if json.Unmarshal(want, &w) != nil {
		return false
	}
	a, errA := json.Marshal(w)
	b, errB := json.Marshal(have)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}

// atLeast compares numbers by size and everything else for equality.
func atLeast(want, have json.RawMessage) bool {
	w, errW := strconv.ParseFloat(string(bytes.TrimSpace(want)), 64)
	h, errH := strconv.ParseFloat(string(bytes.TrimSpace(have)), 64)
	if errW == nil {
		return errH == nil && h >= w
	}
	var value any
	return json.Unmarshal(have, &value) == nil && sameJSON(want, value)
}

func isEmptyJSON(raw json.RawMessage) bool {
	switch string(bytes.TrimSpace(raw)) {
	case "", "null", "{}":
		return true
	}
	return false
}

// Fits says why a worker with the given registration may not do the task, "" when it may.
// Skills and worker_id may be missing: scenarios describe a worker by what matters to them.
func Fits(registration json.RawMessage, t job.Task) (why string) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(registration, &fields); err != nil || fields == nil {
		return "the worker's registration is not a JSON object"
	}
	if fields["worker_id"] == nil {
		fields["worker_id"] = json.RawMessage(`"worker"`)
	}
	body, err := json.Marshal(fields)
	if err != nil {
		return "the worker's registration can not be read: " + err.Error()
	}
	reg, err := protocol.ParseRegister(body)
	if err != nil {
		return "the worker's registration can not be read: " + err.Error()
	}
	r := parseRequirement(&t)
	if why := r.tooDear(reg.Costs, t.Type); why != "" {
		return why
	}
	return r.unmet(newAbility(&reg))
}
