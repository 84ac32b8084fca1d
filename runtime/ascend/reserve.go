package ascend

import (
	"lorac/kernels"
	k "lorac/kernels/ascend"
)

// reserve takes what micro-batches and kernels need of the device's memory for the
// largest micro-batch, so that a run that has begun asks for none. A program of an edited
// graph may not say what model it is: its workspace grows as it is used.
func (r *Run) reserve() {
	r.block.size = blockBytes(r.maxRows)
	r.block.at = r.alloc(r.block.size)
	j := r.Job()
	m := j.Model
	if r.headSize == 0 || m.Hidden == 0 || m.Heads == 0 {
		return
	}
	z := kernels.Sizes{Rows: r.maxRows, Supervised: r.maxRows, Hidden: m.Hidden, Vocab: j.Vocab, HeadSize: r.headSize, Heads: m.Heads, Share: m.Heads / max(m.KvHeads, 1)}
	for range together {
		z.Ranks = append(z.Ranks, j.LoRA.Rank)
	}
	cubes, vectors := r.card.d.Cores()
	r.card.k.Reserve(k.ScratchBytes(z, max(1, min(cubes, vectors/2))))
}

// together is how many adapters a kernel computes at once, at most: those of q, k and v.
const together = 3
