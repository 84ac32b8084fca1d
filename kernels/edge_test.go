package kernels

import (
	"math"
	"strings"
	"testing"
)

var (
	nan = float32(math.NaN())
	inf = float32(math.Inf(1))
)

// A NaN anywhere must reach the loss and the gradients: a run that has gone
// wrong is stopped by them.
func TestNaNIsSeen(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, n := range []int{1, 5, 16, 17, 40} {
			for at := range n {
				logits := randMat(1, n)
				logits.Row(0)[at] = nan
				d := randMat(1, n)
				if loss := ctx.CrossEntropy(logits, []int32{0}, []float32{1}); !math.IsNaN(loss.Value()) {
					t.Fatalf("NaN at %d of %d logits: the loss is %v", at, n, loss)
				}
				ctx.CrossEntropyGrad(d, logits, []int32{0}, []float32{1})
				if x := d.Row(0)[at]; x == x {
					t.Fatalf("NaN at %d of %d logits: its gradient is %v", at, n, x)
				}
				y := make([]float32, n)
				if sum := expSum(y, logits.Row(0), 0); sum == sum || y[at] == y[at] {
					t.Fatalf("NaN at %d of %d: exp is %v, the sum %v", at, n, y[at], sum)
				}
			}
		}
		one := func(x float32) Mat { return MatOf([]float32{x}, 1, 1) }
		x, w := dense(3, 20), dense(40, 20)
		x.Row(1)[7] = nan
		if loss := ctx.HeadLoss(Mat{}, x, w.Weight(), []int32{1, 2, 3}, []float32{1, 1, 1}); !math.IsNaN(loss.Value()) {
			t.Errorf("NaN in the input of the head: the loss is %v", loss)
		}
		h, du := one(0), one(0)
		ctx.SwiGLU(h, one(nan), one(1))
		if h.Data[0] == h.Data[0] {
			t.Errorf("swiglu of NaN is %v", h.Data[0])
		}
		ctx.SwiGLUGrad(h, du, one(1), one(nan), one(1))
		if h.Data[0] == h.Data[0] || du.Data[0] == du.Data[0] {
			t.Errorf("gradient of swiglu at NaN is %v, %v", h.Data[0], du.Data[0])
		}
		q, k, v := dense(9, 8), dense(9, 8), dense(9, 8)
		q.Row(4)[3] = nan
		o, lse := NewMat(9, 8), NewMat(9, 1)
		ctx.Attention(o, lse, q, k, v, []int32{0}, nil, 1, 1, 0.3)
		for i := range 9 {
			if bad := o.Row(i)[0] != o.Row(i)[0]; bad != (i == 4) {
				t.Errorf("NaN in query 4: output %d is %v", i, o.Row(i)[0])
			}
		}
	})
}

// Inf and NaN in one row or lane must not reach others, however panels are padded.
func TestProductsKeepRowsApart(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, n := range []int{1, 7, 15, 17, 33} {
			x, w := dense(n, 19), dense(n+2, 19)
			clean := NewMat(n, n+2)
			ctx.MatMulNT(clean, x, w.Weight())
			bad := n / 2
			x.Row(bad)[3], w.Row(0)[5] = inf, nan
			y := randMat(n, n+2)
			ctx.MatMulNT(y, x, w.Weight())
			for i := range n {
				for j := range n + 2 {
					got, finite := y.Row(i)[j], i != bad && j != 0
					if finite && got != clean.Row(i)[j] {
						t.Fatalf("n=%d: element (%d, %d) is %v instead of %v", n, i, j, got, clean.Row(i)[j])
					}
					if j == 0 && got == got {
						t.Fatalf("n=%d: element (%d, 0) hides the NaN: %v", n, i, got)
					}
				}
			}
		}
	})
}

// No row of data is no work and no fault; sums over no row are zero.
func TestNoRows(t *testing.T) {
	paths(t, func(t *testing.T) {
		none := func(cols int) Mat { return NewMat(0, cols) }
		w := dense(6, 8).Weight()
		ctx.MatMulNT(none(6), none(8), w)
		ctx.AddMatMulNN(none(8), none(6), w)
		dw := randMat(6, 8)
		before := clone(dw)
		ctx.AddMatMulTN(dw, none(6), none(8))
		nearFunc(t, "dw += nothing", dw, 0, at(before))
		ctx.MatMulTN(dw, none(6), none(8))
		nearFunc(t, "dw = nothing", dw, 0, func(i, j int) float64 { return 0 })
		a, b := dense(2, 8), dense(6, 2)
		ctx.LoRALinear(none(8), Adapted{Y: none(6), XA: none(2), W: w, A: a, B: b, Scale: 1, Drop: Drop{P: 0.5}})
		da, db := dense(2, 8), dense(6, 2)
		wasA, wasB := clone(da), clone(db)
		ctx.LoRALinearGrad(none(8), none(8), AdaptedGrad{DY: none(6), XA: none(2), W: w, A: a, B: b, DA: da, DB: db, Scale: 1})
		nearFunc(t, "da += nothing", da, 0, at(wasA))
		nearFunc(t, "db += nothing", db, 0, at(wasB))
		ctx.RMSNorm(none(8), nil, none(8), make([]float32, 8), 1e-5)
		ctx.RMSNormGrad(none(8), none(8), none(8), nil, make([]float32, 8))
		ctx.RMSNormGradW(make([]float32, 8), none(8), none(8), nil)
		ctx.Rope(none(8), none(8), nil, NewMat(1, 2), NewMat(1, 2), 4)
		ctx.SwiGLU(none(8), none(8), none(8))
		ctx.Attention(none(8), none(2), none(8), none(8), none(8), nil, nil, 2, 2, 1)
		ctx.AttentionGrad(none(8), none(8), none(8), none(8), none(8), none(8), none(8), none(8), none(2), nil, nil, 2, 2, 1)
		ctx.Embed(none(8), nil, w)
		ctx.GatherRows(none(8), dense(3, 8), nil)
		ctx.ScatterRows(dw, none(8), nil)
		if loss := ctx.HeadLoss(none(8), none(8), w, nil, nil); loss != 0 {
			t.Errorf("the loss of no row is %v", loss)
		}
		ctx.AdamW(nil, nil, nil, nil, AdamStep{GradScale: 1})
	})
}

// Queries nobody supervises take part in no attention, but keys get zeros.
func TestAttentionWithoutQueries(t *testing.T) {
	k, v := dense(7, 4), dense(7, 4)
	dk, dv := randMat(7, 4), randMat(7, 4)
	no := NewMat(0, 4)
	ctx.AttentionGrad(no, dk, dv, no, no, k, v, no, NewMat(0, 1), []int32{0, 3}, []int32{}, 1, 1, 1)
	zero := func(i, j int) float64 { return 0 }
	nearFunc(t, "dk", dk, 0, zero)
	nearFunc(t, "dv", dv, 0, zero)
}

// mustPanic runs a call that does not fit; the message must name the op and
// the shapes given.
func mustPanic(t *testing.T, f func(), words ...string) {
	t.Helper()
	defer func() {
		t.Helper()
		said, ok := recover().(string)
		if !ok {
			t.Errorf("no fault was found; wanted %q", words)
			return
		}
		for _, w := range words {
			if !strings.Contains(said, w) {
				t.Errorf("%q does not say %q", said, w)
			}
		}
	}()
	f()
}

func TestWrongShapes(t *testing.T) {
	m := NewMat
	w := dense(6, 8).Weight()
	mustPanic(t, func() { ctx.MatMulNT(m(2, 6), m(2, 7), w) }, "x·wᵀ", "2x6", "2x7", "F32 6x8")
	mustPanic(t, func() { ctx.MatMulNN(m(2, 8), m(3, 6), w) }, "dy·w", "2x8", "3x6")
	mustPanic(t, func() { ctx.MatMulTN(m(6, 8), m(3, 6), m(4, 8)) }, "dyᵀ·x", "3x6", "4x8")
	mustPanic(t, func() { ctx.Add(m(2, 2), m(2, 2), m(2, 3)) }, "2x3")
	mustPanic(t, func() { ctx.RMSNorm(m(2, 2), make([]float32, 1), m(2, 2), make([]float32, 2), 0) }, "rmsnorm")
	mustPanic(t, func() { ctx.Dropout(m(2, 2), m(2, 2), Drop{P: 0.1, Seeds: make([]uint64, 1)}) }, "dropout")
	mustPanic(t, func() { ctx.LoRALinear(m(2, 8), Adapted{Y: m(2, 5), W: w}) }, "lora", "2x5")
	mustPanic(t, func() { ctx.HeadLoss(Mat{}, m(2, 8), w, []int32{0}, []float32{1, 1}) }, "head loss")
	mustPanic(t, func() { ctx.SplitCols(m(2, 5), m(2, 3), m(2, 3)) }, "split")
	mustPanic(t, func() { ctx.GatherRows(m(2, 5), m(4, 5), []int32{1}) }, "gather")
	mustPanic(t, func() { ctx.Embed(m(2, 8), []int32{1}, w) }, "embed")
	mustPanic(t, func() { ctx.AdamW(make([]float32, 2), make([]float32, 1), nil, nil, AdamStep{}) }, "adamw")
	mustPanic(t, func() { MatOf(make([]float32, 5), 2, 3) }, "5 values", "2x3")
	mustPanic(t, func() { Mat{make([]float32, 9), 2, 3, 4}.Weight() }, "gaps")
	attend := func(starts, rows []int32, queries int) func() {
		return func() {
			ctx.Attention(m(queries, 8), m(queries, 2), m(queries, 8), m(5, 8), m(5, 8), starts, rows, 2, 2, 1)
		}
	}
	mustPanic(t, attend([]int32{0}, nil, 4), "attention", "4x8", "5x8")
	mustPanic(t, attend([]int32{1}, nil, 5), "sequence")
	mustPanic(t, attend([]int32{0, 3, 2}, nil, 5), "sequence")
	mustPanic(t, attend([]int32{0, 6}, nil, 5), "sequence")
	mustPanic(t, attend(nil, nil, 5), "sequence")
	mustPanic(t, attend([]int32{0}, []int32{2, 1}, 2), "ascend")
	mustPanic(t, attend([]int32{0}, []int32{2, 5}, 2), "ascend")
	mustPanic(t, attend([]int32{0}, []int32{-1, 2}, 2), "ascend")
}
