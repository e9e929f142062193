package workers

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// This file holds the bench: workers with an open poll, in the order of each strategy, so
// that a dispatch looks at one worker of each kind and never at all of them.

// maxLooks bounds the workers that one dispatch looks at. Strategies are exact while the free
// workers of a type are of at most this many kinds (price and abilities); beyond it the
// cheapest 64 kinds are compared.
const maxLooks = 64

type strategy int

const (
	byDefault strategy = iota // warm workers first, then the cheapest
	roundRobin
	leastConnections
	cheapest
	bestValue // price / reputation
	strategies
)

func strategyOf(name string) strategy {
	switch name {
	case "round_robin":
		return roundRobin
	case "least_connections":
		return leastConnections
	case "cheapest":
		return cheapest
	case "best_value":
		return bestValue
	}
	return byDefault
}

// bench is the seats of one task type, on shelves sorted by price (unknown last).
type bench struct {
	shelves []*shelf
}

// shelf is the seats of one kind of worker: all may do exactly the same tasks.
type shelf struct {
	ability *ability
	price   float64 // +Inf when unknown
	orders  [strategies][]*seat
	used    [strategies]bool // orders[0] always; the others from their first use on
}

// seat is an open poll on the bench of one type, with what orders it, as it was when it sat
// down. A change of that takes the seat away and sets it down anew.
type seat struct {
	worker     *worker
	taskType   string
	shelf      *shelf
	warm       bool
	running    int
	reputation float64
	turn       uint64 // when it was last served
}

// rank gives the numbers that order seats under a strategy, smallest first; ties go to the
// worker that was served longest ago.
func (s *seat) rank(by strategy) [2]float64 {
	price, running := s.shelf.price, float64(s.running)
	switch by {
	case roundRobin:
		return [2]float64{}
	case leastConnections:
		return [2]float64{running, 0}
	case cheapest:
		return [2]float64{price, running}
	case bestValue:
		if s.reputation <= 0 {
			return [2]float64{math.Inf(1), 0}
		}
		return [2]float64{price / s.reputation, -s.reputation}
	}
	// Warm workers come first; their prices stay in order among themselves.
	if s.warm {
		return [2]float64{0, price}
	}
	return [2]float64{1, price}
}

func compareSeats(by strategy, a, b *seat) int {
	ra, rb := a.rank(by), b.rank(by)
	return cmp.Or(cmp.Compare(ra[0], rb[0]), cmp.Compare(ra[1], rb[1]),
		cmp.Compare(a.turn, b.turn), cmp.Compare(a.worker.id, b.worker.id))
}

// sit gives the worker a seat for each type it takes. Its poll must be open. A worker that
// said goodbye gets none.
func (h *Hub) sit(w *worker) {
	if w.offline {
		return
	}
	for _, taskType := range w.available {
		price, known := w.reg.Costs.For(taskType)
		if !known {
			price = math.Inf(1)
		}
		b := h.benches[taskType]
		if b == nil {
			b = &bench{}
			h.benches[taskType] = b
		}
		s := &seat{worker: w, taskType: taskType, shelf: b.shelf(w.ability, price), warm: w.hot[taskType],
			running: len(w.leases), reputation: w.results.share(), turn: w.turn}
		s.shelf.put(s)
		w.seats = append(w.seats, s)
	}
}

// rise takes all seats of the worker away.
func (h *Hub) rise(w *worker) {
	for _, s := range w.seats {
		s.shelf.take(s)
		if len(s.shelf.orders[byDefault]) > 0 {
			continue
		}
		b := h.benches[s.taskType]
		b.shelves = slices.DeleteFunc(b.shelves, func(x *shelf) bool { return x == s.shelf })
		if len(b.shelves) == 0 {
			delete(h.benches, s.taskType)
		}
	}
	w.seats = nil
}

// reseat follows a change of what orders the worker's seats.
func (h *Hub) reseat(w *worker) {
	if w.poll != nil {
		h.rise(w)
		h.sit(w)
	}
}

func (b *bench) shelf(a *ability, price float64) *shelf {
	at := sort.Search(len(b.shelves), func(i int) bool {
		s := b.shelves[i]
		return cmp.Or(cmp.Compare(s.price, price), cmp.Compare(s.ability.key, a.key)) >= 0
	})
	if at < len(b.shelves) && b.shelves[at].price == price && b.shelves[at].ability == a {
		return b.shelves[at]
	}
	s := &shelf{ability: a, price: price}
	s.used[byDefault] = true
	b.shelves = slices.Insert(b.shelves, at, s)
	return s
}

func (x *shelf) put(s *seat) {
	for by := range strategies {
		if x.used[by] {
			at, _ := slices.BinarySearchFunc(x.orders[by], s, func(a, b *seat) int { return compareSeats(by, a, b) })
			x.orders[by] = slices.Insert(x.orders[by], at, s)
		}
	}
}

func (x *shelf) take(s *seat) {
	for by := range strategies {
		if !x.used[by] {
			continue
		}
		at, ok := slices.BinarySearchFunc(x.orders[by], s, func(a, b *seat) int { return compareSeats(by, a, b) })
		if ok {
			x.orders[by] = slices.Delete(x.orders[by], at, at+1)
		}
	}
}

// first gives the shelf's best seat under a strategy.
func (x *shelf) first(by strategy) *seat {
	if !x.used[by] {
		x.used[by] = true
		x.orders[by] = slices.Clone(x.orders[byDefault])
		slices.SortFunc(x.orders[by], func(a, b *seat) int { return compareSeats(by, a, b) })
	}
	return x.orders[by][0]
}

// pick chooses among the open polls for a task of the class; nil when none may do it.
func (h *Hub) pick(c *class, strategyName string) *seat {
	b := h.benches[c.taskType]
	if b == nil {
		return nil
	}
	by := strategyOf(strategyName)
	var best *seat
	looks := 0
	for _, x := range b.shelves {
		if c.req.maxCost != nil && x.price > *c.req.maxCost {
			break // the rest is dearer, or says no price
		}
		if !c.fits(x.ability) {
			continue
		}
		s := x.first(by)
		looks++
		if best == nil || compareSeats(by, s, best) < 0 {
			best = s
		}
		if by == cheapest && s.shelf.price > best.shelf.price || looks == maxLooks {
			break
		}
	}
	h.looked += uint64(looks)
	return best
}
