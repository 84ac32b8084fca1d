package microbatch

import (
	"lorac/runtime/data/dataset"
	"lorac/runtime/job"
	"lorac/runtime/rng"
)

// Batcher says which rows a step takes. The rows of a step follow from its
// number alone, so a run resumes anywhere.
type Batcher struct {
	set      *dataset.Set
	data     *job.Data
	seed     int
	micro    int // rows of a micro-batch
	accum    int // micro-batches of a step
	perEpoch int

	epoch int // whose order is at hand
	order []int
}

// NewBatcher takes steps of micro × accum rows from a data set.
func NewBatcher(set *dataset.Set, d *job.Data, seed, micro, accum int) *Batcher {
	b := &Batcher{set: set, data: d, seed: seed, micro: micro, accum: accum}
	n, size := b.Len(), micro*accum
	b.perEpoch = n / size
	if !d.DropRemainder {
		b.perEpoch = (n + size - 1) / size
	}
	return b
}

// Set is the data set.
func (b *Batcher) Set() *dataset.Set { return b.set }

// StepsPerEpoch is how many steps read the data once; 0 where they do not fill one.
func (b *Batcher) StepsPerEpoch() int { return b.perEpoch }

// Len is the number of rows of an epoch.
func (b *Batcher) Len() int {
	if n := b.data.Samples; n > 0 {
		return min(n, b.set.Groups())
	}
	return b.set.Groups()
}

// rows lists the rows of a step (from 0), in order.
func (b *Batcher) rows(step int) []int {
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
		b.order = b.order[:b.Len()] // num_samples counts after the shuffle
	}
	size := b.micro * b.accum
	from := step % b.perEpoch * size
	return b.order[from:min(from+size, len(b.order))]
}

// Item is a row of a step, or a group of rows that are packed into one.
type Item struct {
	Row   int     // in the data set
	Share float64 // of each of its supervised tokens in the loss of the step
	Seed  uint64  // what the seeds of its tokens are made from
}

// Rows lists the rows of a step (from 0) in order. The shares of the loss are fixed
// here, before the step is divided: each batch of the config is averaged over its
// supervised tokens, and those of a step among each other (or, per token, all tokens
// of the step equally), so dividing changes nothing but rounding.
func (b *Batcher) Rows(step int, perToken bool) []Item {
	rows := b.rows(step)
	micros := (len(rows) + b.micro - 1) / b.micro
	counts := make([]int, micros)
	total := 0
	for i, r := range rows {
		n := b.supervised(r)
		counts[i/b.micro] += n
		total += n
	}
	out := make([]Item, len(rows))
	for i, r := range rows {
		share := 1 / (float64(counts[i/b.micro]) * float64(micros))
		if perToken {
			share = 1 / float64(total)
		}
		out[i] = Item{r, share, rng.Mix(rng.Mix(uint64(b.seed))^uint64(step)<<20) + uint64(i)<<32}
	}
	return out
}

// supervised counts the supervised tokens of a row of a batch.
func (b *Batcher) supervised(row int) int {
	n := 0
	for j, to := b.set.Group(row); j < to; j++ {
		n += Supervised(b.set.Row(j))
	}
	return n
}
