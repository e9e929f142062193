package starlib

import (
	"fmt"
	"math"
	"math/big"
	"strconv"

	"go.starlark.net/starlark"

	"orrery/starlib/guard"
)

// This file holds round and pow: Python's functions of those names, whose results ported
// blueprints rely on.

// round rounds half to even: round(x) gives an int, round(x, digits) a number of x's type.
func round(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var x starlark.Value
	var digits starlark.Value = starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "number", &x, "ndigits?", &digits); err != nil {
		return nil, err
	}
	if v, ok := x.(starlark.Bool); ok { // a Boolean counts as 0 or 1, as in Python
		x = starlark.MakeInt(0)
		if v {
			x = starlark.MakeInt(1)
		}
	}
	places := 0
	if digits != starlark.None {
		n, err := starlark.AsInt32(digits)
		if err != nil {
			return nil, fmt.Errorf("%s: ndigits is %s; it must be a small whole number", b.Name(), guard.Show(digits, 80))
		}
		places = max(-400, min(400, n))
		if err := guard.Of(thread).Work(thread, 20+max(places, 0)/2); err != nil {
			return nil, err
		}
	}
	switch x := x.(type) {
	case starlark.Int:
		return roundInt(thread, b.Name(), x, places)
	case starlark.Float:
		if digits == starlark.None {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				return nil, fmt.Errorf("%s: %s cannot be an int", b.Name(), x)
			}
			return starlark.NumberToInt(starlark.Float(math.RoundToEven(float64(x))))
		}
		return starlark.Float(roundFloat(float64(x), places)), nil
	}
	return nil, fmt.Errorf("%s: number is %s; it must be an int or a float", b.Name(), x.Type())
}

// roundInt rounds to tens, hundreds and so on; to places after the point an int is itself.
func roundInt(thread *starlark.Thread, call string, x starlark.Int, places int) (starlark.Value, error) {
	if places >= 0 {
		return x, nil
	}
	n := x.BigInt()
	if n.BitLen() > 1<<14 { // the division is quadratic
		if err := guard.Of(thread).Work(thread, n.BitLen()); err != nil {
			return nil, err
		}
	}
	unit := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-places)), nil)
	quotient, rest := new(big.Int).DivMod(n, unit, new(big.Int)) // the rest is never negative
	twice := rest.Lsh(rest, 1).Cmp(unit)
	if twice > 0 || twice == 0 && quotient.Bit(0) == 1 {
		quotient.Add(quotient, big.NewInt(1))
	}
	result := starlark.MakeBigInt(quotient.Mul(quotient, unit))
	return result, guard.Of(thread).Integer(call, quotient.BitLen())
}

// roundFloat rounds the exact value, so that 2.675 becomes 2.67, as its binary value says.
func roundFloat(x float64, places int) float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return x
	}
	if places >= 0 {
		rounded, err := strconv.ParseFloat(strconv.FormatFloat(x, 'f', places, 64), 64)
		if err != nil { // what FormatFloat writes is a float
			return x
		}
		return rounded
	}
	unit := math.Pow(10, float64(-places))
	if math.IsInf(unit, 0) {
		return 0 * x
	}
	return math.RoundToEven(x/unit) * unit
}

// pow is base to the power of exp: an int for ints and an exp that is not negative, else a
// float; with mod, the rest of dividing by it.
func pow(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var base, exp starlark.Value
	var mod starlark.Value = starlark.None
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "base", &base, "exp", &exp, "mod?", &mod); err != nil {
		return nil, err
	}
	x, okX := base.(starlark.Int)
	n, okN := exp.(starlark.Int)
	if mod != starlark.None {
		m, okM := mod.(starlark.Int)
		if !okX || !okN || !okM || n.Sign() < 0 || m.Sign() == 0 {
			return nil, fmt.Errorf("%s: with mod all three must be ints, exp not negative and mod not 0", b.Name())
		}
		return powMod(thread, b.Name(), x.BigInt(), n.BigInt(), m.BigInt())
	}
	if okX && okN && n.Sign() >= 0 {
		return powInt(thread, b.Name(), x, n)
	}
	fx, ok1 := starlark.AsFloat(base)
	fn, ok2 := starlark.AsFloat(exp)
	if !ok1 || !ok2 || !isNumber(base) || !isNumber(exp) {
		return nil, fmt.Errorf("%s: base is %s and exp %s; both must be numbers", b.Name(), base.Type(), exp.Type())
	}
	if fx == 0 && fn < 0 {
		return nil, fmt.Errorf("%s: division by zero: 0 has no negative power", b.Name())
	}
	result := math.Pow(fx, fn)
	switch {
	case math.IsNaN(result) && !math.IsNaN(fx) && !math.IsNaN(fn):
		return nil, fmt.Errorf("%s: a negative number has no power that is not whole", b.Name())
	case math.IsInf(result, 0) && !math.IsInf(fx, 0) && !math.IsInf(fn, 0):
		return nil, fmt.Errorf("%s: the result is too large for a float", b.Name())
	}
	return starlark.Float(result), nil
}

// powInt reckons the size of the result before it makes it.
func powInt(thread *starlark.Thread, call string, x, n starlark.Int) (starlark.Value, error) {
	base := x.BigInt()
	if base.BitLen() <= 1 { // 0, 1 and -1 stay small whatever the exponent
		odd := n.BigInt().Bit(0) == 1
		switch {
		case n.Sign() == 0 || base.Sign() < 0 && !odd:
			return starlark.MakeInt(1), nil
		}
		return x, nil
	}
	account := guard.Of(thread)
	exp, ok := n.Int64()
	if !ok || exp > int64(account.Limits().IntegerBits) {
		return nil, account.Integer(call, math.MaxInt32)
	}
	bits := (base.BitLen()-1)*int(exp) + 1
	if err := account.Integer(call, bits); err != nil {
		return nil, err
	}
	if err := account.Work(thread, bits/16); err != nil {
		return nil, err
	}
	result := new(big.Int).Exp(base, big.NewInt(exp), nil) // at most twice as long as reckoned
	return starlark.MakeBigInt(result), account.Integer(call, result.BitLen())
}

// powMod has the sign of mod, as the language's % has.
func powMod(thread *starlark.Thread, call string, x, n, m *big.Int) (starlark.Value, error) {
	account := guard.Of(thread)
	if bits := max(x.BitLen(), n.BitLen(), m.BitLen()); bits > 4096 {
		return nil, account.Integer(call, math.MaxInt32)
	}
	words := m.BitLen()/64 + 1
	if err := account.Work(thread, n.BitLen()*(1+words*words/16)); err != nil { // a step is about 50 ns
		return nil, err
	}
	result := new(big.Int).Exp(x, n, new(big.Int).Abs(m))
	if m.Sign() < 0 && result.Sign() != 0 {
		result.Add(result, m)
	}
	return starlark.MakeBigInt(result), nil
}
