package kernels

import (
	"fmt"
	"math"
	"testing"
	"time"
)

// gflops reports the speed of a benchmark of known work.
func gflops(b *testing.B, flop float64) {
	b.ReportMetric(flop*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkPeak multiplies one panel that stays in the first-level cache: what
// the machine's FMA units do at best, on all threads.
func BenchmarkPeak(b *testing.B) {
	mr, nr := tileSize()
	const k = 256
	Parallel(Threads(), func(_, _ int) {})
	for b.Loop() {
		Parallel(Threads(), func(_, _ int) {
			a, p, c := alignedFloats(mr*k), alignedFloats(nr*k), alignedFloats(mr*nr)
			for range 1000 {
				tile(mr, k, a, p, c, nr, nr, true)
			}
		})
	}
	gflops(b, float64(Threads())*1000*2*float64(mr*nr*k))
}

func BenchmarkMatMul(b *testing.B) {
	for _, s := range [][2]int{{288, 288}, {768, 768}, {2048, 2048}, {2048, 5632}, {4096, 4096}} {
		for _, m := range []int{64, 256, 512, 1024} {
			for _, d := range []DType{F32, F16} {
				in, out := s[0], s[1]
				x, y, w := dense(m, in), NewMat(m, out), Weight{}
				w, _ = randWeight(d, out, in)
				b.Run(fmt.Sprintf("NT/%dx%d/rows=%d/%s", in, out, m, d), func(b *testing.B) {
					for b.Loop() {
						MatMulNT(y, x, w)
					}
					gflops(b, 2*float64(m*in*out))
				})
				b.Run(fmt.Sprintf("NN/%dx%d/rows=%d/%s", in, out, m, d), func(b *testing.B) {
					for b.Loop() {
						MatMulNN(x, y, w)
					}
					gflops(b, 2*float64(m*in*out))
				})
			}
		}
	}
}

func BenchmarkAttention(b *testing.B) {
	for _, n := range []int{128, 512, 1024} {
		for _, hd := range []int{64, 128} {
			const heads = 8
			q, k, v, o, do := dense(n, heads*hd), dense(n, heads*hd), dense(n, heads*hd), NewMat(n, heads*hd), dense(n, heads*hd)
			dq, dk, dv, lse := NewMat(n, heads*hd), NewMat(n, heads*hd), NewMat(n, heads*hd), NewMat(n, heads)
			scale := float32(1 / math.Sqrt(float64(hd)))
			flop := 2 * 2 * float64(n*n/2) * float64(heads*hd)
			b.Run(fmt.Sprintf("forward/tokens=%d/head=%d", n, hd), func(b *testing.B) {
				for b.Loop() {
					Attention(o, lse, q, k, v, []int32{0}, nil, heads, heads, scale)
				}
				gflops(b, flop)
			})
			b.Run(fmt.Sprintf("backward/tokens=%d/head=%d", n, hd), func(b *testing.B) {
				for b.Loop() {
					AttentionGrad(dq, dk, dv, do, q, k, v, o, lse, []int32{0}, nil, heads, heads, scale)
				}
				gflops(b, 2.5*flop)
			})
		}
	}
}

func BenchmarkElementwise(b *testing.B) {
	const rows, cols = 512, 5632
	x, y, z, u := dense(rows, cols), NewMat(rows, cols), dense(rows, cols), NewMat(rows, cols)
	w, rstd := make([]float32, cols), make([]float32, rows)
	keys := make([]uint64, rows)
	for _, c := range []struct {
		name  string
		moves int
		f     func()
	}{
		{"SwiGLU", 3, func() { SwiGLU(y, x, z) }},
		{"SwiGLUGrad", 5, func() { SwiGLUGrad(y, u, x, z, x) }},
		{"RMSNorm", 2, func() { RMSNorm(y, rstd, x, w, 1e-5) }},
		{"RMSNormGrad", 3, func() { RMSNormGrad(y, z, x, rstd, w) }},
		{"Add", 3, func() { Add(y, x, z) }},
		{"Dropout", 2, func() { Dropout(y, x, Drop{P: 0.05, Keys: keys}) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				c.f()
			}
			b.ReportMetric(float64(b.N)*float64(c.moves)*rows*cols*4/time.Duration(b.Elapsed()).Seconds()/1e9, "GB/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}
