// Package border turns JSON text into Starlark values and back, without anything in between.
//
// It is the only place where data enters or leaves scripts: initial data, state_history,
// params, data stores, results of tasks. What crosses is fixed by semantics part 1:
// integers have 64 bits, a float stays a float (2.0, never 2), NaN and infinities are
// refused, tuples become lists, keys are text and keep the order of insertion. Anything
// else is an error that names the key path and the type; nothing is dropped in silence.
package border

// MaxDepth is how deep lists and dicts may be nested. It also ends a value that contains itself.
const MaxDepth = 100

// Fault says what could not cross and where.
type Fault struct {
	Path string // such as `state_history.user.tags[2]`
	Text string
	Deep bool // the reason is MaxDepth
	Done int  // bytes that Encode had gone through
}

// Error gives path and reason on one line.
func (f *Fault) Error() string { return f.Path + ": " + f.Text }

// TooLarge says that a value has more JSON text than allowed.
type TooLarge struct {
	Where string
	Limit int // bytes
}

// Error names the value and the limit.
func (e *TooLarge) Error() string {
	return e.Where + " is larger than its limit of " + bytesText(e.Limit) + " of JSON text"
}
