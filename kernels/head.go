package kernels

import "math"

const (
	headRows    = 512  // rows of the head done at a time
	headColumns = 4096 // and columns
	headPad     = 16   // floats between the rows of logits, so that they use different cache sets
)

// headRow is a row's softmax over the columns so far, as exp(logit - top).
type headRow struct {
	top     float32
	rescale float32 // what the sum and the gradient were multiplied with for the last columns
	target  float32 // the logit of the target
	others  float64 // sum over all but the target
}

// HeadLoss is the head's product and the loss in one, for x [S, hidden] and w
// [vocab, hidden]: it returns Σ weights·nll of x·wᵀ and writes its gradient in x
// to dx, unless that is Empty. The vocabulary is taken in blocks, whose logits
// become their share of the gradient while they are cached (the online softmax
// of Milakov & Gimelshein 2018), so they never go to memory. The target's share,
// p - 1, is added last, from the sum over the others, which is exact where p is
// near 1.
func (c *Context) HeadLoss(dx, x Mat, w Weight, targets Ints, weights Vec) Scalar {
	check(x.Cols == w.Cols && len(targets) == x.Rows && len(weights) == x.Rows, "head loss", x, w, len(targets), len(weights))
	block := (*Context).wideBlock
	if x.Cols <= narrowHead {
		block = (*Context).narrowBlock
	}
	return Scalar(c.headLoss(block, dx, x, w, targets, weights))
}

// headBlock is HeadLoss of at most headRows rows.
type headBlock = func(c *Context, dx, x Mat, w Weight, targets Ints, weights Vec) float64

// headLoss takes the rows block by block.
func (c *Context) headLoss(block headBlock, dx, x Mat, w Weight, targets Ints, weights Vec) float64 {
	loss := 0.0
	for r0 := 0; r0 < x.Rows; r0 += headRows {
		r1 := min(r0+headRows, x.Rows)
		d := dx
		if !dx.Empty() {
			d = dx.Slice(r0, r1)
		}
		loss += block(c, d, x.Slice(r0, r1), w, targets[r0:r1], weights[r0:r1])
	}
	return loss
}

// wideBlock shares every product among the threads.
func (c *Context) wideBlock(dx, x Mat, w Weight, targets Ints, weights Vec) float64 {
	columns := min(headColumns, roundUp(w.Rows, 32))
	logits := Mat{grow(&c.logits, x.Rows*(columns+headPad)), x.Rows, columns, columns + headPad}
	state := c.headState(x.Rows)
	for i := range state {
		state[i] = newHeadRow
	}
	for v0 := 0; v0 < w.Rows; v0 += columns {
		v1 := min(v0+columns, w.Rows)
		l, part := logits.Columns(0, v1-v0), w.slice(v0, v1)
		c.MatMulNT(l, x, part)
		c.rowTasks(x.Rows, rowBlock, func(from, to int) {
			for i := from; i < to; i++ {
				state[i].add(l.Row(i), int(targets[i])-v0)
				if f := state[i].rescale; v0 > 0 && f != 1 && !dx.Empty() {
					scaleRow(dx.Row(i), dx.Row(i), f)
				}
			}
		})
		if !dx.Empty() {
			c.matMulNN(dx, l, part, v0 > 0)
		}
	}
	return c.sumRows(x.Rows, func(i int) float64 { return state[i].end(dx, i, w, int(targets[i]), float64(weights[i])) })
}

// headState is memory for the states of n rows.
func (c *Context) headState(n int) []headRow {
	if len(c.headRows) < n {
		c.headRows = make([]headRow, n)
	}
	return c.headRows[:n]
}

var newHeadRow = headRow{top: negInf, target: negInf}

// add updates the state by the logits of more columns, of which the target may
// be one, and turns them into exp(logit - top), the target's into zero.
func (s *headRow) add(logits []float32, target int) {
	top := max(s.top, maxOf(logits))
	s.rescale = probability(s.top - top)
	here := target >= 0 && target < len(logits)
	if here {
		s.target = logits[target]
		logits[target] = negInf
	}
	s.others = s.others*float64(s.rescale) + float64(expSum(logits, logits, top))
	if here {
		logits[target] = 0
	}
	s.top = top
}

// end returns the loss of a row, and makes row i of dx the gradient of it.
func (s *headRow) end(dx Mat, i int, w Weight, target int, weight float64) float64 {
	sum := s.others + math.Exp(float64(s.target)-float64(s.top))
	if !dx.Empty() {
		s.finish(dx.Row(i), w, target, weight/sum)
	}
	return weight * (float64(s.top) + math.Log(sum) - float64(s.target))
}

// finish makes the gradient of the sum over the others that of the loss; by is
// the row's weight divided by the whole sum.
func (s *headRow) finish(dx []float32, w Weight, target int, by float64) {
	var buf [mostK]float32
	scaleRow(dx, dx, float32(by))
	less := float32(-s.others * by) // p - 1, weighted
	for j := 0; j < len(dx); j += mostK {
		row := buf[:min(mostK, len(dx)-j)]
		w.row(row, target, j)
		for k, v := range row {
			dx[j+k] += less * v
		}
	}
}
