package ascend_test

import (
	"fmt"
	"math"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/ir"
	"lorac/kernels/ascend/ascendtest"
)

// headRanges and headWorkspace are rangesOf and the workspace of csrc/head.h.
func headRanges(rows, vocab int) int {
	return max(1, min(48/((rows+127)/128), (vocab+1023)/1024))
}

func headWorkspace(rows, cols, vocab, groups int) int {
	n := headRanges(rows, vocab) * rows
	return groups*2*128*1024*(4+2) + (12*n+511)/512*512 + 4*n*cols
}

// headInputs is a problem whose rows have some certain and some uncertain targets, one
// beyond the vocabulary where the weight is 0.
type headInputs struct {
	x, w, weights []float64
	targets       []int
}

func headProblem(l lowType, rows, cols, vocab int) headInputs {
	h := headInputs{x: normals(1, rows*cols, 1), w: normals(2, vocab*cols, 1/math.Sqrt(float64(cols)))}
	for i := range h.w {
		h.w[i] = l.round(h.w[i])
	}
	for i := range rows {
		weight, target := 1/float64(rows), (i*7919+3)%vocab
		row := h.x[i*cols : (i+1)*cols]
		switch i % 8 {
		case 1: // the target is nearly certain
			for j := range row {
				row[j] += 12 * h.w[target*cols+j]
			}
		case 2: // another is
			for j := range row {
				row[j] += 12 * h.w[(target+1)%vocab*cols+j]
			}
		case 3:
			weight, target = 0, -100
		case 4:
			clear(row)
		case 5:
			weight, target = 2.5, vocab-1
		case 6:
			for j := range row {
				row[j] *= 20
			}
		}
		for j := range row {
			row[j] = l.round(row[j])
		}
		h.weights = append(h.weights, float64(float32(weight)))
		h.targets = append(h.targets, target)
	}
	return h
}

// judge gives the losses and the gradient in float64, and for each number of the
// gradient how far it spreads when the weights of the sum are rounded by one part: the
// root of the sum of squares over the vocabulary but the target.
func (h headInputs) judge(rows, cols, vocab int) (loss, dx, spread []float64) {
	targets := make([]int, rows)
	for i, t := range h.targets {
		targets[i] = max(t, 0)
	}
	spread = make([]float64, rows*cols)
	d := empty(rows, cols)
	for i := range rows {
		one := empty(1, cols)
		total := scalar(0)
		x := matrix(1, cols, h.x[i*cols:(i+1)*cols])
		evaluate("head_loss", ir.Attrs{"dx": true}, []*ir.Array{total, one}, x, matrix(vocab, cols, h.w), integers(targets[i:i+1]), vector(h.weights[i:i+1]))
		copy(d.Row(i), one.F)
		loss = append(loss, total.F[0])
		logits := make([]float64, vocab)
		top, sum := math.Inf(-1), 0.0
		for v := range logits {
			for j := range cols {
				logits[v] += x.F[j] * h.w[v*cols+j]
			}
			top = max(top, logits[v])
		}
		for v := range logits {
			logits[v] = math.Exp(logits[v] - top)
			sum += logits[v]
		}
		for j := range cols {
			squares := 0.0
			for v, e := range logits {
				if v != targets[i] {
					squares += math.Pow(e/sum*h.w[v*cols+j], 2)
				}
			}
			spread[i*cols+j] = h.weights[i] * math.Sqrt(squares)
		}
	}
	return loss, d.F, spread
}

func testHead(t *testing.T, types []lowType, shapes [][3]int, groups []int) {
	for _, l := range types {
		for _, s := range shapes {
			rows, cols, vocab := s[0], s[1], s[2]
			t.Run(fmt.Sprintf("%s/%dx%dx%d", l.name, rows, cols, vocab), func(t *testing.T) {
				r, h := newRig(t), headProblem(l, rows, cols, vocab)
				loss, dx := r.result(4*rows), r.result(2*rows*cols)
				ws := r.garbage(headWorkspace(rows, cols, vocab, 24))
				args := []any{r.low(l, h.x), r.low(l, h.w), r.i32(h.targets), r.f32(h.weights), ws, rows, cols, vocab}
				got := r.run("head_loss_"+l.name, groups, []result{loss, dx}, append([]any{loss.ptr, dx.ptr}, args...)...)
				wantLoss, want, spread := h.judge(rows, cols, vocab)
				near(t, "loss", f32Values(got[0]), wantLoss, 1e-5, func(i int) float64 { return math.Abs(wantLoss[i]) + h.weights[i] })
				// Weights are rounded to T before they are summed: half a unit each, evenly spread.
				unit := math.Ldexp(1, -l.mantissa-1)
				slack := func(i int) float64 { return 3*unit*spread[i] + 1e-6*h.weights[i/cols] }
				l.within(t, "dx", l.values(got[1]), want, 0.51, slack)
				for i, w := range h.weights {
					if w != 0 {
						continue
					}
					for _, v := range append(l.values(got[1])[i*cols:(i+1)*cols], f32Values(got[0])[i]) {
						if v != 0 {
							t.Fatalf("row %d of weight 0 gives %v", i, v)
						}
					}
				}
				only := r.run("head_loss_"+l.name, []int{2}, []result{loss}, append([]any{loss.ptr, 0}, args...)...)
				if string(only[0]) != string(got[0]) {
					t.Fatal("the losses differ without dx")
				}
			})
		}
	}
}

func TestHeadLoss(t *testing.T) {
	testHead(t, lowTypes, [][3]int{{1, 16, 3}, {5, 64, 40}, {21, 80, 1029}, {19, 272, 1030}, {130, 48, 515}, {130, 16, 2100}}, []int{1, 3, 24})
}

// TestHeadLossRescales: of many rows a range has several blocks of the vocabulary, and
// what was summed shrinks where a row's top grows.
func TestHeadLossRescales(t *testing.T) {
	testkit.Slow(t, "ascend")
	testHead(t, lowTypes[:1], [][3]int{{3201, 16, 2100}}, []int{3})
}

// The widest models, a large vocabulary, and groups that take rows several times.
func TestHeadLossAtSize(t *testing.T) {
	testkit.Slow(t, "ascend")
	testHead(t, lowTypes, [][3]int{{300, 64, 1500}, {20, 8192, 2053}, {1, 128, 128256}}, []int{1, 24})
	testHead(t, lowTypes[1:], [][3]int{{3201, 32, 4100}}, []int{3, 20})
	testHead(t, lowTypes[:1], [][3]int{{3, 4096, 32001}, {17, 512, 20000}}, []int{1, 24})
}

// headMoves is what stands in head_cube.h, head_vector.h and head_merge.h: bytes in and
// out of the cores, FLOPs. grown is how often a row's top grew after the first block of a
// range, live how many rows have weight.
func headMoves(rows, cols, vocab, step, ranges, grown, live int) (in, out, flops int) {
	up16 := func(n int) int { return (n + 15) / 16 * 16 }
	for r := 0; r < rows; r += step {
		m := min(step, rows-r)
		for v0 := 0; v0 < vocab; v0 += 1024 {
			v := min(1024, vocab-v0)
			for n0 := 0; n0 < v; n0 += 256 {
				in += 2 * cols * (m + min(256, v-n0))
			}
			for n0 := 0; n0 < cols; n0 += 256 {
				in += 2 * (m*up16(v) + v*min(256, cols-n0))
			}
			in += 4 * m * up16(v)
			out += 4*m*up16(v) + 2*m*up16(v) + 4*m*cols
			flops += 2*m*v*cols + 2*m*up16(v)*cols
		}
	}
	in += 4*cols*grown + (12*ranges+4)*rows + (4*ranges+2)*cols*live
	out += 4*cols*grown + 12*ranges*rows + 2*cols*rows + 4*rows
	return in, out, flops
}

func TestWorkOfHeadLoss(t *testing.T) {
	// Rows of some ranges, in blocks of 96; and rows of one, which two groups divide.
	testWorkOfHead(t, 260, 272, 2101, 96, 3)
	testWorkOfHead(t, 260, 272, 1001, 80, 2)
	testWorkOfHead(t, 260, 272, 1001, 96, 1)
}

func testWorkOfHead(t *testing.T, rows, cols, vocab, step, groups int) {
	t.Helper()
	l, ranges := lowTypes[0], headRanges(rows, vocab)
	r, h := newRig(t), headProblem(l, rows, cols, vocab)
	grown, live := 0, 0
	for i := range rows {
		if h.weights[i] != 0 {
			live++
		}
		blocks := (vocab + 1023) / 1024
		tops := make([]float64, blocks)
		for v := range vocab {
			z := 0.0
			for j := range cols {
				z += h.x[i*cols+j] * h.w[v*cols+j]
			}
			if b := v / 1024; v%1024 == 0 || z > tops[b] {
				tops[b] = z
			}
		}
		for part := range ranges {
			from, to := part*blocks/ranges, (part+1)*blocks/ranges
			top := tops[from]
			for _, x := range tops[from+1 : to] {
				if x > top {
					grown++
				}
				top = max(top, x)
			}
		}
	}
	r.ok(r.d.Launch("head_loss_bf16", groups, r.garbage(4*rows), r.garbage(2*rows*cols), r.low(l, h.x), r.low(l, h.w), r.i32(h.targets), r.f32(h.weights),
		r.garbage(headWorkspace(rows, cols, vocab, groups)), rows, cols, vocab))
	got := ascendtest.Counters(t, r.d)
	in, out, flops := headMoves(rows, cols, vocab, step, ranges, grown, live)
	if got.In != uint64(in) || got.Out != uint64(out) || got.FLOPs != uint64(flops) {
		t.Errorf("%d bytes in, %d out, %d FLOPs; the formulas say %d, %d, %d", got.In, got.Out, got.FLOPs, in, out, flops)
	}
	if useful := 4 * rows * cols * vocab; float64(got.FLOPs) > 1.05*float64(useful) {
		t.Errorf("%d FLOPs for %d useful ones", got.FLOPs, useful)
	}
}
