package kernels

import "math"

const (
	headRows    = 512  // rows of the head done at a time
	headColumns = 4096 // and columns
	headPad     = 16   // floats between the rows of logits, which so keep out of each other's cache sets
)

// scratch of the head: logits, and what is known of the rows so far.
var (
	headLogits []float32
	headState  []headRow
)

// headRow is a row's softmax over the columns so far, as exp(logit - top).
type headRow struct {
	top    float32
	shrunk float32 // what the sum and the gradient were multiplied with for the last columns
	hit    float32 // the logit of the target
	others float64 // sum over all but the target
}

// HeadLoss is the head's product and the loss in one: it returns
// Σ weights·nll of x·wᵀ and writes its gradient in x to dx, unless that is
// Empty. The vocabulary is taken in blocks, whose logits are turned into their
// share of the gradient while they are near (the online softmax of Milakov &
// Gimelshein 2018), so they never go to memory. The target's share, p - 1, is
// added last, from the sum over the others, which is exact where p is near 1.
func HeadLoss(dx, x Mat, w Weight, targets []int32, weights []float32) float64 {
	check(x.Cols == w.Cols && len(targets) == x.Rows && len(weights) == x.Rows, "head loss", x, w, len(targets), len(weights))
	block := headBlock(wideBlock)
	if x.Cols <= narrowHead {
		block = narrowBlock
	}
	return headLoss(block, dx, x, w, targets, weights)
}

// headBlock is HeadLoss of at most headRows rows.
type headBlock = func(dx, x Mat, w Weight, targets []int32, weights []float32) float64

// headLoss takes the rows block by block.
func headLoss(block headBlock, dx, x Mat, w Weight, targets []int32, weights []float32) float64 {
	loss := 0.0
	for r0 := 0; r0 < x.Rows; r0 += headRows {
		r1 := min(r0+headRows, x.Rows)
		d := dx
		if !dx.Empty() {
			d = dx.Slice(r0, r1)
		}
		loss += block(d, x.Slice(r0, r1), w, targets[r0:r1], weights[r0:r1])
	}
	return loss
}

// wideBlock shares every product among the threads.
func wideBlock(dx, x Mat, w Weight, targets []int32, weights []float32) float64 {
	columns := min(headColumns, roundUp(w.Rows, 32))
	logits := Mat{grow(&headLogits, x.Rows*(columns+headPad)), x.Rows, columns, columns + headPad}
	if len(headState) < x.Rows {
		headState = make([]headRow, x.Rows)
	}
	state := headState[:x.Rows]
	for i := range state {
		state[i] = newHeadRow
	}
	for v0 := 0; v0 < w.Rows; v0 += columns {
		v1 := min(v0+columns, w.Rows)
		l, part := logits.Columns(0, v1-v0), w.slice(v0, v1)
		MatMulNT(l, x, part)
		rowTasks(x.Rows, rowBlock, func(from, to int) {
			for i := from; i < to; i++ {
				state[i].add(l.Row(i), int(targets[i])-v0)
				if f := state[i].shrunk; v0 > 0 && f != 1 && !dx.Empty() {
					scaleRow(dx.Row(i), dx.Row(i), f)
				}
			}
		})
		if !dx.Empty() {
			matMulNN(dx, l, part, v0 > 0)
		}
	}
	return sumRows(x.Rows, func(i int) float64 { return state[i].end(dx, i, w, int(targets[i]), float64(weights[i])) })
}

var newHeadRow = headRow{top: negInf, hit: negInf}

// add goes on with the logits of more columns, of which the target may be one,
// and turns them into exp(logit - top), the target's into zero.
func (s *headRow) add(logits []float32, target int) {
	top := max(s.top, maxOf(logits))
	s.shrunk = probability(s.top - top)
	here := target >= 0 && target < len(logits)
	if here {
		s.hit = logits[target]
		logits[target] = negInf
	}
	s.others = s.others*float64(s.shrunk) + float64(expSum(logits, logits, top))
	if here {
		logits[target] = 0
	}
	s.top = top
}

// end returns the loss of a row, and makes row i of dx the gradient of it.
func (s *headRow) end(dx Mat, i int, w Weight, target int, weight float64) float64 {
	sum := s.others + math.Exp(float64(s.hit)-float64(s.top))
	if !dx.Empty() {
		s.finish(dx.Row(i), w, target, weight/sum)
	}
	return weight * (float64(s.top) + math.Log(sum) - float64(s.hit))
}

// finish makes the gradient of the sum over the others that of the loss; by is
// the row's weight by the whole sum.
func (s *headRow) finish(dx []float32, w Weight, target int, by float64) {
	var room [blockK]float32
	scaleRow(dx, dx, float32(by))
	less := float32(-s.others * by) // p - 1, weighted
	for j := 0; j < len(dx); j += blockK {
		row := room[:min(blockK, len(dx)-j)]
		w.row(row, target, j)
		for k, v := range row {
			dx[j+k] += less * v
		}
	}
}
