package kernels

import (
	"math"
	"testing"
	"unsafe"
)

func TestWeightFromBytesRefuses(t *testing.T) {
	for _, c := range []struct {
		bytes, rows, cols int
		d                 DType
	}{
		{15, 2, 2, F32}, {17, 2, 2, F32}, {7, 2, 2, F16}, {16, 2, 2, BF16}, {0, 1, 1, F32},
		{4, -1, -1, F32}, {16, -2, -2, F32}, {0, -1, 0, F32},
		// Products that overflow to what is there.
		{0, 1 << 62, 4, F32}, {0, 1 << 32, 1 << 32, F16}, {8, 1<<61 + 1, 2, F32},
	} {
		if w, err := WeightFromBytes(make([]byte, c.bytes), c.d, c.rows, c.cols); err == nil {
			t.Errorf("%d bytes were taken for %s", c.bytes, w)
		}
	}
	if w, err := WeightFromBytes(nil, F16, 0, 5); err != nil || len(w.Float32s()) != 0 {
		t.Errorf("a matrix without rows: %v, %v", w, err)
	}
}

// A checkpoint may put a tensor at any byte.
func TestWeightAtAnyByte(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, d := range []DType{F32, F16, BF16} {
			aligned, values := randWeight(d, 5, 37)
			for off := range 9 {
				b := make([]byte, off+len(aligned.keep))
				copy(b[off:], aligned.keep)
				w, err := WeightFromBytes(b[off:], d, 5, 37)
				if err != nil {
					t.Fatal(err)
				}
				if anyAddress && w.ptr != unsafe.Pointer(&b[off]) {
					t.Errorf("%s at byte %d is copied", d, off)
				}
				nearVec(t, d.String(), w.Float32s(), 0, func(i int) float64 { return float64(values.Data[i]) })
				x, y, want := dense(3, 37), NewMat(3, 5), NewMat(3, 5)
				ctx.MatMulNT(y, x, w)
				ctx.MatMulNT(want, x, aligned)
				nearFunc(t, "product with bytes at an odd address", y, 0, at(want))
				x, y, want = dense(3, 5), NewMat(3, 37), NewMat(3, 37)
				ctx.AddMatMulNN(y, x, w)
				ctx.AddMatMulNN(want, x, aligned)
				nearFunc(t, "backward product with bytes at an odd address", y, 0, at(want))
			}
		}
	})
}

// Every half there is, in every position of a vector, by assembly and Go alike.
func TestEveryHalf(t *testing.T) {
	src := make([]uint16, 1<<16)
	for i := range src {
		src[i] = uint16(i)
	}
	// The value by its definition, sign·2^(exp−15)·1.frac, in f64.
	half := func(h uint16) float64 {
		exp, frac := int(h>>10&31), float64(h&1023)/1024
		v := math.Ldexp(1+frac, exp-15)
		switch {
		case exp == 0:
			v = math.Ldexp(frac, -14)
		case exp == 31 && frac == 0:
			v = math.Inf(1)
		case exp == 31:
			v = math.NaN()
		}
		if h>>15 == 1 {
			v = -v
		}
		return v
	}
	paths(t, func(t *testing.T) {
		f, b := make([]float32, len(src)), make([]float32, len(src))
		cvtF16(f, src)
		cvtBF16(b, src)
		for i, h := range src {
			if want := half(h); float64(f[i]) != want && !(math.IsNaN(want) && f[i] != f[i]) {
				t.Fatalf("f16 %04x is %v, want %v", h, f[i], want)
			}
			if want := math.Float32frombits(uint32(h) << 16); math.Float32bits(b[i]) != math.Float32bits(want) && want == want {
				t.Fatalf("bf16 %04x is %v, want %v", h, b[i], want)
			}
		}
		if math.Signbit(float64(f[0x8000])) != true {
			t.Error("f16 -0 lost its sign")
		}
		for n := range 40 { // tails: nothing is written after them
			dst := make([]float32, n+1)
			dst[n] = 7
			cvtF16(dst[:n], src[0x3C00:0x3C00+n])
			cvtBF16(dst[:n], src[0x3F80:0x3F80+n])
			if dst[n] != 7 || n > 0 && dst[0] != 1 {
				t.Fatalf("%d halves: %v", n, dst)
			}
		}
	})
}

// The widest and the narrowest weights are packed right at their last rows.
func TestPackedColumnsAtTheEnd(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, d := range []DType{F32, F16, BF16} {
			for _, cols := range []int{32, 33, 63, 64} {
				w, wm := randWeight(d, 300, cols)
				dy, dx := randMat(2, 300), randMat(2, cols)
				ctx.MatMulNN(dx, dy, w)
				near(t, "dx", dx, refProduct(2, cols, 300, at(dy), at2(wm)), 1e-4)
			}
		}
	})
}

// A type has one name, in files and in print; what is only computed has none.
func TestDTypeNamed(t *testing.T) {
	for d := F32; d <= I8; d++ {
		if got, ok := DTypeNamed(d.String()); ok != (d != I8) || ok && got != d {
			t.Errorf("%v: %v, %v", d, got, ok)
		}
	}
	if d, ok := DTypeNamed("F64"); ok {
		t.Errorf("F64 is read as %v", d)
	}
}
