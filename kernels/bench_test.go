package kernels

import (
	"fmt"
	"sort"
	"testing"
	"time"
)

// ofPeak runs f, of known work, in short samples with the FMA peak taken
// before and after each, and reports the speed and the median share of the
// peak: what the machine gives changes from one second to the next.
func ofPeak(b *testing.B, flop float64, f func()) {
	const sample, peakTime = 20 * time.Millisecond, 5 * time.Millisecond
	f()
	var shares []float64
	for n := 0; n < b.N; {
		before := ctx.PeakFLOPS(peakTime)
		start, calls := time.Now(), 0
		for ; n < b.N && (calls == 0 || time.Since(start) < sample); n++ {
			f()
			calls++
		}
		rate := flop * float64(calls) / time.Since(start).Seconds()
		shares = append(shares, 200*rate/(before+ctx.PeakFLOPS(peakTime)))
	}
	sort.Float64s(shares)
	b.ReportMetric(shares[len(shares)/2], "%peak")
	b.ReportMetric(0, "ns/op")
}

// gflops reports the speed of a benchmark of known work.
func gflops(b *testing.B, flop float64) {
	b.ReportMetric(flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPeak is what the machine's FMA units do at best, on all threads.
func BenchmarkPeak(b *testing.B) {
	sum := 0.0
	for b.Loop() {
		sum += ctx.PeakFLOPS(10 * time.Millisecond)
	}
	b.ReportMetric(sum/float64(b.N)/1e9, "GFLOP/s")
	b.ReportMetric(0, "ns/op")
}

// The shapes of the linears of models from 15M to 7B, in × out.
var linears = [][2]int{{288, 288}, {288, 768}, {768, 288}, {576, 576}, {576, 1536}, {768, 768}, {768, 2048}, {2048, 768}, {2048, 256},
	{2048, 2048}, {2048, 5632}, {5632, 2048}, {4096, 4096}, {4096, 11008}, {11008, 4096}}

// BenchmarkMatMul: go test -bench 'MatMul/NT/2048x2048/rows=512' and so on.
func BenchmarkMatMul(b *testing.B) {
	benchMatMul(b, linears, []int{64, 128, 256, 512, 1024, 2048})
}

// BenchmarkAVX2 is the same by the kernels for processors without AVX-512,
// beside what those can do at best.
func BenchmarkAVX2(b *testing.B) {
	was512, was8 := has512, has8
	if !was8 {
		b.Skip("this processor has no AVX2")
	}
	defer setCPU(was512, was8)
	setCPU(false, true)
	benchMatMul(b, [][2]int{{768, 768}, {2048, 2048}, {4096, 4096}}, []int{64, 256, 1024})
}

func benchMatMul(b *testing.B, shapes [][2]int, rows []int) {
	for _, s := range shapes {
		for _, m := range rows {
			for _, d := range []DType{F32, F16, BF16} {
				in, out := s[0], s[1]
				flop := 2 * float64(m*in*out)
				b.Run(fmt.Sprintf("NT/%dx%d/rows=%d/%s", in, out, m, d), func(b *testing.B) {
					x, y := dense(m, in), NewMat(m, out)
					w, _ := randWeight(d, out, in)
					ofPeak(b, flop, func() { ctx.MatMulNT(y, x, w) })
				})
				b.Run(fmt.Sprintf("NN/%dx%d/rows=%d/%s", in, out, m, d), func(b *testing.B) {
					dx, dy := NewMat(m, in), dense(m, out)
					w, _ := randWeight(d, out, in)
					ofPeak(b, flop, func() { ctx.MatMulNN(dx, dy, w) })
				})
			}
		}
	}
}

// BenchmarkLoRA is a linear with its adapter, forward and backward, taking
// turns with the same linear without: what the adapter adds, in percent of
// the base products, beside what its operations alone would.
func BenchmarkLoRA(b *testing.B) {
	for _, dim := range []int{768, 2048, 4096} {
		for _, p := range []float32{0, 0.05} {
			b.Run(fmt.Sprintf("%d/dropout=%v", dim, p), func(b *testing.B) {
				const rows, rank = 512, 16
				x, y, xa, dx, dy := dense(rows, dim), NewMat(rows, dim), dense(rows, rank), NewMat(rows, dim), dense(rows, dim)
				w, _ := randWeight(F16, dim, dim)
				f, g, df, dg := dense(rank, dim), dense(dim, rank), NewMat(rank, dim), NewMat(dim, rank)
				drop := Drop{P: p, Seeds: make([]uint64, rows)}
				timed := func(f func()) float64 {
					start := time.Now()
					f()
					return time.Since(start).Seconds()
				}
				var over []float64
				for b.Loop() {
					base := timed(func() { ctx.MatMulNT(y, x, w); ctx.MatMulNN(dx, dy, w) })
					adapted := timed(func() {
						ctx.LoRALinear(x, Adapted{Y: y, XA: xa, W: w, A: f, B: g, Scale: 2, Drop: drop})
						ctx.LoRALinearGrad(dx, x, AdaptedGrad{DY: dy, XA: xa, W: w, A: f, B: g, DA: df, DB: dg, Scale: 2, Drop: drop})
					})
					over = append(over, 100*adapted/base-100)
				}
				sort.Float64s(over)
				b.ReportMetric(over[len(over)/2], "%over")
				b.ReportMetric(100*3*rank/float64(dim), "%FLOPs")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func BenchmarkWeightGradient(b *testing.B) {
	for _, s := range [][2]int{{288, 288}, {2048, 2048}, {2048, 16}, {16, 2048}} {
		const rows = 512
		dy, x, dw := dense(rows, s[0]), dense(rows, s[1]), NewMat(s[0], s[1])
		b.Run(fmt.Sprintf("%dx%d", s[0], s[1]), func(b *testing.B) {
			for b.Loop() {
				ctx.AddMatMulTN(dw, dy, x)
			}
			gflops(b, 2*rows*float64(s[0]*s[1]))
		})
	}
}

// BenchmarkHeadLoss is head, loss and their gradient of a 15M and a 1B model.
func BenchmarkHeadLoss(b *testing.B) {
	const rows, vocab = 256, 32000
	for _, dim := range []int{288, 2048} {
		x, dx := dense(rows, dim), NewMat(rows, dim)
		for i := range x.Data {
			x.Data[i] /= 50 // logits as a model has them
		}
		w, _ := randWeight(F32, vocab, dim)
		targets, weights := make([]int32, rows), make([]float32, rows)
		b.Run(fmt.Sprintf("%dx%d/rows=%d", dim, vocab, rows), func(b *testing.B) {
			ofPeak(b, float64(4*rows*dim*vocab), func() { ctx.HeadLoss(dx, x, w, targets, weights) })
		})
	}
}
