package clustersim

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// This file makes random blueprints in abstract form, and writes them as Starlark.

// kind says what a stage does.
type kind int

const (
	goOn   kind = iota // goes on to next, at once or after a while
	again              // goes back to next the first time, and on to other after that
	work               // one task
	fan                // several tasks that a join waits for
	join               // the aggregator of a fan
	child              // runs another blueprint
	ask                // waits for a person
	broken             // its handler fails until somebody mends the job
	ending
)

// fate is what an honest worker makes of a task; it travels in the params.
type fate string

const (
	fine      fate = "fine"      // success
	custom    fate = "custom"    // the status "other"
	unheard   fate = "unheard"   // a status that no transition knows
	permanent fate = "permanent" // fails for good, unless the job was mended
	invalid   fate = "invalid"   // as permanent, with another code and another end
	exhausts  fate = "exhausts"  // fails in passing, every time
	flaky     fate = "flaky"     // fails in passing for a while, then succeeds
)

// stage is one state of a plan. Empty targets are transitions that are left out.
type stage struct {
	name string
	kind kind

	next, other, failure, cancelled, timeout string

	after    float64 // goOn: seconds; ask: until the deadline; 0 none
	counts   bool    // adds one to the data store
	reads    bool    // does so by get and set
	fates    []fate  // of the tasks: one, or one a branch
	types    []string
	retries  int     // tries after the first; never: none, not even after a lost worker
	attempt  float64 // timeout_seconds, 0 the default
	dispatch float64 // dispatch_timeout_seconds, 0 none
	listed   bool    // fan: by dispatch_parallel
	status   string  // ending
}

const (
	never    = -1
	manyTry  = 1000 // so many that losses never use them up
	someTry  = 2    // for tasks that are meant to use them up
	taskKind = 3    // task types
)

// plan is one blueprint.
type plan struct {
	name   string
	stored bool // has a data store
	child  *plan
	stages map[string]*stage
	order  []string // names, the start first
}

// grow makes a random plan; below is what it may run as its child, or nil.
func grow(r *rand.Rand, name string, below *plan) *plan {
	p := &plan{name: name, stored: r.IntN(2) == 0, child: below, stages: map[string]*stage{}}
	for _, end := range []string{"finished", "failed", "cancelled"} {
		p.put(&stage{name: end, kind: ending, status: end})
	}
	p.put(&stage{name: "odd_end", kind: ending, status: []string{"finished", "failed", "cancelled"}[r.IntN(3)]})
	n := 2 + r.IntN(5)
	for i := range n {
		p.put(p.stage(r, i, n))
	}
	p.order = nil
	p.reach("s0") // unreachable states would be refused
	for name := range p.stages {
		if !p.has(name) {
			delete(p.stages, name)
		}
	}
	return p
}

func (p *plan) put(s *stage) { p.stages[s.name] = s }

func (p *plan) has(name string) bool {
	for _, o := range p.order {
		if o == name {
			return true
		}
	}
	return false
}

// reach lists the states that can be entered, the start first.
func (p *plan) reach(name string) {
	if name == "" || p.has(name) {
		return
	}
	p.order = append(p.order, name)
	s := p.stages[name]
	for _, next := range []string{s.next, s.other, s.failure, s.cancelled, s.timeout} {
		p.reach(next)
	}
}

// ahead picks a state after the i-th of n, or an end.
func ahead(r *rand.Rand, i, n int) string {
	if i+1 < n && r.IntN(4) > 0 {
		return fmt.Sprintf("s%d", i+1+r.IntN(min(2, n-i-1)))
	}
	if r.IntN(8) == 0 {
		return "odd_end"
	}
	return "finished"
}

// aside picks where something exceptional leads: nowhere, to an end, or through a state of
// its own back to the main line.
func (p *plan) aside(r *rand.Rand, i, n int, word, end string) string {
	switch r.IntN(5) {
	case 0, 1:
		return ""
	case 2:
		return end
	case 3:
		return ahead(r, i, n)
	}
	s := &stage{name: fmt.Sprintf("%s%d", word, i), kind: goOn, next: ahead(r, i, n), counts: p.stored && r.IntN(3) == 0}
	if r.IntN(3) == 0 {
		s.kind, s.fates, s.types, s.retries = work, []fate{fine}, []string{taskType(r)}, manyTry
	}
	p.put(s)
	return s.name
}

func taskType(r *rand.Rand) string { return fmt.Sprintf("type%d", r.IntN(taskKind)) }

func (p *plan) stage(r *rand.Rand, i, n int) *stage {
	s := &stage{name: fmt.Sprintf("s%d", i), next: ahead(r, i, n), retries: manyTry}
	s.counts = p.stored && r.IntN(2) == 0
	s.reads = r.IntN(2) == 0
	kinds := []kind{goOn, goOn, work, work, work, work, fan, fan, ask, again, broken}
	if p.child != nil {
		kinds = append(kinds, child, child)
	}
	switch s.kind = kinds[r.IntN(len(kinds))]; s.kind {
	case goOn:
		if r.IntN(2) == 0 {
			s.after = float64(1 + r.IntN(20))
		}
	case again:
		if i == 0 {
			s.kind = goOn
			break
		}
		s.next, s.other = fmt.Sprintf("s%d", r.IntN(i)), s.next
	case work:
		p.asWork(r, s, i, n)
	case fan:
		p.asFan(r, s, i, n)
	case child:
		s.failure = p.aside(r, i, n, "childless", "failed")
		s.cancelled = p.aside(r, i, n, "undo", "cancelled")
	case ask:
		s.other = ahead(r, i, n)
		s.cancelled = p.aside(r, i, n, "undo", "cancelled")
		if r.IntN(3) == 0 {
			s.after, s.timeout = float64(2+r.IntN(30)), p.aside(r, i, n, "late", "failed")
		}
	}
	return s
}

func (p *plan) asWork(r *rand.Rand, s *stage, i, n int) {
	fates := []fate{fine, fine, fine, flaky, flaky, custom, permanent, invalid, exhausts, unheard}
	s.fates, s.types = []fate{fates[r.IntN(len(fates))]}, []string{taskType(r)}
	s.failure = p.aside(r, i, n, "mend", "failed")
	s.cancelled = p.aside(r, i, n, "undo", "cancelled")
	if s.fates[0] == custom {
		s.other = ahead(r, i, n)
	}
	p.limits(r, s)
}

func (p *plan) asFan(r *rand.Rand, s *stage, i, n int) {
	j := &stage{name: fmt.Sprintf("join%d", i), kind: join, next: s.next, counts: p.stored && r.IntN(2) == 0}
	p.put(j)
	s.next, s.listed = j.name, r.IntN(2) == 0
	for range 1 + r.IntN(5) {
		s.fates, s.types = append(s.fates, []fate{fine, flaky}[r.IntN(2)]), append(s.types, taskType(r))
	}
	if r.IntN(3) == 0 {
		s.fates[r.IntN(len(s.fates))] = []fate{permanent, invalid, exhausts}[r.IntN(3)]
	}
	s.failure = p.aside(r, i, n, "mend", "failed")
	s.cancelled = p.aside(r, i, n, "undo", "cancelled")
	p.limits(r, s)
}

// limits gives a task its deadlines and retries.
func (p *plan) limits(r *rand.Rand, s *stage) {
	for _, f := range s.fates {
		if f == exhausts {
			s.retries = someTry
		}
	}
	switch r.IntN(8) {
	case 0:
		s.retries = never
	case 1:
		s.dispatch = float64(5 + r.IntN(60))
	case 2, 3:
		s.attempt = float64(3 + r.IntN(20))
	}
}

// script writes plans as one Starlark file.
func script(plans []*plan) string {
	var b strings.Builder
	b.WriteString(`
def note(context, state):
    h = context.state_history
    h["visits"] = h.get("visits", []) + [state]
    return len([v for v in h["visits"] if v == state])

def number(context, n):
    h = context.state_history
    h["numbers"] = h.get("numbers", []) + [n]

def params(context, state, visit, fate, branch):
    mended = context.state_history.get("mended")
    return {"key": context.initial_data["key"], "state": state, "visit": visit, "branch": branch, "fate": "fine" if mended else fate}
`)
	for _, p := range plans {
		fmt.Fprintf(&b, "\n%s = blueprint(name = %q)\n", p.name, p.name)
		if p.stored {
			fmt.Fprintf(&b, "%s.add_data_store(\"kept\", {\"n\": 0})\n", p.name)
		}
		for i, name := range p.order {
			p.write(&b, p.stages[name], i == 0)
		}
	}
	return b.String()
}

func (p *plan) write(b *strings.Builder, s *stage, isStart bool) {
	fmt.Fprintf(b, "\ndef %s_%s(context, actions):\n    visit = note(context, %q)\n", p.name, s.name, s.name)
	switch {
	case s.counts && s.reads:
		b.WriteString("    n = context.data_stores.kept.get(\"n\") + 1\n    context.data_stores.kept.set(\"n\", n)\n    number(context, n)\n")
	case s.counts:
		b.WriteString("    number(context, context.data_stores.kept.incr(\"n\"))\n")
	}
	p.act(b, s)
	register := fmt.Sprintf("handler_for(%q", s.name)
	switch {
	case s.kind == join:
		register = fmt.Sprintf("aggregator_for(%q", s.name)
	case s.kind == ending:
		register += fmt.Sprintf(", is_end = True, status = %q", s.status)
	case isStart:
		register += ", is_start = True"
	}
	fmt.Fprintf(b, "\n%s.%s)(%s_%s)\n", p.name, register, p.name, s.name)
}

// act writes what a handler does.
func (p *plan) act(b *strings.Builder, s *stage) {
	switch s.kind {
	case goOn:
		after := ""
		if s.after > 0 {
			after = fmt.Sprintf(", after_seconds = %g", s.after)
		}
		fmt.Fprintf(b, "    actions.transition_to(%q%s)\n", s.next, after)
	case again:
		fmt.Fprintf(b, "    if visit == 1:\n        actions.transition_to(%q)\n    else:\n        actions.transition_to(%q)\n", s.next, s.other)
	case broken:
		fmt.Fprintf(b, "    if not context.state_history.get(\"mended\"):\n        fail(\"out of order\")\n    actions.transition_to(%q)\n", s.next)
	case join:
		fmt.Fprintf(b, "    context.state_history[%q] = sorted([r[\"data\"][\"fence\"] for r in context.aggregation_results.values()])\n", "joined_"+s.name)
		fmt.Fprintf(b, "    actions.transition_to(%q)\n", s.next)
	case work:
		for i := range s.fates {
			fmt.Fprintf(b, "    actions.dispatch_task(task_type = %q, params = %s, transitions = %s%s)\n", s.types[i], s.params(i), s.transitions(), s.bounds(" = ", ""))
		}
	case fan:
		p.actFan(b, s)
	case child:
		fmt.Fprintf(b, "    actions.run_blueprint(blueprint_name = %q, initial_data = {\"key\": \"%%s/%s%%d\" %% (context.initial_data[\"key\"], visit)}, transitions = %s)\n", p.child.name, s.name, s.transitions())
	case ask:
		until := ""
		if s.after > 0 {
			until = fmt.Sprintf(", timeout_seconds = %g", s.after)
		}
		fmt.Fprintf(b, "    actions.await_human_approval(integration = \"desk\", message = \"%s %%d\" %% visit, transitions = %s%s)\n", s.name, s.transitions(), until)
	case ending:
	}
}

func (p *plan) actFan(b *strings.Builder, s *stage) {
	if !s.listed {
		for i := range s.fates {
			fmt.Fprintf(b, "    actions.dispatch_task(task_type = %q, params = %s, transitions = %s%s)\n", s.types[i], s.params(i), s.transitions(), s.bounds(" = ", ""))
		}
		return
	}
	b.WriteString("    actions.dispatch_parallel(tasks = [\n")
	for i := range s.fates {
		fmt.Fprintf(b, "        {\"task_type\": %q, \"params\": %s%s},\n", s.types[i], s.params(i), s.bounds(": ", `"`))
	}
	fmt.Fprintf(b, "    ], aggregate_into = %q", s.next)
	for _, t := range [][2]string{{"failure", s.failure}, {"cancelled", s.cancelled}} {
		if t[1] != "" {
			fmt.Fprintf(b, ", %s = %q", t[0], t[1])
		}
	}
	b.WriteString(")\n")
}

func (s *stage) params(i int) string {
	return fmt.Sprintf("params(context, %q, visit, %q, %d)", s.name, s.fates[i], i)
}

// transitions writes the outcomes that a stage knows.
func (s *stage) transitions() string {
	var parts []string
	for _, t := range s.outcomes() {
		parts = append(parts, fmt.Sprintf("%q: %q", t[0], t[1]))
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

// outcomes pairs what may come of a wait with where it leads.
func (s *stage) outcomes() (out [][2]string) {
	first, second := "success", "other"
	if s.kind == ask {
		first, second = "yes", "no"
	}
	for _, t := range [][2]string{{first, s.next}, {second, s.other}, {"failure", s.failure}, {"cancelled", s.cancelled}, {"timeout", s.timeout}} {
		if t[1] != "" {
			out = append(out, t)
		}
	}
	return out
}

// bounds writes a task's limits; is and quote say in which syntax.
func (s *stage) bounds(is, quote string) string {
	out := ""
	add := func(name, value string) { out += ", " + quote + name + quote + is + value }
	if s.retries == never {
		add("retry", "0")
	} else {
		add("retry", fmt.Sprintf(`{"max": %d, "initial_seconds": 1, "factor": 1.5, "max_seconds": 4}`, s.retries))
	}
	if s.attempt > 0 {
		add("timeout_seconds", fmt.Sprint(s.attempt))
	}
	if s.dispatch > 0 {
		add("dispatch_timeout_seconds", fmt.Sprint(s.dispatch))
	}
	return out
}
