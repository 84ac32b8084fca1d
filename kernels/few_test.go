package kernels

import (
	"fmt"
	"math"
	"testing"

	"lorac/kernels/simd"
)

// anyWeight is a weight of any stored type and what it holds.
func anyWeight(d DType, rows, cols int) (Weight, Mat) {
	if d.Quantised() {
		return randQuant(d, rows, cols)
	}
	return randWeight(d, rows, cols)
}

// Products of few rows are those of float64, to the rounding of x where it has 16
// bits, for every stored type and odd sizes, with adapters and rows in rotary pairs.
func TestFewRows(t *testing.T) {
	ctx.Few(true)
	defer func() { ctx.Few(false) }()
	paths(t, func(t *testing.T) {
		ctx.Few(true)
		for d := F32; d < I8; d++ {
			for _, cols := range []int{7, 16, 40, 256, 768} {
				if elems, _ := d.block(); cols%elems != 0 {
					continue
				}
				for _, rows := range []int{1, 3, 6, 32} {
					w, values := anyWeight(d, 48, cols)
					x, y := randMat(rows, cols), dense(rows, 48)
					base := MatOf(append([]float32(nil), y.Data...), rows, 48)
					sums, mosts := NewMat(rows, 48), NewMat(rows, 48) // of the stored rows
					for i := range rows {
						for j := range 48 {
							s, most := 0.0, 0.0
							for q, e := range x.Row(i) {
								v := float64(values.Row(j)[q])
								s, most = s+float64(e)*v, most+math.Abs(float64(e)*v)
								if d.inHalves() {
									most += 60 * math.Abs(v) // of 2^-15 of the largest x
								}
							}
							sums.Row(i)[j], mosts.Row(i)[j] = float32(s), float32(most)
						}
					}
					for _, pairs := range []int{0, 8} {
						v, at := w, func(j int) int { return j }
						if pairs > 0 {
							v = w.Paired(pairs)
							at = func(j int) int { r := j % 8; return j - r + 2*(r%4) + r/4 }
						}
						judge := func(what string, y Mat, tol float64, plus func(i, j int) float64) {
							t.Helper()
							for i := range rows {
								for j, g := range y.Row(i) {
									s, most := float64(sums.Row(i)[at(j)]), float64(mosts.Row(i)[at(j)])
									if diff := math.Abs(float64(g) - s - plus(i, j)); !(diff <= tol*(most+1)) {
										t.Fatalf("%s %v %dx%d, %d rows, pairs of %d: %v, want %v", what, d, 48, cols, rows, pairs, g, s+plus(i, j))
									}
								}
							}
						}
						ctx.MatMulNT(y, x, v)
						judge("product", y, 2e-6, func(i, j int) float64 { return 0 })
						copy(y.Data, base.Data)
						ctx.AddMatMulNT(y, x, v)
						judge("sum", y, 2e-6, func(i, j int) float64 { return float64(base.Row(i)[j]) })
						for _, rank := range []int{3, 16, 20} {
							a, b, xa, bias := dense(rank, cols), dense(48, rank), NewMat(rows, rank), dense(1, 48).Data
							if rank == 3 {
								bias = nil
							}
							ctx.LoRALinear(x, Adapted{Y: y, XA: xa, W: v, Bias: bias, A: a, B: b, Scale: 0.5})
							nearFunc(t, "projection", xa, 4e-5, func(i, k int) (s float64) {
								for q, e := range x.Row(i) {
									s += float64(e) * float64(a.Row(k)[q])
								}
								return s
							})
							judge("adapter", y, 1e-5, func(i, j int) (s float64) {
								if bias != nil {
									s = float64(bias[j])
								}
								for k, e := range xa.Row(i) {
									s += 0.5 * float64(e) * float64(b.Row(j)[k])
								}
								return s
							})
						}
					}
				}
			}
		}
	})
}

// A result does not depend on how many rows x has, nor on the threads.
func TestFewRowsAlone(t *testing.T) {
	paths(t, func(t *testing.T) {
		ctx.Few(true)
		defer ctx.Few(false)
		for d := F32; d < I8; d++ {
			w, _ := anyWeight(d, 96, 768)
			x, y, one := randMat(13, 768), NewMat(13, 96), NewMat(1, 96)
			a, b, xa := dense(8, 768), dense(96, 8), NewMat(13, 8)
			ctx.LoRALinear(x, Adapted{Y: y, XA: xa, W: w, A: a, B: b, Scale: 2})
			for i := range 13 {
				ctx.LoRALinear(x.Slice(i, i+1), Adapted{Y: one, XA: xa.Slice(i, i+1), W: w, A: a, B: b, Scale: 2})
				for j, g := range one.Row(0) {
					if g != y.Row(i)[j] {
						t.Fatalf("%v: row %d alone is %v, with others %v", d, i, g, y.Row(i)[j])
					}
				}
			}
		}
	})
}

// A number that is not finite reaches the result.
func TestFewRowsNotFinite(t *testing.T) {
	paths(t, func(t *testing.T) {
		ctx.Few(true)
		defer ctx.Few(false)
		for d := F32; d < I8; d++ {
			for _, v := range []float64{math.NaN(), math.Inf(1)} {
				w, _ := anyWeight(d, 8, 256)
				x, y := randMat(1, 256), NewMat(1, 8)
				x.Data[77] = float32(v)
				ctx.MatMulNT(y, x, w)
				for j, g := range y.Row(0) {
					if g-g == 0 {
						t.Fatalf("%v of %v: element %d is %v", d, v, j, g)
					}
				}
			}
		}
	})
}

// Of x, 16 bits: every number is within half a unit, at most 32767 of them. The scale is
// rounded, which moves the largest numbers by up to 0.004 units.
func TestFewHalves(t *testing.T) {
	if !has8 {
		t.Skip("neither AVX2 nor NEON")
	}
	x := dense(1, 96)
	copy(x.Data[32:], []float32{0, 1e-42, -3e-43}) // a block that is nearly zero
	clear(x.Data[35:64])
	f := fewX{Mat: x}
	f.round(ctx, []fewPart{{w: Weight{DType: Q4_K}}})
	b := bytesOf(f.halves)
	for i, v := range x.Data {
		block := b[i/32*fewHalves:]
		s := floatsOf(block[96:128])
		at := i%2*32 + i%32/2*2 // even places, then odd ones
		n := int(int16(uint16(block[at]) | uint16(block[at+1])<<8))
		if !simd.HalvesInWords {
			n = 256*int(int8(block[i%32])) + int(int8(block[32+i%32]))
		}
		if diff := math.Abs(float64(v) - float64(s[0])*float64(n)); diff > 0.504*float64(s[7])+1e-38 || n > 32767 || n < -32767 {
			t.Fatal(fmt.Sprint("element ", i, " is ", n, " times ", s[0], ", want ", v))
		}
	}
}
