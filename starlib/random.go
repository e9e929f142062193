package starlib

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"orrery/starlib/guard"
)

// This file holds the modules random and uuid. Both are seeded by the step's name, so that
// a step which runs again draws the same.

// randomSource keeps two streams, so that a new call of one module changes nothing in the other.
type randomSource struct {
	numbers *rand.Rand
	ids     *rand.ChaCha8
}

func (s *Scope) randomSource() *randomSource {
	if s.random == nil {
		s.random = &randomSource{
			numbers: rand.New(rand.NewChaCha8(sha256.Sum256([]byte("random " + s.StepID())))),
			ids:     rand.NewChaCha8(sha256.Sum256([]byte("uuid " + s.StepID()))),
		}
	}
	return s.random
}

type drawer func(thread *starlark.Thread, r *rand.Rand, call string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error)

func randomModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "random", Members: starlark.StringDict{}}
	for name, draw := range map[string]drawer{
		"random": drawRandom, "randint": drawInt, "uniform": drawUniform, "choice": drawChoice, "sample": drawSample, "shuffle": drawShuffle,
	} {
		m.Members[name] = starlark.NewBuiltin(name, func(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			s, err := scopeOf(thread, "random."+b.Name())
			if err != nil {
				return nil, err
			}
			if err := guard.Of(thread).Work(thread, 10); err != nil {
				return nil, err
			}
			return draw(thread, s.randomSource().numbers, b.Name(), args, kwargs)
		})
	}
	return m
}

// drawRandom gives a float from 0 to below 1.
func drawRandom(_ *starlark.Thread, r *rand.Rand, call string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs(call, args, kwargs); err != nil {
		return nil, err
	}
	return starlark.Float(r.Float64()), nil
}

// drawInt gives an int from a to b, both included.
func drawInt(_ *starlark.Thread, r *rand.Rand, call string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var a, b int64
	if err := starlark.UnpackArgs(call, args, kwargs, "a", &a, "b", &b); err != nil {
		return nil, err
	}
	if a > b {
		return nil, fmt.Errorf("%s: a is %d, more than b, %d", call, a, b)
	}
	span := uint64(b) - uint64(a) + 1
	if span == 0 { // all 64 bits
		return starlark.MakeInt64(int64(r.Uint64())), nil
	}
	return starlark.MakeInt64(a + int64(r.Uint64N(span))), nil
}

// drawUniform gives a float between a and b.
func drawUniform(_ *starlark.Thread, r *rand.Rand, call string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var a, b starlark.Value
	if err := starlark.UnpackArgs(call, args, kwargs, "a", &a, "b", &b); err != nil {
		return nil, err
	}
	low, err := number(call, "a", a)
	if err != nil {
		return nil, err
	}
	high, err := number(call, "b", b)
	if err != nil {
		return nil, err
	}
	return starlark.Float(low + (high-low)*r.Float64()), nil
}

// drawChoice gives one element of a list.
func drawChoice(_ *starlark.Thread, r *rand.Rand, call string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var list starlark.Indexable
	if err := starlark.UnpackArgs(call, args, kwargs, "list", &list); err != nil {
		return nil, err
	}
	if list.Len() == 0 {
		return nil, fmt.Errorf("%s: the list is empty", call)
	}
	return list.Index(r.IntN(list.Len())), nil
}

// drawSample gives k different elements of a list.
func drawSample(thread *starlark.Thread, r *rand.Rand, call string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var list starlark.Indexable
	var k int
	if err := starlark.UnpackArgs(call, args, kwargs, "list", &list, "k", &k); err != nil {
		return nil, err
	}
	if k < 0 || k > list.Len() {
		return nil, fmt.Errorf("%s: k is %d; the list has %d elements", call, k, list.Len())
	}
	// All positions are put in a random order, and the first k taken.
	if err := guard.Of(thread).Elements(call, list.Len(), 24); err != nil {
		return nil, err
	}
	out := make([]starlark.Value, k)
	for i, at := range r.Perm(list.Len())[:k] {
		out[i] = list.Index(at)
	}
	return starlark.NewList(out), nil
}

// drawShuffle changes the order of a list in place.
func drawShuffle(thread *starlark.Thread, r *rand.Rand, call string, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var list *starlark.List
	if err := starlark.UnpackArgs(call, args, kwargs, "list", &list); err != nil {
		return nil, err
	}
	if err := guard.Of(thread).Work(thread, 2*list.Len()); err != nil {
		return nil, err
	}
	for i := list.Len() - 1; i > 0; i-- {
		at := r.IntN(i + 1)
		x, y := list.Index(i), list.Index(at)
		if err := list.SetIndex(i, y); err != nil {
			return nil, fmt.Errorf("%s: %w", call, err)
		}
		if err := list.SetIndex(at, x); err != nil {
			return nil, fmt.Errorf("%s: %w", call, err)
		}
	}
	return starlark.None, nil
}

func uuidModule() *starlarkstruct.Module {
	return &starlarkstruct.Module{Name: "uuid", Members: starlark.StringDict{"uuid4": starlark.NewBuiltin("uuid4", uuid4)}}
}

// uuid4 gives the text of a UUID of version 4.
func uuid4(thread *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	if err := starlark.UnpackArgs(b.Name(), args, kwargs); err != nil {
		return nil, err
	}
	s, err := scopeOf(thread, "uuid.uuid4")
	if err != nil {
		return nil, err
	}
	if err := guard.Of(thread).Alloc(64); err != nil {
		return nil, err
	}
	if err := guard.Of(thread).Work(thread, 60); err != nil { // as long as it takes
		return nil, err
	}
	var id [16]byte
	_, _ = s.randomSource().ids.Read(id[:]) // documented never to fail
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	h := hex.EncodeToString(id[:])
	return starlark.String(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]), nil
}
