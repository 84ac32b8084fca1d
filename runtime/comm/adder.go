package comm

import "fmt"

// Memory is where vectors are: of the host, or of a device, where a slice is a handle,
// an address there and a length, which these methods alone read and write. They are
// called by one goroutine at a time, and work in the order of the calls.
type Memory interface {
	// Alloc gives memory that is kept, zero or not. It throws what keeps it from that.
	Alloc(n int) []float32
	// Add sets dst[i] = a[i] + b[i]. The three have one length; dst may be a or b, and
	// does not overlap them otherwise.
	Add(dst, a, b []float32)
	// Copy sets dst to src, of the same length, which it does not overlap.
	Copy(dst, src []float32)
	// Clear makes all of x zero.
	Clear(x []float32)
}

// Adder sums vectors of numbered units, and a loss of each, in the order of a binary
// tree: a node of two halves is the sum of the left half plus the sum of the right
// half, and a unit is a leaf. Bits depend on the number of units alone.
//
// A process takes its units in order and calls Finish or Scatter; the adder is then
// empty and can be used again.
type Adder struct {
	units Ranges
	rank  int
	n     int
	mem   Memory
	next  int // unit to come
	open  []partial
	free  [][]float32
	stage stage
}

// partial is the sum of a node.
type partial struct {
	node
	x    []float32
	loss float64
}

// NewAdder makes one for vectors of n numbers. units says which process computes
// which units; their number is units.Len(), whatever the processes. AdderBytes says how
// much memory it takes.
func NewAdder(units Ranges, rank, n int, mem Memory) *Adder {
	units.check("units", units.Len(), units.Ranks())
	a := &Adder{units: units, rank: rank, n: n, mem: mem}
	a.next = units[rank]
	return a
}

// Take adds the vector and the loss of a unit: the next one of this process. It
// copies v or adds it, so v may be overwritten afterwards.
func (a *Adder) Take(unit int, v []float32, loss float64) {
	if from, to := a.units.Of(a.rank); unit != a.next || unit >= to {
		panic(fmt.Sprintf("BUG: unit %d where %d of [%d, %d) is next", unit, a.next, from, to))
	}
	if len(v) != a.n {
		panic(fmt.Sprintf("BUG: a vector of %d where others have %d", len(v), a.n))
	}
	a.next++
	n := a.units.Len()
	top := partial{node: node{unit, 1}.grow(n), x: v, loss: loss}
	owned := false // top.x is the adder's
	for len(a.open) > 0 && top.joins(a.open[len(a.open)-1].node) {
		l := a.open[len(a.open)-1]
		a.open = a.open[:len(a.open)-1]
		a.mem.Add(l.x, l.x, top.x)
		if owned {
			a.free = append(a.free, top.x)
		}
		top = partial{node{l.at, 2 * l.size}.grow(n), l.x, l.loss + top.loss}
		owned = true
	}
	if !owned {
		top.x = a.vector()
		a.mem.Copy(top.x, v)
	}
	a.open = append(a.open, top)
}

// Reserve takes the adder's memory now, instead of when units come and parts arrive.
func (a *Adder) Reserve() {
	from, to := a.units.Of(a.rank)
	for len(a.free) < AdderVectors(a.units.Len(), from, to) {
		a.free = append(a.free, a.mem.Alloc(a.n))
	}
	if a.units.Ranks() > 1 {
		a.stage = newStage(a.units, a.rank, a.mem)
		a.stage.slots = a.mem.Alloc(a.stage.size(longest(Even(a.n, a.units.Ranks(), 1))))
	}
}

func (a *Adder) vector() []float32 {
	if k := len(a.free); k > 0 {
		v := a.free[k-1]
		a.free = a.free[:k-1]
		return v
	}
	return a.mem.Alloc(a.n)
}

// Finish sets out to the sum over the units of all processes, and returns the sum of
// their losses; both have the same bits on every process. The rank that owns a part
// of the vector finishes its sum; nil is Even(n, ranks, 1). g may be nil, or of size
// 1, where units are those of one process.
func (a *Adder) Finish(g *Group, out []float32, owns Ranges) (loss float64, err error) {
	return a.finish(g, out, owns, true)
}

// Scatter is Finish of the part of out that this rank owns; the rest is left as it
// is. AllGather brings the parts together.
func (a *Adder) Scatter(g *Group, out []float32, owns Ranges) (loss float64, err error) {
	return a.finish(g, out, owns, false)
}

func (a *Adder) finish(g *Group, out []float32, owns Ranges, gather bool) (float64, error) {
	from, to := a.units.Of(a.rank)
	if a.next != to {
		panic(fmt.Sprintf("BUG: a sum without unit %d of [%d, %d)", a.next, from, to))
	}
	if len(out) != a.n {
		panic(fmt.Sprintf("BUG: a sum of %d where vectors have %d", len(out), a.n))
	}
	ranks := 1
	if g != nil {
		ranks = g.Size()
	}
	a.units.check("units", a.units.Len(), ranks)
	mine := a.open
	defer func() {
		for _, p := range mine {
			a.free = append(a.free, p.x)
		}
		a.open, a.next = a.open[:0], from
	}()
	if ranks == 1 {
		if len(mine) != 1 { // no unit at all
			a.mem.Clear(out)
			return 0, nil
		}
		a.mem.Copy(out, mine[0].x)
		return mine[0].loss, nil
	}
	if owns == nil {
		owns = Even(a.n, ranks, 1)
	}
	owns.check("parts", a.n, ranks)
	if a.stage.mem == nil {
		a.stage = newStage(a.units, a.rank, a.mem)
	}
	xs := make([][]float32, len(mine))
	losses := make([]float64, len(mine))
	for i, p := range mine {
		xs[i], losses[i] = p.x, p.loss
	}
	loss, err := a.stage.losses(g, losses)
	if err == nil {
		err = a.stage.sum(g, xs, out, owns, gather)
	}
	return loss, err
}

// AdderVectors is the number of vectors that an adder allocates for the units
// [from, to) of some. Where processes have even shares it is at most log2(units)+1,
// and one more where their number is no power of two.
func AdderVectors(units, from, to int) int {
	most, left := 0, []node(nil)
	for u := from; u < to; u++ {
		d := node{u, 1}.grow(units)
		for len(left) > 0 && d.joins(left[len(left)-1]) {
			d = node{left[len(left)-1].at, 2 * d.size}.grow(units)
			left = left[:len(left)-1]
		}
		left = append(left, d)
		most = max(most, len(left))
	}
	return most
}

// AdderBytes is the memory of an adder with vectors of n: its vectors, and what
// pieces of other processes arrive in. It holds for owners as Finish has them by default;
// where the longest part is longer, short vectors take in proportion more.
func AdderBytes(units Ranges, rank, n int) int64 {
	from, to := units.Of(rank)
	vectors := int64(AdderVectors(units.Len(), from, to)) * int64(n)
	if units.Ranks() > 1 {
		s := newStage(units, rank, nil)
		vectors += int64(s.size(longest(Even(n, units.Ranks(), 1))))
	}
	return 4 * vectors
}
