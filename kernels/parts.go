package kernels

import (
	"math"
	"unsafe"
)

// What processes compute that divide a vocabulary, or the tensors that train.

// EmbedPart is Embed of the rows of a vocabulary from first on: y[i] is zero where
// w does not have row tokens[i].
func (c *Context) EmbedPart(y Mat, tokens Ints, w Weight, first int) {
	check(y.Rows == len(tokens) && y.Cols == w.Cols, "embed", y, len(tokens), w)
	c.Parallel((len(tokens)+rowBlock-1)/rowBlock, func(worker, t int) {
		one := w
		var row []byte
		if w.read != nil {
			n := w.rowBytes()
			row = bytesOf(grow(&c.workers[worker].row, (n+3)/4))[:n]
			one = Weight{Rows: 1, Cols: w.Cols, DType: w.DType, ptr: unsafe.Pointer(&row[0])}
		}
		for i := t * rowBlock; i < min((t+1)*rowBlock, len(tokens)); i++ {
			switch at := int(tokens[i]) - first; {
			case at < 0 || at >= w.Rows:
				clear(y.Row(i))
			case w.read != nil:
				w.read(row, at)
				one.row(y.Row(i), 0, 0)
			default:
				w.row(y.Row(i), at, 0)
			}
		}
	})
}

// EmbedGradPart is EmbedGrad of the rows of a vocabulary from first on.
func (c *Context) EmbedGradPart(dw, d Mat, tokens Ints, first int) {
	check(d.Rows == len(tokens) && d.Cols == dw.Cols, "embed gradient", dw, d, len(tokens))
	c.rowTasks(dw.Cols, 128, func(from, to int) {
		for i, t := range tokens {
			if at := int(t) - first; 0 <= at && at < dw.Rows {
				out := dw.Row(at)[from:to]
				addRow(out, out, d.Row(i)[from:to])
			}
		}
	})
}

// HeadStats: lse[i] is the logarithm of the sum of exponentials of the logits x·wᵀ
// of row i, target[i] the logit of its target, 0 where w, the rows of a vocabulary
// from first on, does not have it. Logits exist for a chunk of rows only.
func (c *Context) HeadStats(lse, target Vec, x Mat, w Weight, targets Ints, first int) {
	check(x.Cols == w.Cols && len(targets) == x.Rows && len(lse) == x.Rows && len(target) == x.Rows, "head statistics", x, w, len(targets), len(lse), len(target))
	c.eachChunk(x, w, func(r0 int, _, logits Mat) {
		c.rowTasks(logits.Rows, rowBlock, func(from, to int) {
			for i := from; i < to; i++ {
				row := logits.Row(i)
				lse[r0+i] = float32(logSum(row))
				target[r0+i] = 0
				if at := int(targets[r0+i]) - first; 0 <= at && at < len(row) {
					target[r0+i] = row[at]
				}
			}
		})
	})
}

// RowLoss is Σ weights·(lse − target), in f64 and in the order of the rows.
func (c *Context) RowLoss(lse, target, weights Vec) Scalar {
	sum := 0.0
	for i, w := range weights {
		if w != 0 { // the target may be any number
			sum += float64(w) * (float64(lse[i]) - float64(target[i]))
		}
	}
	return Scalar(sum)
}

// HeadGrad is the gradient of RowLoss in x, unless dx is Empty, and in w, which is
// added to dw unless that is: lse is that of all parts of the vocabulary.
func (c *Context) HeadGrad(dx, dw, x Mat, w Weight, targets Ints, weights, lse Vec, first int) {
	check(x.Cols == w.Cols && len(targets) == x.Rows && len(weights) == x.Rows && len(lse) == x.Rows, "head gradient", x, w, len(targets), len(weights), len(lse))
	c.eachChunk(x, w, func(r0 int, xs, logits Mat) {
		c.rowTasks(logits.Rows, rowBlock, func(from, to int) {
			for i := from; i < to; i++ {
				row, weight := logits.Row(i), weights[r0+i]
				expSum(row, row, lse[r0+i])
				scaleRow(row, row, weight)
				if at := int(targets[r0+i]) - first; 0 <= at && at < len(row) {
					row[at] -= weight
				}
			}
		})
		if !dx.Empty() {
			c.MatMulNN(dx.Slice(r0, r0+xs.Rows), logits, w)
		}
		if !dw.Empty() {
			c.AddMatMulTN(dw, logits, xs)
		}
	})
}

// eachChunk makes the logits of a chunk of rows at a time.
func (c *Context) eachChunk(x Mat, w Weight, do func(r0 int, xs, logits Mat)) {
	for r0 := 0; r0 < x.Rows; r0 += chunk {
		xs := x.Slice(r0, min(r0+chunk, x.Rows))
		logits := temp(&c.logits, xs.Rows, w.Rows)
		c.MatMulNT(logits, xs, w)
		do(r0, xs, logits)
	}
}

// SumSquares is Σ x² over all given vectors: the square of their Norm.
func (c *Context) SumSquares(xs ...Vec) Scalar {
	sum := 0.0
	for _, x := range xs {
		n := c.Norm(x).Value()
		sum += n * n
	}
	return Scalar(sum)
}

// Root is √Σ x.
func (c *Context) Root(xs ...Scalar) Scalar {
	sum := 0.0
	for _, x := range xs {
		sum += x.Value()
	}
	return Scalar(math.Sqrt(sum))
}
