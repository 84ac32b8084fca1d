// Package microbatch lays rows of a data set end to end as micro-batches and
// says which rows a step takes. It must not know what is computed with them.
package microbatch

import (
	"lorac/runtime/data/dataset"
	"lorac/runtime/exit"
	"lorac/runtime/rng"
)

// MicroBatch is N sequences laid end to end, without padding. T token rows are
// computed, S of them supervised.
type MicroBatch struct {
	Tokens  []int32   // [T]
	Pos     []int32   // [T] position within the row, where hidden tokens leave gaps
	Starts  []int32   // [N] first row of each sequence; ^row: its last row does not see itself
	Base    []int32   // [N] first row of each in the caches, where there are such
	Seeds   []uint64  // [T] what dropout masks are drawn from
	Rows    []int32   // [S] the supervised rows
	Targets []int32   // [S]
	Weights []float32 // [S] share of each row in the loss
}

// Size is the token rows and the supervised ones: T and S.
func (b *MicroBatch) Size() (tokens, rows int) { return len(b.Tokens), len(b.Rows) }

// Sequences is the number of sequences.
func (b *MicroBatch) Sequences() int { return len(b.Starts) }

// CheckFits refuses micro-batches of more than maxRows token rows, which the
// arena of a trainer compiled for other data does not hold.
func CheckFits(list []*MicroBatch, maxRows int) error {
	for _, b := range list {
		if n := len(b.Tokens); n > maxRows {
			return exit.Inputf("a row of the data has %d tokens, this trainer was compiled for micro-batches of at most %d\n  = help: start it by lorac finetune, which compiles for the data", n, maxRows)
		}
	}
	return nil
}

// Supervised counts the supervised tokens of a row. Its first token is the
// target of none.
func Supervised(r dataset.Row) int {
	n := 0
	for _, l := range r.Labels[1:] {
		if l != dataset.Ignore {
			n++
		}
	}
	return n
}

// Packer fills micro-batches with sequences.
type Packer struct {
	max  int
	full []*MicroBatch
	open *MicroBatch
}

// NewPacker makes micro-batches of at most maxRows token rows; a longer
// sequence has one of its own.
func NewPacker(maxRows int) *Packer { return &Packer{max: maxRows, open: &MicroBatch{}} }

// Add puts one row's sequence into the current micro-batch, or begins a new
// one. Every supervised token weighs share; seed makes the seeds of its rows. A
// row without supervised tokens is left out: nothing of it reaches the loss.
func (p *Packer) Add(r dataset.Row, share float32, seed uint64) {
	if Supervised(r) == 0 {
		return
	}
	n := 0
	for t := range len(r.Tokens) - 1 {
		if r.Live(t) {
			n++
		}
	}
	if len(p.open.Tokens)+n > p.max && len(p.open.Tokens) > 0 {
		p.full = append(p.full, p.open)
		p.open = &MicroBatch{}
	}
	b := p.open
	start := int32(len(b.Tokens))
	if r.Blind {
		start = ^start
	}
	b.Starts = append(b.Starts, start)
	for t := range len(r.Tokens) - 1 {
		if !r.Live(t) {
			continue // the others keep their positions
		}
		if l := r.Labels[t+1]; l != dataset.Ignore {
			b.Rows = append(b.Rows, int32(len(b.Tokens)))
			b.Targets = append(b.Targets, l)
			b.Weights = append(b.Weights, share)
		}
		b.Tokens = append(b.Tokens, r.Tokens[t])
		b.Pos = append(b.Pos, int32(t))
		b.Seeds = append(b.Seeds, rng.Mix(seed+uint64(t)))
	}
}

// Done returns the micro-batches.
func (p *Packer) Done() []*MicroBatch {
	if len(p.open.Tokens) > 0 {
		p.full = append(p.full, p.open)
		p.open = &MicroBatch{}
	}
	return p.full
}
