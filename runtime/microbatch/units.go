package microbatch

import "lorac/runtime/data/dataset"

// Unit is what one process computes as a whole: some rows of a step.
type Unit struct {
	Items []Item
	Cost  int64 // see Cost
}

// Divide lists the units of a step (from 0), at least so many, in the order of the
// tree. Where there is one, it has all rows in their order.
func (b *Batcher) Divide(step, units int, perToken bool, c Cost) []Unit {
	items := b.Rows(step, perToken)
	costs := make([]int64, len(items))
	for i, x := range items {
		for j, to := b.set.Group(x.Row); j < to; j++ {
			row := b.set.Row(j)
			if n := Supervised(row); n > 0 { // others are left out
				costs[i] += c.of(live(row), n)
			}
		}
	}
	var out []Unit
	for _, set := range halve(costs, Units(units)) {
		u := Unit{}
		for _, i := range set {
			u.Items = append(u.Items, items[i])
			u.Cost += costs[i]
		}
		out = append(out, u)
	}
	return out
}

// Pack lays the rows of a unit end to end, at most maxRows token rows in one
// micro-batch.
func (b *Batcher) Pack(u Unit, maxRows int) []*MicroBatch {
	p := NewPacker(maxRows)
	for _, x := range u.Items {
		b.Add(p, x)
	}
	return p.Done()
}

// live counts the tokens of a row that are computed.
func live(r dataset.Row) int {
	n := 0
	for t := range len(r.Tokens) - 1 {
		if r.Live(t) {
			n++
		}
	}
	return n
}

// Tokens counts the tokens of units that are computed.
func (b *Batcher) Tokens(units []Unit) int {
	n := 0
	for _, u := range units {
		for _, x := range u.Items {
			for j, to := b.set.Group(x.Row); j < to; j++ {
				if row := b.set.Row(j); Supervised(row) > 0 {
					n += live(row)
				}
			}
		}
	}
	return n
}
