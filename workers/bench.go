package workers

import (
	"cmp"
	"math"
)

// This file holds the bench: workers with an open poll, in the order of each strategy, so
// that a dispatch looks at a few of them and never at all.

// maxLooks bounds the workers that one dispatch looks at. The ladders keep it by their form
// (up to some four million open polls of a type), and all strategies are exact within it.
const maxLooks = 64

// maxStands bounds the requirements that a type keeps a ladder for; beyond it the one that
// was not asked for longest goes, and is made anew when it is asked for again.
const maxStands = 32

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

// bench is the seats of one task type: all of them, and those of the workers that meet a
// requirement, for each requirement that tasks lately had.
type bench struct {
	all    ladder
	stands map[string]*stand // by the text of resource_requirements
	asked  uint64            // counts questions, to find the stand that is used least
}

// stand is the seats of the workers that meet one requirement.
type stand struct {
	ladder
	judge
	used uint64
}

// seat is an open poll on the bench of one type, with what orders it, as it was when it sat
// down. A change of that takes the seat away and sets it down anew.
type seat struct {
	worker     *worker
	taskType   string
	ability    *ability
	price      float64 // +Inf when unknown
	warm       bool
	running    int
	reputation float64
	turn       uint64 // when it was last served
}

// rank gives the numbers that order seats under a strategy, smallest first; ties go to the
// worker that was served longest ago.
func (s *seat) rank(by strategy) [2]float64 {
	price, running := s.price, float64(s.running)
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
			b = &bench{stands: map[string]*stand{}}
			h.benches[taskType] = b
		}
		s := &seat{worker: w, taskType: taskType, ability: w.ability, price: price, warm: w.hot[taskType],
			running: len(w.leases), reputation: w.results.share(), turn: w.turn}
		b.all.add(s)
		for _, x := range b.stands {
			if x.fits(s.ability) {
				x.add(s)
			}
		}
		w.seats = append(w.seats, s)
	}
}

// rise takes all seats of the worker away.
func (h *Hub) rise(w *worker) {
	for _, s := range w.seats {
		b := h.benches[s.taskType]
		b.all.remove(s)
		for _, x := range b.stands {
			if x.fits(s.ability) {
				x.remove(s)
			}
		}
		if b.all.n == 0 {
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

// ladderFor gives the seats of the workers that may do the tasks of a class, whatever their
// price. The first task with a requirement has every kind of worker judged once; from then on
// its ladder follows the workers.
func (b *bench) ladderFor(c *class) *ladder {
	if !c.req.resourceful() {
		return &b.all
	}
	b.asked++
	x := b.stands[c.needs]
	if x == nil {
		if len(b.stands) >= maxStands {
			b.dropStand()
		}
		x = &stand{judge: judge{req: c.req}}
		b.stands[c.needs] = x
		b.all.each(func(s *seat) {
			if x.fits(s.ability) {
				x.add(s)
			}
		})
	}
	x.used = b.asked
	return &x.ladder
}

// dropStand forgets the stand that was asked for longest ago.
func (b *bench) dropStand() {
	oldest := ""
	for needs, x := range b.stands {
		if oldest == "" || x.used < b.stands[oldest].used {
			oldest = needs
		}
	}
	delete(b.stands, oldest)
}

// pick chooses among the open polls for a task of the class; nil when none may do it.
func (h *Hub) pick(c *class, strategyName string) *seat {
	b := h.benches[c.taskType]
	if b == nil {
		return nil
	}
	best, looks := b.ladderFor(c).first(strategyOf(strategyName), c.req.maxCost)
	h.looked += uint64(looks)
	return best
}
