package rt

import "lorac/runtime/data/dataset"

// mix is the finalizer of splitmix64, a good hash of 64 bits.
func mix(z uint64) uint64 {
	z += 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

// batcher says which rows a step takes. It keeps no state: the rows of a step
// follow from its number.
type batcher struct {
	set      *dataset.Set
	data     *Data
	seed     int
	micro    int // rows of a micro-batch
	accum    int // micro-batches of a step
	perEpoch int // steps of one pass over the data

	epoch int // whose order is at hand
	order []int
}

func newBatcher(set *dataset.Set, d *Data, seed, micro, accum int) *batcher {
	b := &batcher{set: set, data: d, seed: seed, micro: micro, accum: accum}
	n, size := b.length(), micro*accum
	b.perEpoch = n / size
	if !d.DropRemainder {
		b.perEpoch = (n + size - 1) / size
	}
	return b
}

// length is the number of rows of an epoch.
func (b *batcher) length() int {
	if n := b.data.Samples; n > 0 {
		return min(n, b.set.Groups())
	}
	return b.set.Groups()
}

// rows lists the rows of a step (from 0), in order.
func (b *batcher) rows(step int) []int {
	epoch := step/b.perEpoch + 1
	if b.epoch != epoch {
		b.epoch = epoch
		b.order = make([]int, b.set.Groups())
		for i := range b.order {
			b.order[i] = i
		}
		switch {
		case b.data.Shuffle && b.data.Compound:
			b.order = dataset.ShuffleCompound(b.set.Groups(), b.seed, epoch)
		case b.data.Shuffle:
			b.order = dataset.Shuffle(b.set.Groups(), b.seed, epoch)
		}
		b.order = b.order[:b.length()] // num_samples counts behind the shuffle
	}
	size := b.micro * b.accum
	from := step % b.perEpoch * size
	return b.order[from:min(from+size, len(b.order))]
}

// passes lays the rows of a step end to end, at most maxRows token rows in one
// pass. The shares of the loss are fixed before the cut: each micro-batch is
// averaged over its supervised tokens, and the micro-batches among each other
// (or, per token, all tokens of the step alike), so the cut changes nothing
// but rounding.
func (b *batcher) passes(step, maxRows int, perToken bool) []*Pass {
	rows := b.rows(step)
	micros := (len(rows) + b.micro - 1) / b.micro
	counts := make([]int, micros)
	total := 0
	for i, r := range rows {
		n := b.supervised(r)
		counts[i/b.micro] += n
		total += n
	}
	p := newPacker(maxRows)
	for i, r := range rows {
		share := 1 / (float64(counts[i/b.micro]) * float64(micros))
		if perToken {
			share = 1 / float64(total)
		}
		key := mix(mix(uint64(b.seed))^uint64(step)<<20) + uint64(i)<<32
		for j, to := b.set.Group(r); j < to; j++ {
			p.add(b.set.Row(j), float32(share), key)
			key += uint64(len(b.set.Row(j).Tokens))
		}
	}
	return p.done()
}

// supervised counts the supervised tokens of a row of a batch.
func (b *batcher) supervised(row int) int {
	n := 0
	for j, to := b.set.Group(row); j < to; j++ {
		n += supervised(b.set.Row(j))
	}
	return n
}

func supervised(r dataset.Row) int {
	n := 0
	for _, l := range r.Labels[1:] {
		if l != dataset.Ignore {
			n++
		}
	}
	return n
}

// packer fills passes with sequences.
type packer struct {
	max int
	out []*Pass
	cur *Pass
}

func newPacker(maxRows int) *packer { return &packer{max: maxRows, cur: &Pass{}} }

// add puts one row's sequence into the current pass, or begins a new one.
// Every supervised token weighs share; key makes the keys of its rows.
func (p *packer) add(r dataset.Row, share float32, key uint64) {
	n := len(r.Tokens) - 1
	if supervised(r) == 0 {
		return // nothing of it reaches the loss
	}
	if len(p.cur.Tokens)+n > p.max && len(p.cur.Tokens) > 0 {
		p.out = append(p.out, p.cur)
		p.cur = &Pass{}
	}
	c := p.cur
	c.Starts = append(c.Starts, int32(len(c.Tokens)))
	for t := range n {
		if l := r.Labels[t+1]; l != dataset.Ignore {
			c.Rows = append(c.Rows, int32(len(c.Tokens)))
			c.Targets = append(c.Targets, l)
			c.Weights = append(c.Weights, share)
		}
		c.Tokens = append(c.Tokens, r.Tokens[t])
		c.Pos = append(c.Pos, int32(t))
		c.Keys = append(c.Keys, mix(key+uint64(t)))
	}
}

func (p *packer) done() []*Pass {
	if len(p.cur.Tokens) > 0 {
		p.out = append(p.out, p.cur)
	}
	return p.out
}
