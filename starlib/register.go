package starlib

import (
	"encoding/json"
	"fmt"
	"slices"
	"sort"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"orrery/engine/job"
	"orrery/starlib/border"
	"orrery/starlib/guard"
	"orrery/starlib/when"
)

// This file holds the value that StateMachineBlueprint() gives, and what the top level of
// a file registers with it. Rules over the whole blueprint are engine/blueprint's.

// Registry collects what one file declares while it is loaded.
type Registry struct {
	Blueprints []*Declared
}

const registryKey = "orrery.registry"

// Collect makes a thread's blueprints go to r.
func (r *Registry) Collect(thread *starlark.Thread) { thread.SetLocal(registryKey, r) }

// Declared is one blueprint as its file declares it.
type Declared struct {
	Name, Endpoint, Version, Description string
	Example                              json.RawMessage // nil when none is given
	Stores                               map[string]map[string]json.RawMessage
	Handlers                             []*Registration
	Renders                              []Render
	Limits                               Limits // lower ones of its own; zero where it says nothing
	Pos                                  syntax.Position
	Open                                 []*Registration // handler_for without a function, so far
	frozen                               bool
}

// Registration is one handler_for or aggregator_for.
type Registration struct {
	State      string
	Start, End bool
	Aggregator bool
	Status     string // given by status=, else empty
	When       *Condition
	Fn         *starlark.Function
	Pos        syntax.Position
}

// Condition is what .when was given: a text or a function of context.
type Condition struct {
	Text string // of a function: its name
	Expr *when.Expr
	Fn   *starlark.Function
}

// Render is one render_graph call: the command line draws it, a server never does.
type Render struct{ Path, Format string }

func newBlueprint(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	d := &Declared{Stores: map[string]map[string]json.RawMessage{}, Pos: callPosition(thread)}
	none := starlark.Value(starlark.None)
	endpoint, version, stores, example, limits := none, none, none, none, none
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &d.Name, "api_endpoint?", &endpoint, "api_version?", &version,
		"data_stores?", &stores, "description?", &d.Description, "example?", &example, "limits?", &limits); err != nil {
		return nil, err
	}
	r, ok := thread.Local(registryKey).(*Registry)
	if !ok {
		return nil, fmt.Errorf("%s: blueprints are made while the file is loaded, not inside handlers", b.Name())
	}
	if d.Name == "" {
		return nil, fmt.Errorf("%s: name is empty", b.Name())
	}
	if err := nameFault(b.Name(), "name", d.Name); err != nil {
		return nil, err
	}
	for _, x := range []struct {
		name string
		v    starlark.Value
		to   *string
	}{{"api_endpoint", endpoint, &d.Endpoint}, {"api_version", version, &d.Version}} {
		text, ok := starlark.AsString(x.v)
		if !ok && x.v != starlark.None {
			return nil, fmt.Errorf("%s: %s is %s; it must be text", b.Name(), x.name, x.v.Type())
		}
		*x.to = text
	}
	var err error
	if d.Limits, err = readLimits(b.Name(), limits); err != nil {
		return nil, err
	}
	if example != starlark.None {
		text, err := encode(example, "example", DefaultLimits().DataBytes, border.MaxDepth, CodeData)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		d.Example = text
	}
	if stores != starlark.None {
		all, ok := stores.(*starlark.Dict)
		if !ok {
			return nil, fmt.Errorf("%s: data_stores is %s; it must be a dict of names to initial values", b.Name(), stores.Type())
		}
		for k, v := range all.Entries() {
			name, ok := starlark.AsString(k)
			if !ok {
				return nil, fmt.Errorf("%s: data_stores has the key %s; the name of a store is text", b.Name(), guard.Show(k, 80))
			}
			if err := d.addStore(b.Name(), name, v); err != nil {
				return nil, err
			}
		}
	}
	r.Blueprints = append(r.Blueprints, d)
	return d, registered(thread, blueprintBytes)
}

// What a blueprint, a handler and a condition take for good, in bytes, beside their texts:
// what is built of them is looked at from all sides.
const (
	blueprintBytes = 8 << 10
	handlerBytes   = 2 << 10
	conditionBytes = 1 << 10
)

// maxCondition is how long the text of a condition may be, in bytes.
const maxCondition = 16 << 10

// registered charges what a file's top level declares: it stays as long as the program.
func registered(thread *starlark.Thread, bytes int) error {
	account := guard.Of(thread)
	if err := account.Work(thread, bytes/4); err != nil {
		return err
	}
	return account.Alloc(bytes)
}

// callPosition gives where the script called the builtin.
func callPosition(thread *starlark.Thread) syntax.Position {
	for depth := 1; depth < thread.CallStackDepth(); depth++ {
		if pos := thread.CallFrame(depth).Pos; pos.Filename() != "<builtin>" {
			return pos
		}
	}
	return syntax.Position{}
}

func (d *Declared) addStore(call, name string, v starlark.Value) error {
	if err := nameFault(call, "the name of a data store", name); err != nil {
		return err
	}
	if _, twice := d.Stores[name]; twice {
		return fmt.Errorf("%s: the data store %q is there already", call, name)
	}
	if !isName(name) {
		return fmt.Errorf("%s: %q cannot name a data store; use letters, digits and _", call, name)
	}
	initial, ok := v.(*starlark.Dict)
	if v == starlark.None {
		initial, ok = new(starlark.Dict), true
	}
	if !ok {
		return fmt.Errorf("%s: the initial values of %q are %s; they must be a dict", call, name, v.Type())
	}
	values := make(map[string]json.RawMessage, initial.Len())
	for k, x := range initial.Entries() {
		key, ok := starlark.AsString(k)
		if !ok {
			return fmt.Errorf("%s: %s has the key %s; keys must be text", call, name, guard.Show(k, 80))
		}
		text, err := encode(x, name+"."+key, DefaultLimits().DataBytes, border.MaxDepth, CodeData)
		if err != nil {
			return fmt.Errorf("%s: %w", call, err)
		}
		values[key] = text
	}
	d.Stores[name] = values
	return nil
}

func isName(s string) bool {
	for i, c := range []byte(s) {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

var (
	_ starlark.HasAttrs = (*Declared)(nil)
	_ starlark.HasAttrs = (*decorator)(nil)
	_ starlark.Callable = (*decorator)(nil)
)

func (d *Declared) String() string        { return "<blueprint " + d.Name + ">" }
func (d *Declared) Type() string          { return "blueprint" }
func (d *Declared) Freeze()               { d.frozen = true }
func (d *Declared) Truth() starlark.Bool  { return starlark.True }
func (d *Declared) Hash() (uint32, error) { return starlark.String(d.Name).Hash() }

var blueprintMethods = map[string]*starlark.Builtin{
	"handler_for":    starlark.NewBuiltin("handler_for", handlerFor),
	"aggregator_for": starlark.NewBuiltin("aggregator_for", aggregatorFor),
	"add_data_store": starlark.NewBuiltin("add_data_store", addDataStore),
	"render_graph":   starlark.NewBuiltin("render_graph", renderGraph),
}

// AttrNames lists methods and attributes, sorted.
func (d *Declared) AttrNames() []string {
	names := append(builtinNames(blueprintMethods), "name", "api_endpoint", "api_version", "description")
	sort.Strings(names)
	return names
}

// Attr gives a method or an attribute.
func (d *Declared) Attr(name string) (starlark.Value, error) {
	switch name {
	case "name":
		return starlark.String(d.Name), nil
	case "api_endpoint":
		return textOrNone(d.Endpoint), nil
	case "api_version":
		return textOrNone(d.Version), nil
	case "description":
		return starlark.String(d.Description), nil
	}
	if m, ok := blueprintMethods[name]; ok {
		return m.BindReceiver(d), nil
	}
	return nil, nil
}

func textOrNone(s string) starlark.Value {
	if s == "" {
		return starlark.None
	}
	return starlark.String(s)
}

// receiver gives the blueprint of a method call, unless its file is complete.
func receiver(b *starlark.Builtin) (*Declared, error) {
	d := b.Receiver().(*Declared)
	if d.frozen {
		return nil, fmt.Errorf("%s: the blueprint %q is complete; everything about it stands at the top level of the file that makes it (%s)", b.Name(), d.Name, d.Pos.Filename())
	}
	return d, nil
}

func handlerFor(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r := &Registration{Pos: callPosition(thread)}
	var status starlark.Value = starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "state", &r.State, "is_start?", &r.Start, "is_end?", &r.End, "status?", &status); err != nil {
		return nil, err
	}
	if status != starlark.None {
		text, ok := starlark.AsString(status)
		if !ok || text != "finished" && text != "failed" && text != "cancelled" {
			return nil, fmt.Errorf(`%s: status is %s; it must be "finished", "failed" or "cancelled"`, b.Name(), guard.Show(status, 80))
		}
		if !r.End {
			return nil, fmt.Errorf("%s: status belongs to end states: add is_end = True", b.Name())
		}
		r.Status = text
	}
	return decorate(thread, b, r)
}

func aggregatorFor(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r := &Registration{Pos: callPosition(thread), Aggregator: true}
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "state", &r.State); err != nil {
		return nil, err
	}
	return decorate(thread, b, r)
}

func decorate(thread *starlark.Thread, b *starlark.Builtin, r *Registration) (starlark.Value, error) {
	d, err := receiver(b)
	if err != nil {
		return nil, err
	}
	if r.State == "" {
		return nil, fmt.Errorf("%s: state is empty", b.Name())
	}
	if err := nameFault(b.Name(), "state", r.State); err != nil {
		return nil, err
	}
	d.Open = append(d.Open, r)
	return &decorator{of: d, r: r}, registered(thread, handlerBytes)
}

func addDataStore(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var name string
	var initial starlark.Value = starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "name", &name, "initial?", &initial); err != nil {
		return nil, err
	}
	d, err := receiver(b)
	if err != nil {
		return nil, err
	}
	return starlark.None, d.addStore(b.Name(), name, initial)
}

// renderFormats are those of engine/draw, which stands above this package.
var renderFormats = []string{"png", "svg", "dot", "mermaid", "json"}

func renderGraph(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	r := Render{Format: "png"}
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "path", &r.Path, "format?", &r.Format); err != nil {
		return nil, err
	}
	if !slices.Contains(renderFormats, r.Format) {
		return nil, fmt.Errorf("%s: unknown format %q; it is one of %s", b.Name(), job.Clip(r.Format, MaxName), strings.Join(renderFormats, ", "))
	}
	d, err := receiver(b)
	if err != nil {
		return nil, err
	}
	d.Renders = append(d.Renders, r)
	return starlark.None, nil
}

// decorator is what handler_for gives: called with a function it registers it.
type decorator struct {
	of *Declared
	r  *Registration
}

func (d *decorator) String() string        { return "<handler of " + d.r.State + ">" }
func (d *decorator) Type() string          { return "registration" }
func (d *decorator) Name() string          { return "handler_for(" + d.r.State + ")" }
func (d *decorator) Freeze()               {}
func (d *decorator) Truth() starlark.Bool  { return starlark.True }
func (d *decorator) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable: registration") }
func (d *decorator) AttrNames() []string   { return []string{"when"} }

var whenFn = starlark.NewBuiltin("when", whenCondition)

// Attr gives when.
func (d *decorator) Attr(name string) (starlark.Value, error) {
	if name == "when" {
		return whenFn.BindReceiver(d), nil
	}
	return nil, nil
}

// whenCondition gives the same registration with a condition.
func whenCondition(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var v starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "condition", &v); err != nil {
		return nil, err
	}
	d := b.Receiver().(*decorator)
	switch {
	case d.r.Aggregator:
		return nil, fmt.Errorf("when: an aggregator has no conditions")
	case d.r.When != nil:
		return nil, fmt.Errorf("when: the handler has a condition already (%s); join them with and", d.r.When.Text)
	}
	switch c := v.(type) {
	case starlark.String:
		if len(c) > maxCondition {
			return nil, &LimitError{Code: CodeText, Text: fmt.Sprintf("when: a condition has at most %s, and this has %d bytes", guard.Size(maxCondition), len(c))}
		}
		if err := registered(thread, conditionBytes+64*len(c)); err != nil {
			return nil, err
		}
		expr, err := when.Compile(string(c))
		if err != nil {
			return nil, err
		}
		d.r.When = &Condition{Text: string(c), Expr: expr}
	case *starlark.Function:
		if c.NumParams() != 1 || c.HasVarargs() || c.HasKwargs() {
			return nil, fmt.Errorf("when: the function %s must take one parameter, the context", c.Name())
		}
		d.r.When = &Condition{Text: c.Name(), Fn: c}
	default:
		return nil, fmt.Errorf("when: the condition is %s; it must be text or a function of context", v.Type())
	}
	return d, nil
}

// CallInternal registers the function and gives it back.
func (d *decorator) CallInternal(thread *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var v starlark.Value
	if err := starlark.UnpackPositionalArgs(d.Name(), args, kwargs, 1, &v); err != nil {
		return nil, err
	}
	fn, ok := v.(*starlark.Function)
	if !ok {
		return nil, fmt.Errorf("%s: the handler is %s; it must be a function", d.Name(), v.Type())
	}
	if d.of.frozen {
		return nil, fmt.Errorf("%s: the blueprint %q is complete", d.Name(), d.of.Name)
	}
	if d.r.Fn != nil {
		return nil, fmt.Errorf("%s: the function %s is registered with it already", d.Name(), d.r.Fn.Name())
	}
	if err := guard.Of(thread).Work(thread, len(d.of.Open)/8); err != nil {
		return nil, err
	}
	d.r.Fn = fn
	for i, open := range d.of.Open {
		if open == d.r {
			d.of.Open = append(d.of.Open[:i:i], d.of.Open[i+1:]...)
			break
		}
	}
	d.of.Handlers = append(d.of.Handlers, d.r)
	return fn, nil
}
