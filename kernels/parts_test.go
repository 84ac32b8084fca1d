package kernels

import (
	"math"
	"testing"
)

// Products with a part of a weight have the bits of those with a copy of it.
func TestPart(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, d := range []DType{F32, F16, BF16, Q8_0, Q4_0, Q4_K} {
			elems, _ := d.block()
			unit := max(elems, 8)
			rows, cols := 96, 4*unit
			var w Weight
			if d.Quantised() {
				w, _ = randQuant(d, rows, cols)
			} else {
				w, _ = randWeight(d, rows, cols)
			}
			for _, p := range [][4]int{{0, rows, unit, 3 * unit}, {32, 80, 0, cols}, {7, 40, 2 * unit, 4 * unit}, {0, rows, 0, cols}} {
				part := w.Part(p[0], p[1], p[2], p[3])
				n := part.Cols
				all := w.Float32s()
				whole := NewMat(part.Rows, n)
				for i := range part.Rows {
					copy(whole.Row(i), all[(p[0]+i)*cols+p[2]:][:n])
				}
				nearVec(t, "elements of a part", part.Float32s(), 0, func(i int) float64 { return float64(whole.Data[i]) })
				for _, tokens := range []int{3, 37} {
					x, y, want := dense(tokens, n), NewMat(tokens, part.Rows), NewMat(tokens, part.Rows)
					ctx.MatMulNT(y, x, part)
					ctx.MatMulNT(want, x, whole.Weight())
					nearFunc(t, d.String()+" product with a part", y, 0, at(want))
					x, y, want = dense(tokens, part.Rows), NewMat(tokens, n), NewMat(tokens, n)
					ctx.MatMulNN(y, x, part)
					ctx.MatMulNN(want, x, whole.Weight())
					nearFunc(t, d.String()+" backward product with a part", y, 0, at(want))
				}
			}
		}
	})
	w, _ := randWeight(F32, 16, 4)
	w = w.Paired(4)
	nearVec(t, "a part in pairs", w.Part(8, 16, 0, 4).Float32s(), 0, func(i int) float64 { return float64(w.Float32s()[32+i]) })
	if b, ok := w.Part(0, 16, 0, 2).Bytes(); ok {
		t.Errorf("a part with gaps has %d bytes in a row", len(b))
	}
}

// The mask of a part is the part of the mask.
func TestDropOfPart(t *testing.T) {
	paths(t, func(t *testing.T) {
		x := dense(5, 70)
		d := Drop{P: 0.4, Seeds: Seeds{3, 1 << 60, 7, 9, 1<<63 + 5}, Layer: 2, Stream: 3}
		whole := NewMat(5, 70)
		ctx.Dropout(whole, x, d)
		for _, first := range []int{0, 2, 34} {
			d.First = first
			part := NewMat(5, 70-first)
			ctx.Dropout(part, x.Columns(first, 70), d)
			nearFunc(t, "dropout of a part", part, 0, at(whole.Columns(first, 70)))
		}
	})
}

// Parts of a vocabulary give the embedding, the loss and the gradients of the whole.
func TestVocabularyParts(t *testing.T) {
	const rows, vocab, hidden, ranks = 19, 96, 24, 4
	for _, d := range []DType{F32, BF16} {
		w, _ := randWeight(d, vocab, hidden)
		size := len(w.keep) / vocab
		read := w.ReadBy(func(dst []byte, i int) { copy(dst, w.keep[i*size:]) })
		x := dense(rows, hidden)
		tokens, weights := make(Ints, rows), make(Vec, rows)
		for i := range tokens {
			tokens[i], weights[i] = int32((i*37)%vocab), float32(i%4)/8
		}
		embedded, dw, loss, dx := NewMat(rows, hidden), NewMat(vocab, hidden), 0.0, NewMat(rows, hidden)
		ctx.Embed(embedded, tokens, w)
		loss = ctx.HeadLossGradW(dx, dw, x, w, tokens, weights).Value()
		ctx.EmbedGrad(dw, x, tokens)

		sum, sumDX, sumDW := NewMat(rows, hidden), NewMat(rows, hidden), NewMat(vocab, hidden)
		lse, target, one := make([]float64, rows), make(Vec, rows), make(Vec, rows)
		each := func(do func(w Weight, dw Mat, first int)) {
			for r := range ranks {
				first, n := r*vocab/ranks, vocab/ranks
				do(w.Part(first, first+n, 0, hidden), sumDW.Slice(first, first+n), first)
			}
		}
		part := NewMat(rows, hidden)
		each(func(w Weight, _ Mat, first int) {
			ctx.EmbedPart(part, tokens, w, first)
			ctx.Add(sum, sum, part)
			apart := NewMat(rows, hidden)
			ctx.EmbedPart(apart, tokens, read.Part(first, first+w.Rows, 0, hidden), first)
			nearFunc(t, "rows that are read one by one", apart, 0, at(part))
			t := make(Vec, rows)
			ctx.HeadStats(one, t, x, w, tokens, first)
			for i := range lse {
				lse[i] += math.Exp(float64(one[i]))
				target[i] += t[i]
			}
		})
		for i := range lse {
			one[i] = float32(math.Log(lse[i]))
		}
		each(func(w Weight, dw Mat, first int) {
			ctx.HeadGrad(part, dw, x, w, tokens, weights, one, first)
			ctx.Add(sumDX, sumDX, part)
			ctx.EmbedGradPart(dw, x, tokens, first)
		})
		nearFunc(t, "embedding", sum, 0, at(embedded))
		nearFunc(t, "gradient in x", sumDX, 1e-5, at(dx))
		nearFunc(t, "gradient in w", sumDW, 1e-5, at(dw))
		if got := ctx.RowLoss(one, target, weights).Value(); math.Abs(got-loss) > 1e-5*loss {
			t.Errorf("the loss is %v, not %v", got, loss)
		}
	}
	x, y := dense(1, 9000), dense(1, 40)
	if got, want := ctx.Root(ctx.SumSquares(x.Data), ctx.SumSquares(y.Data)).Value(), ctx.Norm(x.Data, y.Data).Value(); math.Abs(got-want) > 1e-9*want {
		t.Errorf("the norm is %v, not %v", got, want)
	}
}
