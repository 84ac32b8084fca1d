package kernels

import (
	"math"

	"lorac/kernels/simd"
)

// CrossEntropy = Σ weights[i]·(logsumexp(logits[i]) − logits[i, target]), in
// f64 and in the order of the rows.
func (c *Context) CrossEntropy(logits Mat, targets Ints, weights Vec) Scalar {
	check(len(targets) == logits.Rows && len(weights) == logits.Rows, "cross entropy", logits, len(targets), len(weights))
	return Scalar(c.sumRows(logits.Rows, func(i int) float64 {
		return float64(weights[i]) * (logSum(logits.Row(i)) - float64(logits.Row(i)[targets[i]]))
	}))
}

// CrossEntropyGrad: d = weights·(softmax(logits) − onehot(target)); d may be logits.
func (c *Context) CrossEntropyGrad(d, logits Mat, targets Ints, weights Vec) {
	check(len(targets) == logits.Rows && len(weights) == logits.Rows, "cross entropy gradient", logits, len(targets), len(weights))
	c.eachRow("cross entropy gradient", d, func(i int) { lossRow(d.Row(i), logits.Row(i), targets[i], weights[i]) }, logits)
}

// lossRow writes the gradient of a row and returns its weighted loss.
func lossRow(d, logits []float32, target int32, weight float32) float64 {
	top := maxOf(logits)
	targetLogit := logits[target]
	sum := expSum(d, logits, top)
	scaleRow(d, d, weight/sum)
	d[target] -= weight
	return float64(weight) * (float64(top) + math.Log(float64(sum)) - float64(targetLogit))
}

var negInf = float32(math.Inf(-1))

func logSum(x []float32) float64 {
	top := maxOf(x)
	sum := 0.0
	if has512 {
		sum = simd.SumExp512(&x[0], len(x), top)
	} else {
		done := eights(len(x))
		if done > 0 {
			sum = simd.SumExp8(&x[0], done, top)
		}
		for _, v := range x[done:] {
			sum += float64(exp32(v - top))
		}
	}
	return float64(top) + math.Log(sum)
}

// sumRows adds f over the rows in their order, whichever thread computes them.
func (c *Context) sumRows(n int, f func(i int) float64) float64 {
	part := make([]float64, n)
	c.rowTasks(n, rowBlock, func(from, to int) {
		for i := from; i < to; i++ {
			part[i] = f(i)
		}
	})
	sum := 0.0
	for _, p := range part {
		sum += p
	}
	return sum
}

// chunk is how many rows of logits exist at a time where the head trains.
const chunk = 256

// HeadLossGradW is HeadLoss that also adds the gradient in w to dw. That takes
// whole rows of probabilities, of a chunk of rows at a time.
func (c *Context) HeadLossGradW(dx, dw, x Mat, w Weight, targets Ints, weights Vec) Scalar {
	check(x.Cols == w.Cols && len(targets) == x.Rows && len(weights) == x.Rows, "head loss", x, w, len(targets), len(weights))
	loss := 0.0
	for r0 := 0; r0 < x.Rows; r0 += chunk {
		r1 := min(r0+chunk, x.Rows)
		xs := x.Slice(r0, r1)
		logits := temp(&c.logits, r1-r0, w.Rows)
		c.MatMulNT(logits, xs, w)
		loss += c.sumRows(r1-r0, func(i int) float64 {
			return lossRow(logits.Row(i), logits.Row(i), targets[r0+i], weights[r0+i])
		})
		if !dx.Empty() {
			c.MatMulNN(dx.Slice(r0, r1), logits, w)
		}
		c.AddMatMulTN(dw, logits, xs)
	}
	return Scalar(loss)
}
