package microbatch

import (
	"container/heap"
	"slices"

	"lorac/runtime/job"
)

// The gradient of a step is a sum over its rows. Its order is a binary tree that the
// rows alone decide: they are divided into two halves of nearly equal cost, again
// and again, until each device has a unit, or as often as the job says. A unit is
// computed as a whole by one process, and its sum is a leaf. So the result has the
// same bits however many processes share the units, and their loads are even.

// Units is how many units a step of so many devices has: the least power of two
// that gives each device one.
func Units(devices int) int {
	n := 1
	for n < devices {
		n *= 2
	}
	return n
}

// UnitsOf is how many units a step of a job has.
func UnitsOf(d *job.Devices) int {
	if d.Units > 0 {
		return d.Units
	}
	return Units(max(d.Count, 1))
}

// Cost estimates the floating-point operations that a row takes, forward and
// backward.
type Cost struct {
	Token  int64 // of a live token in the linears
	Square int64 // of a live token times another, in the attention
	Target int64 // of a supervised token in the head
}

// CostOf is that of a model with a vocabulary: four multiplications and additions of
// each weight a token (two forward, two for the gradient of the input), seven of the
// attention's width for each pair of tokens of which half are masked. Where the
// model is not known, tokens count.
func CostOf(m *job.Model, vocab int) Cost {
	if m.Layers == 0 || m.Heads == 0 {
		return Cost{Token: 1}
	}
	q, c, f := int64(m.Hidden), int64(m.Hidden), int64(m.FFN)
	kv := q * int64(m.KvHeads) / int64(m.Heads)
	layers := int64(m.Layers)
	return Cost{Token: layers * 4 * (2*c*q + 2*c*kv + 3*c*f), Square: layers * 7 * q, Target: 4 * int64(vocab) * c}
}

// of is the cost of a row with so many live tokens, so many of them supervised.
func (c Cost) of(live, targets int) int64 {
	n := int64(live)
	return c.Token*n + c.Square*n*n + c.Target*int64(targets)
}

// halve divides things of given costs, by their indexes, into units. Within a unit
// they are in order.
func halve(costs []int64, units int) [][]int {
	all := make([]int, len(costs))
	for i := range all {
		all[i] = i
	}
	out := [][]int{all}
	for len(out) < units {
		next := make([][]int, 0, 2*len(out))
		for _, set := range out {
			a, b := half(costs, set)
			next = append(next, a, b)
		}
		out = next
	}
	for _, set := range out {
		slices.Sort(set)
	}
	return out
}

// half divides a set into two of nearly equal cost by largest differencing (Karmarkar
// and Karp 1982): the two parts that differ most are set against each other until one
// pair of parts is left. Ties go to the lower index, so that the outcome is a
// function of the costs.
func half(costs []int64, set []int) (a, b []int) {
	if len(set) == 0 {
		return nil, nil
	}
	h := make(pairs, 0, len(set))
	for _, i := range set {
		h = append(h, pair{costs[i], i, []int{i}, nil})
	}
	heap.Init(&h)
	for len(h) > 1 {
		x := heap.Pop(&h).(pair)
		y := &h[0]
		*y = pair{x.diff - y.diff, min(x.first, y.first), append(x.more, y.less...), append(x.less, y.more...)}
		heap.Fix(&h, 0)
	}
	return h[0].more, h[0].less
}

// pair is two parts of a division. more costs diff more than less.
type pair struct {
	diff       int64
	first      int // the lowest index in either
	more, less []int
}

type pairs []pair

func (p pairs) Len() int { return len(p) }
func (p pairs) Less(i, j int) bool {
	return p[i].diff > p[j].diff || p[i].diff == p[j].diff && p[i].first < p[j].first
}
func (p pairs) Swap(i, j int) { p[i], p[j] = p[j], p[i] }
func (p *pairs) Push(x any)   { *p = append(*p, x.(pair)) }
func (p *pairs) Pop() any {
	old := *p
	x := old[len(old)-1]
	*p = old[:len(old)-1]
	return x
}
