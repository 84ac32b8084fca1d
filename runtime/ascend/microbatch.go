package ascend

import (
	k "lorac/kernels/ascend"
	rt "lorac/runtime"
)

// MicroBatch is a micro-batch in device memory: see package microbatch.
type MicroBatch struct {
	Tokens  k.Ints  // [T]
	Pos     k.Ints  // [T]
	Starts  k.Ints  // [N], and after them T
	Seeds   k.Seeds // [T]
	Rows    k.Ints  // [S]
	Targets k.Ints  // [S]
	Weights k.Vec   // [S]

	sequences int
}

// Size is the token rows and the supervised ones: T and S.
func (b *MicroBatch) Size() (tokens, rows int) { return b.Tokens.N, b.Rows.N }

// Sequences is the number of sequences.
func (b *MicroBatch) Sequences() int { return b.sequences }

// block is the memory of a micro-batch, on both sides: all of it travels in one
// copy. It holds the largest micro-batch, and grows where there is a larger one.
type block struct {
	host []byte
	at   k.Ptr
	size int // bytes at at
	used int
}

// blockBytes is what a micro-batch of so many rows takes at most: five numbers of 4
// bytes a row, a seed, and starts.
func blockBytes(rows int) int { return 32*rows + 4 + 7*blockAlign }

// blockAlign is what the parts of a block are aligned to.
const blockAlign = 64

// put appends a part and gives its offset.
func put[T int32 | uint64 | float32](b *block, x []T, end ...T) int {
	b.used = (b.used + blockAlign - 1) / blockAlign * blockAlign
	from := b.used
	for _, part := range [][]byte{bytesOf(x), bytesOf(end)} {
		if need := b.used + len(part); need > len(b.host) {
			b.host = append(b.host, make([]byte, max(need, 2*len(b.host))-len(b.host))...)
		}
		b.used += copy(b.host[b.used:], part)
	}
	return from
}

// take brings a micro-batch to the device, in the place of the one before: the
// copy waits there for the kernels that read that.
func (r *Run) take(host *rt.MicroBatch) *MicroBatch {
	b := &r.block
	b.used = 0
	pos, tokens := put(b, host.Pos), put(b, host.Tokens)
	r.starts = r.starts[:0]
	for _, s := range host.Starts {
		r.starts = append(r.starts, max(s, ^s)) // on a device each row sees itself
	}
	starts := put(b, r.starts, int32(len(host.Tokens)))
	rows, targets := put(b, host.Rows), put(b, host.Targets)
	seeds, weights := put(b, host.Seeds), put(b, host.Weights)
	if b.used > b.size {
		if b.size > 0 {
			must(r.card.d.Sync())
			must(r.card.d.Free(b.at))
		}
		b.size = max(b.used, blockBytes(r.maxRows))
		b.at = r.alloc(b.size)
	}
	must(r.card.d.Upload(b.at, b.host[:b.used]))
	ints := func(offset int, x []int32) k.Ints { return k.IntsAt(b.at+k.Ptr(offset), len(x)) }
	return &MicroBatch{Tokens: ints(tokens, host.Tokens), Pos: ints(pos, host.Pos), Starts: ints(starts, host.Starts),
		Rows: ints(rows, host.Rows), Targets: ints(targets, host.Targets), Seeds: k.SeedsAt(b.at+k.Ptr(seeds), len(host.Seeds)),
		Weights: k.VecAt(b.at+k.Ptr(weights), len(host.Weights)), sequences: len(host.Starts)}
}
