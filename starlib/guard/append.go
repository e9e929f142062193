package guard

import (
	"fmt"

	"go.starlark.net/starlark"
)

// This file holds append, the method that scripts call most: a bound method of its own that
// knows its account, so that neither has to be looked for.

// appending is x.append in a function's body. For a script it is the language's own method.
type appending struct {
	list *starlark.List
	a    *Account
}

var _ starlark.Callable = (*appending)(nil)

// plain is the same method as any other code makes it.
func (m *appending) plain() *starlark.Builtin { return guardedList["append"].BindReceiver(m.list) }

func (m *appending) Name() string          { return "append" }
func (m *appending) String() string        { return m.plain().String() }
func (m *appending) Type() string          { return m.plain().Type() }
func (m *appending) Freeze()               { m.list.Freeze() }
func (m *appending) Truth() starlark.Bool  { return true }
func (m *appending) Hash() (uint32, error) { return m.plain().Hash() }

// CallInternal appends. The account is that of the thread that made the method; another one
// may call it, when it was kept at a file's top level, and is charged itself then.
func (m *appending) CallInternal(thread *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if thread != m.a.thread || len(args) != 1 || len(kwargs) > 0 {
		return m.plain().CallInternal(thread, args, kwargs)
	}
	if n := m.list.Len(); n >= m.a.limits.Elements {
		return nil, m.a.Elements("append", n+1, 0)
	}
	if err := m.a.Alloc(placeBytes(args[0])); err != nil {
		return nil, err
	}
	if err := m.list.Append(args[0]); err != nil {
		return nil, fmt.Errorf("append: %w", err)
	}
	return starlark.None, nil
}
