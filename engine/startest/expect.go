package startest

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"orrery/starlib/guard"
)

// This file holds what a case can demand: job.expect(...) and the module expect.

// expectModule gives expect.eq and its like.
func expectModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "expect", Members: starlark.StringDict{}}
	for name, fn := range map[string]func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error){
		"eq": expectEq, "ne": expectNe, "true": expectTrue, "false": expectFalse, "contains": expectContains, "fails": expectFails,
	} {
		m.Members[name] = starlark.NewBuiltin("expect."+name, fn)
	}
	return m
}

// because adds the reason that a test gives.
func because(text, why string) error {
	if why != "" {
		text = why + ": " + text
	}
	return errors.New(text)
}

func expectEq(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var got, want starlark.Value
	var why string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "got", &got, "want", &want, "why?", &why); err != nil {
		return nil, err
	}
	if d := differences("", got, want); len(d) > 0 {
		return nil, because("not equal\n"+strings.Join(d, "\n"), why)
	}
	return starlark.None, nil
}

func expectNe(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var got, unwanted starlark.Value
	var why string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "got", &got, "unwanted", &unwanted, "why?", &why); err != nil {
		return nil, err
	}
	if len(differences("", got, unwanted)) == 0 {
		return nil, because("got "+show(got)+", and that must not be", why)
	}
	return starlark.None, nil
}

func expectTruth(b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple, want bool) (starlark.Value, error) {
	var got starlark.Value
	var why string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "got", &got, "why?", &why); err != nil {
		return nil, err
	}
	if bool(got.Truth()) != want {
		return nil, because(fmt.Sprintf("got %s, which counts as %s", show(got), got.Truth()), why)
	}
	return starlark.None, nil
}

func expectTrue(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return expectTruth(b, args, kwargs, true)
}

func expectFalse(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	return expectTruth(b, args, kwargs, false)
}

// expectContains looks for a text in a text, an element in a list or a key in a dict.
func expectContains(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var got, part starlark.Value
	var why string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "got", &got, "part", &part, "why?", &why); err != nil {
		return nil, err
	}
	found := false
	switch x := got.(type) {
	case starlark.String:
		s, ok := starlark.AsString(part)
		if !ok {
			return nil, fmt.Errorf("%s: part is %s; in text only text is looked for", b.Name(), part.Type())
		}
		found = strings.Contains(string(x), s)
	case starlark.Iterable:
		for v := range starlark.Elements(x) {
			found = found || len(differences("", v, part)) == 0
		}
	default:
		return nil, fmt.Errorf("%s: got is %s; it must be text, a list or a dict", b.Name(), got.Type())
	}
	if !found {
		return nil, because(show(part)+" is not in "+show(got), why)
	}
	return starlark.None, nil
}

// expectFails is expect.fails(fn, match=""): the call must fail, with a message that the
// regular expression finds. It gives the message.
func expectFails(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var fn starlark.Callable
	var match, why string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "fn", &fn, "match?", &match, "why?", &why); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(match)
	if err != nil {
		return nil, fmt.Errorf("%s: match: %w", b.Name(), err)
	}
	_, err = starlark.Call(thread, fn, nil, nil)
	var limit *guard.LimitError
	if errors.As(err, &limit) {
		return nil, err // of the case itself, which goes on no longer
	}
	if err == nil {
		return nil, because(fn.Name()+" did not fail", why)
	}
	message := err.Error()
	var ee *starlark.EvalError
	if errors.As(err, &ee) {
		message = ee.Msg
	}
	if !re.MatchString(message) {
		return nil, because(fmt.Sprintf("%s failed with %q, in which %q is not found", fn.Name(), message, match), why)
	}
	return starlark.String(message), nil
}

// expectJob is job.expect(status=..., path=..., ...): each keyword is compared, and all that
// differ are told at once. A value may be a function, which gets what came out and must
// give something true.
func expectJob(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if len(args) > 0 {
		return nil, fmt.Errorf("expect: name what you expect, for example expect(status = \"finished\")")
	}
	j := b.Receiver().(*jobValue)
	wanted := starlark.StringDict{}
	for _, kw := range kwargs {
		wanted[text(kw[0])] = kw[1]
	}
	var bad []string
	for _, name := range append(slices.Clone(jobFields), "absent") {
		want, ok := wanted[name]
		delete(wanted, name)
		if !ok {
			continue
		}
		d, err := j.compare(thread, name, want)
		if err != nil {
			return nil, err
		}
		bad = append(bad, d...)
	}
	if len(wanted) > 0 {
		return nil, fmt.Errorf("expect: there is no %s; there are: %s, absent", strings.Join(wanted.Keys(), ", "), strings.Join(jobFields, ", "))
	}
	if len(bad) > 0 {
		return nil, fmt.Errorf("the job came out otherwise\n%s", strings.Join(bad, "\n"))
	}
	return starlark.None, nil
}

// compare compares one keyword: some keys of dicts, all entries of lists.
func (j *jobValue) compare(thread *starlark.Thread, name string, want starlark.Value) ([]string, error) {
	got := j.fields[name]
	if fn, ok := want.(starlark.Callable); ok {
		return satisfied(thread, name, got, fn)
	}
	switch name {
	case "absent":
		return j.absent(want)
	case "state_history", "initial_data", "files":
		return some(thread, name, got, want)
	case "stores":
		return someStores(thread, got, want)
	case "error":
		if code, ok := starlark.AsString(want); ok { // a code alone
			d := new(starlark.Dict)
			_ = d.SetKey(starlark.String("code"), starlark.String(code)) // text is always hashable
			want = d
		}
		return some(thread, name, got, want)
	case "tasks", "ignored", "progress", "children", "webhooks":
		return entries(thread, name, got, want)
	case "log":
		return lines(name, got, want)
	case "took_seconds":
		a, okA := starlark.AsFloat(got)
		b, okB := starlark.AsFloat(want)
		if okA && okB && math.Abs(a-b) < 0.5 { // pauses of milliseconds are nobody's business
			return nil, nil
		}
	}
	return differences(name, got, want), nil
}

// satisfied asks a function about a value.
func satisfied(thread *starlark.Thread, name string, got starlark.Value, fn starlark.Callable) ([]string, error) {
	v, err := starlark.Call(thread, fn, starlark.Tuple{got}, nil)
	if err != nil {
		return nil, fmt.Errorf("expect: %s: %w", name, err)
	}
	if v.Truth() {
		return nil, nil
	}
	return []string{fmt.Sprintf("%s: got %s, which %s does not accept", name, show(got), fn.Name())}, nil
}

// some compares the keys that a dict names.
func some(thread *starlark.Thread, name string, got, want starlark.Value) ([]string, error) {
	keys, isDict := want.(*starlark.Dict)
	have, gotDict := got.(*starlark.Dict)
	if !isDict || !gotDict {
		return differences(name, got, want), nil
	}
	var bad []string
	for k, w := range keys.Entries() {
		at := name + "." + strings.Trim(show(k), `"`)
		v, found, err := have.Get(k)
		if err != nil {
			return nil, fmt.Errorf("expect: %s: %w", at, err)
		}
		if !found {
			bad = append(bad, fmt.Sprintf("%s: missing, want %s; there are: %s", at, show(w), keysOf(have)))
			continue
		}
		if fn, ok := w.(starlark.Callable); ok {
			d, err := satisfied(thread, at, v, fn)
			if err != nil {
				return nil, err
			}
			bad = append(bad, d...)
			continue
		}
		bad = append(bad, differences(at, v, w)...)
	}
	return bad, nil
}

// someStores compares some keys of some stores.
func someStores(thread *starlark.Thread, got, want starlark.Value) ([]string, error) {
	stores, ok := want.(*starlark.Dict)
	if !ok {
		return differences("stores", got, want), nil
	}
	var bad []string
	for k, w := range stores.Entries() {
		name := text(k)
		v, found := lookup(got.(*starlark.Dict), name)
		if !found {
			bad = append(bad, fmt.Sprintf("stores.%s: the blueprint has no such store; it has: %s", name, keysOf(got.(*starlark.Dict))))
			continue
		}
		d, err := some(thread, "stores."+name, v, w)
		if err != nil {
			return nil, err
		}
		bad = append(bad, d...)
	}
	return bad, nil
}

// short is the attribute that a bare text in a list of entries speaks of.
var short = map[string]string{"tasks": "task_type", "ignored": "task_type", "children": "blueprint", "progress": "message", "webhooks": "event"}

// entries compares a list whose entries are named by a text, or by some of their keys.
func entries(thread *starlark.Thread, name string, got, want starlark.Value) ([]string, error) {
	have := got.(*starlark.List)
	list, ok := want.(*starlark.List)
	if !ok {
		return []string{fmt.Sprintf("%s: want is %s; it must be a list of names or dicts", name, want.Type())}, nil
	}
	var bad []string
	if have.Len() != list.Len() {
		var names []string
		for i := range have.Len() {
			names = append(names, show(field(have.Index(i), short[name])))
		}
		bad = append(bad, fmt.Sprintf("%s: got %d [%s], want %d", name, have.Len(), strings.Join(names, ", "), list.Len()))
	}
	for i := range min(have.Len(), list.Len()) {
		at := fmt.Sprintf("%s[%d]", name, i)
		switch w := list.Index(i).(type) {
		case starlark.String:
			bad = append(bad, differences(at+"."+short[name], field(have.Index(i), short[name]), w)...)
		case *starlark.Dict:
			d, err := fields(thread, at, have.Index(i), w)
			if err != nil {
				return nil, err
			}
			bad = append(bad, d...)
		default:
			bad = append(bad, fmt.Sprintf("%s: want is %s; it must be a name or a dict", at, w.Type()))
		}
	}
	return bad, nil
}

// fields compares some keys of one entry. A child is compared as job.expect would.
func fields(thread *starlark.Thread, at string, got starlark.Value, want *starlark.Dict) ([]string, error) {
	child, ok := got.(*jobValue)
	if !ok {
		return some(thread, at, got, want)
	}
	var bad []string
	for k, w := range want.Entries() {
		name := text(k)
		if _, known := child.fields[name]; !known && name != "absent" {
			return nil, fmt.Errorf("expect: %s: a job has no %q", at, name)
		}
		d, err := child.compare(thread, name, w)
		if err != nil {
			return nil, err
		}
		for _, line := range d {
			bad = append(bad, at+"."+line)
		}
	}
	return bad, nil
}

// field gives an attribute or key by its name.
func field(v starlark.Value, name string) starlark.Value {
	switch v := v.(type) {
	case *starlark.Dict:
		if x, found := lookup(v, name); found {
			return x
		}
	case *jobValue:
		return v.fields[name]
	}
	return starlark.None
}

// lines looks for texts in log lines, in their order.
func lines(name string, got, want starlark.Value) ([]string, error) {
	list, ok := want.(*starlark.List)
	if !ok {
		return []string{fmt.Sprintf("%s: want is %s; it must be a list of texts", name, want.Type())}, nil
	}
	have, next := got.(*starlark.List), 0
	for i := range list.Len() {
		part := text(list.Index(i))
		for next < have.Len() && !strings.Contains(text(have.Index(next)), part) {
			next++
		}
		if next == have.Len() {
			return []string{fmt.Sprintf("%s: no line has %q (after those before it); got %s", name, part, show(got))}, nil
		}
		next++
	}
	return nil, nil
}

// absent names keys that state_history must not have.
func (j *jobValue) absent(want starlark.Value) ([]string, error) {
	list, ok := want.(starlark.Iterable)
	if !ok {
		return nil, fmt.Errorf("expect: absent is %s; it must be a list of keys", want.Type())
	}
	history, isDict := j.fields["state_history"].(*starlark.Dict)
	var bad []string
	for k := range starlark.Elements(list) {
		if v, found := lookup(history, text(k)); isDict && found {
			bad = append(bad, fmt.Sprintf("state_history.%s: is %s, and must not be there", text(k), show(v)))
		}
	}
	return bad, nil
}
