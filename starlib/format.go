package starlib

import (
	"fmt"
	"math"
	"math/big"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.starlark.net/starlark"

	"orrery/starlib/guard"
)

// This file holds format(value, spec): Python's format specifications, which the language's
// own % and format do not have.

// formatSpec is [[fill]align][sign][#][0][width][,][.precision][type].
var formatSpec = regexp.MustCompile(`^(?s:(?:(.)?([<>=^]))?)([-+ ]?)(#?)(0?)(\d*)([,_]?)(?:\.(\d+))?([a-zA-Z%]?)$`)

// maxSpec is far more than any specification that says something.
const maxSpec = 100

// layout is a parsed specification.
type layout struct {
	fill, align, sign string
	alternate         bool
	width             int
	group             string
	precision         int // -1: none
	kind              byte
}

func formatValue(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var v starlark.Value
	var spec string
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "value", &v, "spec?", &spec); err != nil {
		return nil, err
	}
	if spec == "" {
		text, err := guard.Text(thread, b.Name(), v)
		return starlark.String(text), err
	}
	l, err := parseLayout(spec)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	// A float in full has at most 309 digits before the point.
	need := max(l.width*utf8.UTFMax, l.precision+400)
	if n, ok := v.(starlark.Int); ok {
		need = max(need, 2*n.BigInt().BitLen()) // digits and what stands between them
	}
	account := guard.Of(thread)
	if err := account.Text(b.Name(), need); err != nil {
		return nil, err
	}
	work := 16 + max(l.precision, 0)/4
	switch v := v.(type) {
	case starlark.String: // its characters are counted
		work += len(v) / 32
	case starlark.Float:
		work += guard.FloatWork(v)
	case starlark.Int:
		if _, small := v.Int64(); !small {
			n := v.BigInt().BitLen() / 3
			work += n * n >> 14
		}
	}
	if err := account.Work(thread, work); err != nil {
		return nil, err
	}
	text, err := l.write(thread, v)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", b.Name(), err)
	}
	return starlark.String(text), nil
}

func parseLayout(spec string) (*layout, error) {
	if len(spec) > maxSpec {
		return nil, fmt.Errorf("a format specification has at most %d characters, and this has %d", maxSpec, len(spec))
	}
	m := formatSpec.FindStringSubmatch(spec)
	if m == nil {
		return nil, fmt.Errorf("%q is no format specification; one is such as 5, <10, 08.3f or ,", spec)
	}
	l := &layout{fill: m[1], align: m[2], sign: m[3], alternate: m[4] != "", group: m[7], precision: -1}
	if m[5] != "" && l.align == "" {
		l.fill, l.align = "0", "="
	} else if m[5] != "" && l.fill == "" {
		l.fill = "0"
	}
	if l.fill == "" {
		l.fill = " "
	}
	var err error
	if m[6] != "" {
		l.width, err = strconv.Atoi(m[6])
	}
	if m[8] != "" && err == nil {
		l.precision, err = strconv.Atoi(m[8])
	}
	if err != nil || l.width > 1<<20 || l.precision > 1<<10 {
		return nil, fmt.Errorf("%q asks for too much: at most 1048576 characters and 1024 digits", spec)
	}
	if m[9] != "" {
		l.kind = m[9][0]
	}
	return l, nil
}

// write formats by the value's type: text, whole numbers and floats have their own kinds.
func (l *layout) write(thread *starlark.Thread, v starlark.Value) (string, error) {
	switch x := v.(type) {
	case starlark.String:
		return l.text(string(x))
	case starlark.Bool:
		if l.kind == 0 || l.kind == 's' {
			return l.text(x.String())
		}
		n := starlark.MakeInt(0)
		if x {
			n = starlark.MakeInt(1)
		}
		return l.write(thread, n)
	case starlark.Int:
		if strings.IndexByte("fFeEgG%", l.kind) >= 0 && l.kind != 0 {
			f, ok := starlark.AsFloat(x)
			if !ok || math.IsInf(f, 0) {
				return "", fmt.Errorf("the number is too large for a float")
			}
			return l.float(f)
		}
		return l.integer(x.BigInt())
	case starlark.Float:
		return l.float(float64(x))
	}
	if l.kind != 0 && l.kind != 's' {
		return "", fmt.Errorf("a %s has no format %q", v.Type(), string(l.kind))
	}
	text, err := guard.Text(thread, "format", v)
	if err != nil {
		return "", err
	}
	return l.text(text)
}

func (l *layout) text(s string) (string, error) {
	if l.kind != 0 && l.kind != 's' || l.sign != "" || l.align == "=" && l.fill != "0" || l.group != "" {
		return "", fmt.Errorf("text takes fill, align, width and precision only")
	}
	if l.precision >= 0 {
		n := 0
		for i := range s {
			if n == l.precision {
				s = s[:i]
				break
			}
			n++
		}
	}
	align := l.align
	if align == "" || align == "=" { // 0 before the width of text pads behind it
		align = "<"
	}
	return l.pad(align, "", s), nil
}

func (l *layout) integer(n *big.Int) (string, error) {
	if l.precision >= 0 {
		return "", fmt.Errorf("whole numbers have no precision")
	}
	base, prefix := 10, ""
	switch l.kind {
	case 0, 'd', 'n':
	case 'b':
		base, prefix = 2, "0b"
	case 'o':
		base, prefix = 8, "0o"
	case 'x', 'X':
		base, prefix = 16, "0"+string(l.kind)
	case 'c':
		if !n.IsInt64() || n.Int64() < 0 || n.Int64() > utf8.MaxRune {
			return "", fmt.Errorf("%s is no character", guard.Show(starlark.MakeBigInt(n), 80))
		}
		c := *l
		c.kind = 0
		return c.text(string(rune(n.Int64())))
	default:
		return "", fmt.Errorf("an int has no format %q", string(l.kind))
	}
	digits := new(big.Int).Abs(n).Text(base)
	if l.kind == 'X' {
		digits = strings.ToUpper(digits)
	}
	if !l.alternate {
		prefix = ""
	}
	step := 3
	if base != 10 {
		step = 4
	}
	return l.number(n.Sign() < 0, prefix, digits, "", step), nil
}

func (l *layout) float(f float64) (string, error) {
	kind, precision, suffix := l.kind, l.precision, ""
	switch kind {
	case 0, 'f', 'F', 'e', 'E', 'g', 'G', 'n':
	case '%':
		f, kind, suffix = f*100, 'f', "%"
	default:
		return "", fmt.Errorf("a float has no format %q", string(l.kind))
	}
	negative := math.Signbit(f) && !math.IsNaN(f)
	f = math.Abs(f)
	var s string
	switch {
	case math.IsInf(f, 0):
		s = "inf"
	case math.IsNaN(f):
		s = "nan"
	case kind == 0 && precision < 0:
		s = shortest(f)
	case kind == 0 || kind == 'g' || kind == 'G' || kind == 'n':
		s = general(f, precision, kind == 0, l.alternate)
	default:
		if precision < 0 {
			precision = 6
		}
		s = strconv.FormatFloat(f, lower(kind), precision, 64)
	}
	if kind == 'E' || kind == 'G' || kind == 'F' {
		s = strings.ToUpper(s)
	}
	whole, rest := s, ""
	if i := strings.IndexAny(s, ".eE"); i >= 0 {
		whole, rest = s[:i], s[i:]
	}
	return l.number(negative, "", whole, rest+suffix, 3), nil
}

func lower(kind byte) byte { return kind | 0x20 }

// shortest is Python's repr of a float.
func shortest(f float64) string {
	if f != 0 && (f < 1e-4 || f >= 1e16) {
		s := strconv.FormatFloat(f, 'e', -1, 64)
		return s
	}
	s := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// general is %g: so many digits in all, the shorter of the two forms. point keeps one digit
// after the point, as a specification without a type does.
func general(f float64, precision int, point, keep bool) string {
	switch {
	case precision < 0:
		precision = 6
	case precision == 0:
		precision = 1
	}
	exponent := 0
	if f != 0 {
		_, after, _ := strings.Cut(strconv.FormatFloat(f, 'e', precision-1, 64), "e")
		exponent, _ = strconv.Atoi(after) // FormatFloat wrote a number there
	}
	limit := precision
	if point { // there must be room for a digit after the point
		limit--
	}
	if exponent < -4 || exponent >= limit {
		s := strconv.FormatFloat(f, 'e', precision-1, 64)
		mantissa, exp, _ := strings.Cut(s, "e")
		if !keep {
			mantissa = trimZeros(mantissa)
		}
		return mantissa + "e" + exp
	}
	s := strconv.FormatFloat(f, 'f', max(0, precision-1-exponent), 64)
	if !keep {
		s = trimZeros(s)
	}
	if point && !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

func trimZeros(s string) string {
	if !strings.Contains(s, ".") {
		return s
	}
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
}

// number puts sign, groups and padding around digits.
func (l *layout) number(negative bool, prefix, whole, rest string, step int) string {
	sign := ""
	switch {
	case negative:
		sign = "-"
	case l.sign == "+" || l.sign == " ":
		sign = l.sign
	}
	sign += prefix
	align := l.align
	if align == "" {
		align = ">"
	}
	if align == "=" && l.fill == "0" && l.group != "" { // the zeros are grouped too
		digits, room := len(whole), l.width-utf8.RuneCountInString(sign)-utf8.RuneCountInString(rest)
		for digits+1+digits/step <= room { // one more, and what stands between them
			digits++
		}
		whole = strings.Repeat("0", digits-len(whole)) + whole
	}
	return l.pad(align, sign, l.grouped(whole, step)+rest)
}

func (l *layout) grouped(digits string, step int) string {
	if l.group == "" {
		return digits
	}
	var b strings.Builder
	for i, d := range digits {
		if i > 0 && (len(digits)-i)%step == 0 {
			b.WriteString(l.group)
		}
		b.WriteRune(d)
	}
	return b.String()
}

func (l *layout) pad(align, sign, s string) string {
	missing := l.width - utf8.RuneCountInString(sign) - utf8.RuneCountInString(s)
	if missing <= 0 {
		return sign + s
	}
	fill := func(n int) string { return strings.Repeat(l.fill, n) }
	switch align {
	case "<":
		return sign + s + fill(missing)
	case "^":
		return fill(missing/2) + sign + s + fill(missing-missing/2)
	case "=":
		return sign + fill(missing) + s
	}
	return fill(missing) + sign + s
}
