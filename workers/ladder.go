package workers

import (
	"cmp"
	"math"
)

// This file holds the ladder: seats in the order of price that know, for each strategy, the
// best seat up to any price. It is a balanced tree in which every node carries the best seats
// of all that hangs below it, so that a question looks at a few nodes and never at all.

// ladder is a set of seats. used says which strategies its nodes carry: byDefault always, the
// others from their first use on, because most types only ever see one.
type ladder struct {
	root *rung
	used [strategies]bool
	n    int
}

// rung is a node of the tree; below it, to the left, stand the cheaper ones.
type rung struct {
	seat        *seat
	left, right *rung
	height      int
	best        [strategies]*seat // of this rung and all below it
}

// place orders rungs: by price (unknown, +Inf, last), then by the worker's id.
func place(a, b *seat) int {
	return cmp.Or(cmp.Compare(a.price, b.price), cmp.Compare(a.worker.id, b.worker.id))
}

func (l *ladder) add(s *seat) {
	l.used[byDefault] = true
	l.root = l.insert(l.root, s)
	l.n++
}

// remove takes a seat away; it must be there.
func (l *ladder) remove(s *seat) {
	l.root = l.without(l.root, s)
	l.n--
}

// first gives the best seat under a strategy among those that cost no more than most (nil:
// any price), and how many seats it looked at: 1 without a limit, else at most two for each
// level of the tree, of which there are 1.44 * log2(n): 38 seats for n = 10,000.
func (l *ladder) first(by strategy, most *float64) (best *seat, looks int) {
	if l.root == nil {
		return nil, 0
	}
	if !l.used[by] {
		l.used[by] = true
		l.refill(l.root)
	}
	if most == nil {
		return l.root.best[by], 1
	}
	better := func(s *seat) {
		looks++
		if best == nil || compareSeats(by, s, best) < 0 {
			best = s
		}
	}
	for r := l.root; r != nil; {
		if r.seat.price > *most || math.IsInf(r.seat.price, 1) { // an unknown price meets no limit
			r = r.left
			continue
		}
		better(r.seat)
		if r.left != nil {
			better(r.left.best[by])
		}
		r = r.right
	}
	return best, looks
}

// each visits all seats in the order of price.
func (l *ladder) each(visit func(*seat)) { l.root.each(visit) }

func (r *rung) each(visit func(*seat)) {
	if r != nil {
		r.left.each(visit)
		visit(r.seat)
		r.right.each(visit)
	}
}

func (l *ladder) refill(r *rung) {
	if r != nil {
		l.refill(r.left)
		l.refill(r.right)
		l.settle(r)
	}
}

func (l *ladder) insert(r *rung, s *seat) *rung {
	switch {
	case r == nil:
		r = &rung{seat: s}
	case place(s, r.seat) < 0:
		r.left = l.insert(r.left, s)
	default:
		r.right = l.insert(r.right, s)
	}
	return l.balance(r)
}

func (l *ladder) without(r *rung, s *seat) *rung {
	switch {
	case r == nil:
		return nil
	case r.seat == s:
		if r.left == nil {
			return r.right
		}
		if r.right == nil {
			return r.left
		}
		next := r.right
		for next.left != nil {
			next = next.left
		}
		r.right = l.without(r.right, next.seat)
		r.seat = next.seat
	case place(s, r.seat) < 0:
		r.left = l.without(r.left, s)
	default:
		r.right = l.without(r.right, s)
	}
	return l.balance(r)
}

func (r *rung) tall() int {
	if r == nil {
		return 0
	}
	return r.height
}

// settle works out what a rung knows from the two below it.
func (l *ladder) settle(r *rung) {
	r.height = 1 + max(r.left.tall(), r.right.tall())
	for by := range strategies {
		if !l.used[by] {
			continue
		}
		best := r.seat
		for _, below := range [2]*rung{r.left, r.right} {
			if below != nil && compareSeats(by, below.best[by], best) < 0 {
				best = below.best[by]
			}
		}
		r.best[by] = best
	}
}

// balance lets the heights of the two sides differ by one at most.
func (l *ladder) balance(r *rung) *rung {
	switch lean := r.left.tall() - r.right.tall(); {
	case lean > 1:
		if r.left.left.tall() < r.left.right.tall() {
			r.left = l.rotateLeft(r.left)
		}
		return l.rotateRight(r)
	case lean < -1:
		if r.right.right.tall() < r.right.left.tall() {
			r.right = l.rotateRight(r.right)
		}
		return l.rotateLeft(r)
	}
	l.settle(r)
	return r
}

func (l *ladder) rotateLeft(r *rung) *rung {
	up := r.right
	r.right, up.left = up.left, r
	l.settle(r)
	l.settle(up)
	return up
}

func (l *ladder) rotateRight(r *rung) *rung {
	up := r.left
	r.left, up.right = up.right, r
	l.settle(r)
	l.settle(up)
	return up
}
