package kernels

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"testing"

	"lorac/kernels/simd"
)

// The plain twins of the kernels: obviously right, in f64.

func refProduct(m, n, k int, a, b func(i, k int) float64) [][]float64 {
	out := make([][]float64, m)
	for i := range out {
		out[i] = make([]float64, n)
		for j := range out[i] {
			for q := range k {
				out[i][j] += a(i, q) * b(j, q)
			}
		}
	}
	return out
}

func at(m Mat) func(i, j int) float64 { return func(i, j int) float64 { return float64(m.Row(i)[j]) } }
func at2(m Mat) func(i, j int) float64 {
	return func(i, j int) float64 { return float64(m.Row(j)[i]) }
}

var rng = rand.New(rand.NewPCG(1, 2))

// randMat is a matrix with a gap after each row and an odd start.
func randMat(rows, cols int) Mat {
	stride := cols + 3
	data := make([]float32, rows*stride+1)
	for i := range data {
		data[i] = rng.Float32()*2 - 1
	}
	return Mat{data[1:], rows, cols, stride}
}

func dense(rows, cols int) Mat {
	m := NewMat(rows, cols)
	for i := range m.Data {
		m.Data[i] = rng.Float32()*2 - 1
	}
	return m
}

// randWeight makes a weight of a stored type and its values.
func randWeight(d DType, rows, cols int) (Weight, Mat) {
	b := make([]byte, rows*cols*d.Size())
	for i := 0; i < rows*cols; i++ {
		switch bits := math.Float32bits(rng.Float32()*2 - 1); d {
		case F32:
			for k := range 4 {
				b[4*i+k] = byte(bits >> (8 * k))
			}
		case BF16:
			b[2*i], b[2*i+1] = byte(bits>>16), byte(bits>>24)
		case F16:
			b[2*i], b[2*i+1] = byte(rng.UintN(256)), byte(rng.UintN(2)<<7|rng.UintN(60))
		}
	}
	w, err := WeightFromBytes(b, d, rows, cols)
	if err != nil {
		panic(err)
	}
	return w, MatOf(w.Float32s(), rows, cols)
}

func near(t *testing.T, what string, got Mat, want [][]float64, tol float64) {
	t.Helper()
	for i := range want {
		for j, w := range want[i] {
			if g := float64(got.Row(i)[j]); math.Abs(g-w) > tol*(1+math.Abs(w)) || math.IsNaN(g) {
				t.Fatalf("%s: element (%d, %d) is %v, its twin says %v", what, i, j, g, w)
			}
		}
	}
}

// ctx is what the tests run kernels in.
var ctx = New(0)

// emulated reports whether this is the short run for arm64: an emulator takes a hundred
// times as long, so what is repeated runs once.
func emulated() bool { return testing.Short() && runtime.GOARCH == "arm64" }

// setThreads makes ctx another one, of so many threads.
func setThreads(n int) {
	next := New(n)
	next.MappedFault = ctx.MappedFault
	ctx.Close()
	ctx = next
}

// setCPU picks the instruction sets the kernels use; NEON takes eight f32 at a time.
func setCPU(a512, a8 bool) {
	has512, has8 = a512, a8
	hasNEON = a8 && simd.NEON
	hasDot = a8 && simd.DotProduct
}

// paths runs a test on every instruction set of this machine and on 1 to 3 threads.
func paths(t *testing.T, f func(t *testing.T)) {
	was512, was8, threads := has512, has8, ctx.Threads()
	defer func() { setCPU(was512, was8); setThreads(threads) }()
	for _, p := range []struct {
		name          string
		a512, a8, dot bool
	}{{"avx512", true, true, false}, {"dot", false, true, true}, {"eight", false, true, false}, {"go", false, false, false}} {
		if p.a512 && !was512 || p.a8 && !was8 || p.dot && !simd.DotProduct {
			continue
		}
		for _, n := range []int{1, 3} {
			setCPU(p.a512, p.a8)
			hasDot = p.dot
			setThreads(n)
			t.Run(fmt.Sprintf("%s/threads=%d", p.name, n), f)
		}
	}
}
