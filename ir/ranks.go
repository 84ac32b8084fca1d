package ir

import (
	"fmt"
	"maps"
	"math"
	"sync"
)

// Rank is one rank of a mesh that is evaluated in one process: where it is, and
// what it says to the others.
type Rank struct {
	m     *Module
	mesh  *Mesh
	n     int
	world *world
}

// Coord is where the rank is on an axis.
func (r *Rank) Coord(axis string) int { return r.mesh.Coord(r.n, axis) }

// All gives what every rank of the group along an axis has, in their order. All
// of them must ask.
func (r *Rank) All(axis string, mine *Array) []*Array {
	group := r.mesh.Group(r.n, axis)
	return r.world.meet(r.n, fmt.Sprint(axis, group[0]), len(group), r.Coord(axis), mine)
}

// Send leaves an array for the rank that is so far along an axis.
func (r *Rank) Send(axis string, by int, a *Array) {
	r.world.post(r.n, r.peer(axis, by), &Array{append([]int(nil), a.Shape...), append([]float64(nil), a.F...), append([]int64(nil), a.I...)})
}

// Receive takes what the rank that is so far along an axis sent.
func (r *Rank) Receive(axis string, by int) *Array { return r.world.take(r.peer(axis, by), r.n) }

func (r *Rank) peer(axis string, by int) int {
	group := r.mesh.Group(r.n, axis)
	return group[(r.Coord(axis)+by+len(group))%len(group)]
}

// Ranks evaluates a module on all ranks of its mesh.
type Ranks struct {
	M    *Module
	Rank []*Interp
}

// NewRanks returns an evaluator whose ranks have extents of their own.
func NewRanks(m *Module, env func(rank int) Env) *Ranks {
	x := &Ranks{M: m}
	for i := range m.Mesh.Size() {
		own := maps.Clone(env(i))
		for sym, n := range env(i) {
			from, to := Even(n, m.Mesh.Axis(Model), m.Mesh.Coord(i, Model))
			own[sym+"/"+Model] = to - from
		}
		in := NewInterp(m, own)
		in.Rank = &Rank{m: m, mesh: m.Mesh, n: i}
		x.Rank = append(x.Rank, in)
	}
	return x
}

// Call evaluates a function on all ranks at once; name and args say which and
// with what. A rank that is given no name does not take part. A panic of one
// rank ends all.
func (x *Ranks) Call(name func(rank int) string, args func(rank int) []*Array) ([][]*Array, error) {
	w := &world{meetings: map[string]*meeting{}, mail: map[[2]int][]*Array{}, waiting: map[int]func() bool{}}
	w.cond = sync.NewCond(&w.mu)
	out := make([][]*Array, len(x.Rank))
	var all sync.WaitGroup
	for i := range x.Rank {
		if name(i) != "" {
			w.running++
		}
	}
	for i, in := range x.Rank {
		fn := name(i)
		if fn == "" {
			continue
		}
		in.Rank.world = w
		all.Add(1)
		go func() {
			defer all.Done()
			defer w.leave(i)
			out[i] = in.Call(fn, args(i)...)
		}()
	}
	all.Wait()
	return out, w.err
}

// Load gives every rank its parts of the storages of one process. What it has no share
// of is no number.
func (x *Ranks) Load(from *Interp) {
	for _, in := range x.Rank {
		for _, s := range x.M.Storages {
			if s.Type.On(Optimizer) == IsShare {
				for i := range in.Storage[s.Name].F {
					in.Storage[s.Name].F[i] = math.NaN()
				}
			}
			x.eachElement(in, s, func(mine, whole int) {
				if src := from.Storage[s.Name]; src != nil {
					in.Storage[s.Name].F[mine] = src.F[whole]
				}
			})
		}
	}
}

// Gather is a storage as one process has it: parts are put together, partial
// ones summed over their axis. Of whole ones the first rank's is taken, and
// apart is how much the others differ from it at most.
func (x *Ranks) Gather(s *Storage) (whole *Array, apart float64) {
	whole = NewArray(stackedType(s).Whole(), nil)
	partial := false
	for r, in := range x.Rank {
		adds := true
		for _, a := range x.M.Mesh.Axes {
			p := Ref(s).On(a.Name)
			partial = partial || p.How.Partial()
			adds = adds && (p != IsWhole || x.M.Mesh.Coord(r, a.Name) == 0)
		}
		if adds {
			x.eachElement(in, s, func(mine, at int) { whole.F[at] += in.Storage[s.Name].F[mine] })
		}
	}
	if partial {
		return whole, 0
	}
	for _, in := range x.Rank {
		x.eachElement(in, s, func(mine, at int) {
			apart = max(apart, math.Abs(in.Storage[s.Name].F[mine]-whole.F[at]))
		})
	}
	return whole, apart
}

// eachElement visits the elements of a storage that a rank has, with their index
// in the whole.
func (x *Ranks) eachElement(in *Interp, s *Storage, visit func(mine, whole int)) {
	t := stackedType(s)
	at := make([][]int, t.Rank()) // by dimension: the index in the whole
	for i, d := range t.Shape {
		dim := i
		if s.Stack != nil {
			dim--
		}
		parts := []Part{{0, d.N}}
		if dim >= 0 {
			parts = s.Parts(dim, in.Rank.Coord(d.By))
		}
		for _, p := range parts {
			for k := range p.Len {
				at[i] = append(at[i], p.From+k)
			}
		}
	}
	full := t.Whole()
	all, perLayer := in.Storage[s.Name].F, s.Type.Elems(nil)
	first, end := 0, len(all)
	if s.Type.On(Optimizer) == IsShare {
		first, end = x.M.Share(s, true, in.Rank.Coord)
	}
	for i := first; i < end; i++ {
		if s.Stack != nil && x.M.Mesh.Axis(Stage) > 1 && x.M.StageOf(s.Stack.Lo+i/perLayer) != in.Rank.Coord(Stage) {
			continue
		}
		rest, whole, stride := i, 0, 1
		for d := t.Rank() - 1; d >= 0; d-- {
			whole += at[d][rest%t.Shape[d].N] * stride
			rest /= t.Shape[d].N
			stride *= full.Shape[d].N
		}
		visit(i, whole)
	}
}

// world is where the ranks of one call meet.
type world struct {
	mu       sync.Mutex
	cond     *sync.Cond
	meetings map[string]*meeting
	mail     map[[2]int][]*Array
	running  int
	waiting  map[int]func() bool // by rank: what it waits for
	err      error
}

// meeting is one group of ranks that exchange what they have.
type meeting struct {
	in, out []*Array
	came    int
	turn    int
}

// rankLeft is what a rank panics with when another one failed.
type rankLeft struct{}

// wait blocks a rank until done, or until no rank can make it so.
func (w *world) wait(rank int, done func() bool) {
	w.waiting[rank] = done
	defer delete(w.waiting, rank)
	for !done() {
		stuck := len(w.waiting) == w.running
		for _, other := range w.waiting {
			stuck = stuck && !other()
		}
		if stuck && w.err == nil {
			w.err = fmt.Errorf("all %d ranks that still run wait for each other", w.running)
			w.cond.Broadcast()
		}
		if w.err != nil {
			panic(rankLeft{})
		}
		w.cond.Wait()
	}
}

func (w *world) meet(rank int, group string, n, i int, mine *Array) []*Array {
	w.mu.Lock()
	defer w.mu.Unlock()
	m := w.meetings[group]
	if m == nil {
		m = &meeting{in: make([]*Array, n)}
		w.meetings[group] = m
	}
	m.in[i] = &Array{mine.Shape, append([]float64(nil), mine.F...), append([]int64(nil), mine.I...)}
	m.came++
	if turn := m.turn; m.came < n {
		w.wait(rank, func() bool { return m.turn > turn })
	} else {
		m.out, m.in, m.came = m.in, make([]*Array, n), 0
		m.turn++
		w.cond.Broadcast()
	}
	return m.out
}

func (w *world) post(from, to int, a *Array) {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := [2]int{from, to}
	w.mail[key] = append(w.mail[key], a)
	w.cond.Broadcast()
}

func (w *world) take(from, to int) *Array {
	w.mu.Lock()
	defer w.mu.Unlock()
	key := [2]int{from, to}
	w.wait(to, func() bool { return len(w.mail[key]) > 0 })
	a := w.mail[key][0]
	w.mail[key] = w.mail[key][1:]
	return a
}

// leave ends a rank; a panic becomes the error of all.
func (w *world) leave(rank int) {
	fault := recover()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.running--
	if _, left := fault.(rankLeft); fault != nil && !left && w.err == nil {
		w.err = fmt.Errorf("rank %d: %v", rank, fault)
	}
	w.cond.Broadcast()
}
