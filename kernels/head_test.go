package kernels

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"lorac/cmd/test/testkit"
)

// refHead is HeadLoss in f64, whole rows at once.
func refHead(x, w Mat, targets []int32, weights []float32) (loss float64, dx [][]float64) {
	for i := range x.Rows {
		logits, top := make([]float64, w.Rows), math.Inf(-1)
		for j := range logits {
			for k, v := range x.Row(i) {
				logits[j] += float64(v) * float64(w.Row(j)[k])
			}
			top = max(top, logits[j])
		}
		sum, others, t := 0.0, 0.0, int(targets[i])
		for j, l := range logits {
			sum += math.Exp(l - top)
			if j != t {
				others += math.Exp(l - top)
			}
		}
		loss += float64(weights[i]) * (top + math.Log(sum) - logits[t])
		d := make([]float64, x.Cols)
		for j, l := range logits {
			p := math.Exp(l-top) / sum
			if j == t {
				p = -others / sum // not p - 1, which is not exact near 1
			}
			for k := range d {
				d[k] += float64(weights[i]) * p * float64(w.Row(j)[k])
			}
		}
		dx = append(dx, d)
	}
	return loss, dx
}

// The head equals its plain twin however many blocks the vocabulary takes,
// wherever the target is, and when every block has a greater logit than those
// before it.
func TestHeadLoss(t *testing.T) {
	t.Run("wide", func(t *testing.T) { testHead(t, (*Context).wideBlock) })
	t.Run("narrow", func(t *testing.T) { testHead(t, (*Context).narrowBlock) })
}

func testHead(t *testing.T, block headBlock) {
	defer setThreads(ctx.Threads())
	for _, c := range []struct{ rows, dim, vocab int }{{1, 1, 1}, {1, 3, 2}, {5, 7, 33}, {17, 40, 100}, {256, 3, 4096}, {256, 3, 4100}, {513, 2, 9000}, {300, 35, 8200}} {
		columns := min(headColumns, roundUp(c.vocab, 32))
		for _, rising := range []bool{false, true} {
			if c.rows > 256 && (rising || emulated()) && !testkit.Wanted("sizes") {
				continue
			}
			t.Run(fmt.Sprintf("%dx%d of %d/rising=%v", c.rows, c.dim, c.vocab, rising), func(t *testing.T) {
				x, w := dense(c.rows, c.dim), dense(c.vocab, c.dim)
				if rising {
					for i := range x.Rows {
						x.Row(i)[0] = 1
					}
					for j := range w.Rows {
						w.Row(j)[0] = float32(j) * 30 / float32(c.vocab)
					}
				}
				targets, weights := make([]int32, c.rows), make([]float32, c.rows)
				for i := range targets {
					targets[i] = int32([]int{0, c.vocab - 1, min(columns, c.vocab) - 1, columns % c.vocab, i % c.vocab}[i%5])
					weights[i] = float32(i%3) / 2
				}
				loss, want := refHead(x, w, targets, weights)
				bits := NewMat(c.rows, c.dim) // of rows in two passes
				setThreads(1)
				for _, part := range [][2]int{{0, c.rows / 3}, {c.rows / 3, c.rows}} {
					from, to := part[0], part[1]
					ctx.headLoss(block, bits.Slice(from, to), x.Slice(from, to), w.Weight(), targets[from:to], weights[from:to])
				}
				for _, threads := range []int{1, 3} {
					setThreads(threads)
					dx := dense(c.rows, c.dim) // what was there does not matter
					if got := ctx.headLoss(block, dx, x, w.Weight(), targets, weights); math.Abs(got-loss) > 1e-5*(1+math.Abs(loss)) {
						t.Errorf("%d threads: loss %v, not %v", threads, got, loss)
					}
					if got := ctx.headLoss(block, Mat{}, x, w.Weight(), targets, weights); math.Abs(got-loss) > 1e-5*(1+math.Abs(loss)) {
						t.Errorf("%d threads: loss alone %v, not %v", threads, got, loss)
					}
					near(t, "dx", dx, want, 2e-5)
					if !slices.Equal(dx.Data, bits.Data) {
						t.Errorf("%d threads: bits of dx depend on the threads or on the pass", threads)
					}
				}
			})
		}
	}
}

// Of a token that is all but certain the gradient is small, and right to its
// last digits: it is not the difference of 1 and a number next to it.
func TestHeadLossOfTheCertain(t *testing.T) {
	x, w := NewMat(1, 2), NewMat(50, 2)
	x.Row(0)[0], x.Row(0)[1] = 1, 0.5
	for j := range w.Rows {
		w.Row(j)[0], w.Row(j)[1] = float32(j%7)/10, float32(j%3)/10
	}
	w.Row(20)[0] = 24 // e^-24 or so for each of the others
	dx := NewMat(1, 2)
	loss := ctx.HeadLoss(dx, x, w.Weight(), []int32{20}, []float32{1})
	_, want := refHead(x, w, []int32{20}, []float32{1})
	for k, v := range want[0] {
		if got := float64(dx.Row(0)[k]); math.Abs(got-v) > 1e-5*math.Abs(v) {
			t.Errorf("gradient %d is %v, not %v", k, got, v)
		}
	}
	if loss < 0 || loss > 1e-6 {
		t.Errorf("loss %v", loss)
	}
}

// The parts of a vocabulary are the whole of it, as even as panels allow, and
// feed 64 threads.
func TestNarrowHeadIsCut(t *testing.T) {
	for vocab, parts := range map[int]int{1: 1, 512: 1, 1024: 1, 2100: 2, 32000: 16, 128256: 16} {
		if got := vocabParts(vocab); got != parts {
			t.Errorf("%d words: %d parts, not %d", vocab, got, parts)
		}
		end := 0
		for p := range parts {
			from, to := vocabPart(vocab, p, parts)
			if from != end || parts > 1 && (to-from)*parts < vocab-32*parts {
				t.Errorf("%d words in %d parts: part %d is [%d, %d), after %d", vocab, parts, p, from, to, end)
			}
			end = to
		}
		if end != vocab {
			t.Errorf("%d words in %d parts end at %d", vocab, parts, end)
		}
	}
	if tasks := headRows / narrowRows * vocabParts(32000); tasks < 64 {
		t.Errorf("%d tasks", tasks)
	}
}
