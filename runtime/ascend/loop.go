package ascend

import (
	"iter"

	"lorac/kernels"
	k "lorac/kernels/ascend"
	rt "lorac/runtime"
)

// hosted is a loss of micro-batches of the device as package rt calls it, with those
// of the host.
func (r *Run) hosted(loss func(*MicroBatch) float64) func(*rt.MicroBatch) float64 {
	if loss == nil {
		return nil
	}
	return func(b *rt.MicroBatch) float64 { return loss(r.take(b)) }
}

// Evaluate reports what is measured over the evaluation set.
func (r *Run) Evaluate(loss func(*MicroBatch) float64) error {
	return r.Run.Evaluate(r.hosted(loss))
}

// Begin evaluates before training, when there is an evaluation set.
func (r *Run) Begin(loss func(*MicroBatch) float64) error { return r.Run.Begin(r.hosted(loss)) }

// MicroBatches is the batch of the step, in pieces that fit the arena. Each is on
// the device when its turn comes, in the place of the one before.
func (r *Run) MicroBatches() iter.Seq2[int, *MicroBatch] {
	return func(yield func(int, *MicroBatch) bool) {
		for i, b := range r.Run.MicroBatches() {
			if !yield(i, r.take(b)) {
				return
			}
		}
	}
}

// Done ends a step: see package rt.
func (r *Run) Done(norm float64, eval func(*MicroBatch) float64) {
	r.Run.Done(norm, r.hosted(eval))
}

// Finish writes the last checkpoint and the adapter, and evaluates.
func (r *Run) Finish(eval func(*MicroBatch) float64) error { return r.Run.Finish(r.hosted(eval)) }

// Generator gives the functions that texts are generated with. Ids are picked on the
// host, from logits of the device.
func (r *Run) Generator(logits, next func(*MicroBatch) k.Mat) {
	hosted := func(f func(*MicroBatch) k.Mat) func(*rt.MicroBatch) kernels.Mat {
		if f == nil {
			return nil
		}
		return func(b *rt.MicroBatch) kernels.Mat { return r.download(f(r.take(b))) }
	}
	r.Run.Generator(hosted(logits), hosted(next))
}

// download is a matrix of f32 on the host.
func (r *Run) download(m k.Mat) kernels.Mat {
	out := kernels.NewMat(m.Rows, m.Cols)
	must(r.card.d.Download(bytesOf(out.Data), m.At))
	return out
}
