package kernels

import "testing"

// bytes is the memory of a context's buffers.
func (c *Context) bytes() int {
	n := len(c.packedA) + len(c.factors) + len(c.loraG) + len(c.delta) + len(c.logits) + len(c.headGrads)
	for i := range c.workers {
		w := &c.workers[i]
		n += len(w.gemm) + len(w.dropped) + len(w.grad) + len(w.attention) + len(w.head) + len(w.row)
	}
	return 4 * n
}

// A step of a model takes no more memory than ScratchBytes says, and not much
// less: on one thread, which meets every kernel, at least half.
func TestScratchBytes(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, s := range []Sizes{
			{Rows: 100, Widest: 172, Supervised: 90, Ranks: []int{8, 8, 8}, Hidden: 64, Vocab: 512, HeadSize: 8, Heads: 8, Share: 2},
			{Rows: 40, Widest: 1200, Supervised: 30, Ranks: []int{4, 4}, Hidden: 600, Vocab: 3000, HeadSize: 60, Heads: 10, Share: 1},
			{Rows: 60, Widest: 300, Supervised: 60, Ranks: []int{33}, Hidden: 96, Vocab: 2100, HeadTrains: true, Trains: true, HeadSize: 48, Heads: 2, Share: 2},
		} {
			s.Threads = ctx.Threads()
			setThreads(s.Threads) // an empty one
			stepOf(s)
			if got, most := ctx.bytes(), ScratchBytes(s); got > most || s.Threads == 1 && got < most/2 {
				t.Errorf("%+v: %d bytes, estimated %d", s, got, most)
			}
		}
	})
}

// stepOf runs the kernels of a training step that need memory of the context.
func stepOf(s Sizes) {
	rows, kv := s.Rows, s.Heads/s.Share*s.HeadSize
	x, h := dense(rows, s.Hidden), NewMat(rows, s.Widest)
	seeds := make(Seeds, rows)
	up, down := dense(s.Widest, s.Hidden).Weight(), dense(s.Hidden, s.Widest).Weight()
	var parts []Adapted
	var grads []AdaptedGrad
	for _, r := range s.Ranks {
		p := Adapted{Y: NewMat(rows, s.Widest), XA: NewMat(rows, r), W: up, A: dense(r, s.Hidden), B: dense(s.Widest, r), Scale: 1, Drop: Drop{P: 0.1, Seeds: seeds}}
		parts = append(parts, p)
		grads = append(grads, AdaptedGrad{DY: dense(rows, s.Widest), XA: p.XA, W: up, A: p.A, B: p.B, DA: NewMat(r, s.Hidden), DB: NewMat(s.Widest, r), Scale: 1, Drop: p.Drop})
	}
	ctx.LoRALinear(x, parts...)
	ctx.LoRALinearGrad(NewMat(rows, s.Hidden), x, grads...)
	ctx.MatMulNT(NewMat(rows, s.Hidden), h, down)
	ctx.MatMulNN(h, x, down)
	if s.Trains {
		ctx.AddMatMulTN(NewMat(s.Widest, s.Hidden), h, x)
	}
	q, k := dense(rows, s.Heads*s.HeadSize), dense(rows, kv)
	o, lse := NewMat(rows, q.Cols), NewMat(rows, s.Heads)
	ctx.Attention(o, lse, q, k, k, []int32{0}, nil, s.Heads, s.Heads/s.Share, 1)
	ctx.AttentionGrad(NewMat(rows, q.Cols), NewMat(rows, kv), NewMat(rows, kv), q, q, k, k, o, lse, []int32{0}, nil, s.Heads, s.Heads/s.Share, 1)
	w, targets, weights := dense(s.Vocab, s.Hidden).Weight(), make(Ints, s.Supervised), make(Vec, s.Supervised)
	xs := x.Slice(0, s.Supervised)
	ctx.HeadLoss(NewMat(s.Supervised, s.Hidden), xs, w, targets, weights)
	if s.HeadTrains {
		ctx.HeadLossGradW(NewMat(s.Supervised, s.Hidden), NewMat(s.Vocab, s.Hidden), xs, w, targets, weights)
	}
	stored := dense(s.Vocab, s.Hidden)
	read := stored.Weight().ReadBy(func(dst []byte, i int) { copy(dst, bytesOf(stored.Row(i))) })
	ctx.Embed(x, make(Ints, rows), read)
}
