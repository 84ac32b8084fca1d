package microbatch

import (
	"lorac/runtime/data/dataset"
	"lorac/runtime/job"
	"lorac/runtime/rng"
)

// Batcher says which rows a step takes, and what share of the loss each has. Both
// follow from the job and the step's number alone, so a run resumes anywhere, and
// any number of processes may divide the rows.
type Batcher struct {
	set      *dataset.Set
	data     *job.Data
	devices  *job.Devices
	seed     int
	batch    job.Batch
	perEpoch int

	epoch int     // whose order is at hand
	lists [][]int // of rows: one of each device, or one of all
}

// Item is a row of a step: a group of the data set, its share of the loss for each
// of its supervised tokens, and the seed of its dropout.
type Item struct {
	Row   int
	Share float64
	Seed  uint64
}

// NewBatcher takes the steps of a job from its training data.
func NewBatcher(set *dataset.Set, j *job.Job) *Batcher {
	b := &Batcher{set: set, data: &j.TrainData, devices: &j.Devices, seed: j.Seed, batch: j.Batch()}
	n, take := b.listLen(), b.batch.Take
	b.perEpoch = n / take
	if !b.data.DropRemainder {
		b.perEpoch = (n + take - 1) / take
	}
	return b
}

// Set is the data set.
func (b *Batcher) Set() *dataset.Set { return b.set }

// StepsPerEpoch is how many steps read the data once; 0 where they do not fill one.
func (b *Batcher) StepsPerEpoch() int { return b.perEpoch }

// Len is the number of rows of an epoch; those that two devices take count twice.
func (b *Batcher) Len() int { return b.listLen() * b.batch.Lists }

// listLen is the number of rows of each list.
func (b *Batcher) listLen() int {
	n := (b.set.Groups() + b.batch.Lists - 1) / b.batch.Lists
	if most := b.data.Samples; most > 0 {
		return min(n, most) // counted after the shuffle, for each list
	}
	return n
}

// begin orders the rows of an epoch (from 1).
func (b *Batcher) begin(epoch int) {
	if b.epoch == epoch {
		return
	}
	n := b.set.Groups()
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	generated := b.data.Order == "generator"
	switch {
	case b.data.Shuffle && generated:
		order = dataset.ShuffleGenerated(n, b.seed, epoch, !b.devices.FullBatch)
	case b.data.Shuffle && b.devices.FullBatch: // not cut
		order = dataset.ShuffleCompound(n, b.seed, epoch)
	case b.data.Shuffle:
		order = dataset.Shuffle(n, b.seed, epoch)
	}
	b.epoch, b.lists = epoch, make([][]int, b.batch.Lists)
	for d := range b.lists {
		b.lists[d] = dataset.Shard(order, d, b.batch.Lists, generated || b.devices.Shard == "stride")[:b.listLen()]
	}
}

// rows lists the rows of a step (from 0) in the job's order, the token means of a
// step one after another, and in each the devices one after another; mean is which
// of the means a row is part of.
func (b *Batcher) rows(step int) (rows, mean []int) {
	b.begin(step/b.perEpoch + 1)
	from := step % b.perEpoch * b.batch.Take
	to := min(from+b.batch.Take, b.listLen())
	for k := 0; from < to; k++ {
		next := min(from+b.batch.Part, to)
		for d, list := range b.lists {
			of := k
			if b.batch.Apart {
				of = d
			}
			for _, r := range list[from:next] {
				rows, mean = append(rows, r), append(mean, of)
			}
		}
		from = next
	}
	return rows, mean
}

// Rows lists the rows of a step (from 0) in the job's order. A step's loss is the
// mean of its token means: of micro-batches, each over the rows of all devices, or
// of devices; per token, all tokens of the step count the same. The shares of its
// supervised tokens add up to Devices.Factor.
func (b *Batcher) Rows(step int, perToken bool) []Item {
	rows, mean := b.rows(step)
	counts, total := make([]int, mean[len(mean)-1]+1), 0
	items := make([]Item, len(rows))
	tokens := make([]int, len(rows))
	for i, r := range rows {
		tokens[i] = b.supervised(r)
		counts[mean[i]] += tokens[i]
		total += tokens[i]
	}
	for i, r := range rows {
		items[i] = Item{Row: r, Seed: rng.Mix(rng.Mix(uint64(b.seed))^uint64(step)<<20) + uint64(i)<<32}
		if tokens[i] == 0 {
			continue
		}
		share := 1 / (float64(counts[mean[i]]) * float64(len(counts)))
		if perToken {
			share = 1 / float64(total)
		}
		items[i].Share = share * b.devices.Factor()
	}
	return items
}

// Add lays a row of a step end to end with those that a packer has.
func (b *Batcher) Add(p *Packer, item Item) {
	seed := item.Seed
	for j, to := b.set.Group(item.Row); j < to; j++ {
		p.Add(b.set.Row(j), float32(item.Share), seed)
		seed += uint64(len(b.set.Row(j).Tokens))
	}
}

// supervised counts the supervised tokens of a row of a batch.
func (b *Batcher) supervised(row int) int {
	n := 0
	for j, to := b.set.Group(row); j < to; j++ {
		n += Supervised(b.set.Row(j))
	}
	return n
}
