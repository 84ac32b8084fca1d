package kernels

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"testing"

	"lorac/cmd/test/testkit"
)

var quantTypes = []DType{Q8_0, Q4_0, Q4_1, Q4_K, Q6_K}

// randQuant makes a quantised weight of random bits, with small scales, and its values as GGML's reference code reads them.
func randQuant(d DType, rows, cols int) (Weight, Mat) {
	elems, size := d.block()
	b := make([]byte, rows*cols/elems*size)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	most := float32(0.02)
	if d == Q6_K {
		most = 2e-4 // times scales of up to 128
	}
	half := func(at int) { binary.LittleEndian.PutUint16(b[at:], ToHalf((rng.Float32()-0.5)*most)) }
	for at := 0; at < len(b); at += size {
		switch d {
		case Q8_0, Q4_0:
			half(at)
		case Q4_1, Q4_K:
			half(at)
			half(at + 2)
		case Q6_K:
			half(at + 208)
		}
	}
	w, err := WeightFromBytes(b, d, rows, cols)
	if err != nil {
		panic(err)
	}
	values := NewMat(rows, cols)
	for i := 0; i < rows*cols; i += elems {
		copy(values.Data[i:i+elems], ggmlBlock(d, b[i/elems*size:][:size]))
	}
	return w, values
}

// ggmlBlock reads one block in the order of ggml-quants.c (dequantize_row_*):
// pointers walk over the block, as they do there.
func ggmlBlock(d DType, b []byte) []float32 {
	half := func(at int) float32 { return Half(binary.LittleEndian.Uint16(b[at:])) }
	var y []float32
	switch d {
	case Q8_0:
		for _, q := range b[2:] {
			y = append(y, float32(int8(q))*half(0))
		}
	case Q4_0:
		y = make([]float32, 32)
		for j, q := range b[2:] {
			y[j] = float32(int(q&0x0F)-8) * half(0)
			y[j+16] = float32(int(q>>4)-8) * half(0)
		}
	case Q4_1:
		y = make([]float32, 32)
		for j, q := range b[4:] {
			y[j] = float32(float32(q&0x0F)*half(0)) + half(2)
			y[j+16] = float32(float32(q>>4)*half(0)) + half(2)
		}
	case Q4_K:
		scales, q := b[4:16], b[16:]
		k4 := func(j int) (s, m byte) {
			if j < 4 {
				return scales[j] & 63, scales[j+4] & 63
			}
			return scales[j+4]&0xF | (scales[j-4]>>6)<<4, scales[j+4]>>4 | (scales[j]>>6)<<4
		}
		for is := 0; is < 8; is += 2 {
			s1, m1 := k4(is)
			s2, m2 := k4(is + 1)
			for l := range 32 {
				y = append(y, float32(half(0)*float32(s1)*float32(q[l]&0xF))-float32(half(2)*float32(m1)))
			}
			for l := range 32 {
				y = append(y, float32(half(0)*float32(s2)*float32(q[l]>>4))-float32(half(2)*float32(m2)))
			}
			q = q[32:]
		}
	case Q6_K:
		y = make([]float32, 256)
		ql, qh, sc, out := b[:128], b[128:192], b[192:208], y
		for range 2 {
			for l := range 32 {
				is := l / 16
				q1 := int(ql[l]&0xF|(qh[l]>>0&3)<<4) - 32
				q2 := int(ql[l+32]&0xF|(qh[l]>>2&3)<<4) - 32
				q3 := int(ql[l]>>4|(qh[l]>>4&3)<<4) - 32
				q4 := int(ql[l+32]>>4|(qh[l]>>6&3)<<4) - 32
				for i, q := range []int{q1, q2, q3, q4} {
					out[l+32*i] = half(208) * float32(int8(sc[is+2*i])) * float32(q)
				}
			}
			ql, qh, sc, out = ql[64:], qh[32:], sc[8:], out[128:]
		}
	}
	return y
}

// Every element is the one GGML reads, wherever a piece of a row begins.
func TestQuantisedElements(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, d := range quantTypes {
			w, values := randQuant(d, 3, 512)
			for i := range 3 {
				for _, span := range [][2]int{{0, 512}, {1, 511}, {31, 33}, {32, 64}, {7, 9}, {100, 411}, {255, 257}, {300, 300}} {
					got := make([]float32, span[1]-span[0])
					w.row(got, i, span[0])
					nearVec(t, fmt.Sprint(d, span), got, 0, func(j int) float64 { return float64(values.Row(i)[span[0]+j]) })
				}
			}
			y := NewMat(4, 512)
			ctx.Embed(y, []int32{2, 0, 2, 1}, w)
			nearFunc(t, "embedding", y, 0, func(i, j int) float64 { return float64(values.Row([]int{2, 0, 2, 1}[i])[j]) })
		}
	})
}

// Scales may be denormal, infinite or NaN.
func TestQuantisedEdges(t *testing.T) {
	for _, d := range quantTypes {
		elems, size := d.block()
		for _, h := range []uint16{0, 1, 0x8001, 0x03FF, 0x0400, 0x7BFF, 0x7C00, 0xFC00, 0x7E01} {
			b := make([]byte, size)
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			at := map[DType]int{Q6_K: 208}[d]
			binary.LittleEndian.PutUint16(b[at:], h)
			w, err := WeightFromBytes(b, d, 1, elems)
			if err != nil {
				t.Fatal(err)
			}
			got, want := w.Float32s(), ggmlBlock(d, b)
			for i := range got {
				g, w := math.Float32bits(got[i]), math.Float32bits(want[i])
				if g != w && !(got[i] != got[i] && want[i] != want[i]) {
					t.Fatalf("%s, scale %#x: element %d is %v, not %v", d, h, i, got[i], want[i])
				}
			}
		}
	}
}

// Products against f64, at sizes around every edge, both ways.
func TestQuantisedProducts(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, d := range quantTypes {
			elems, _ := d.block()
			for _, in := range []int{elems, 2 * elems, 9 * elems} {
				for i, out := range []int{1, 15, 17, 32, 33, 70} {
					if (i+in/elems)%2 == 0 && !testkit.Wanted("sizes") {
						continue
					}
					w, values := randQuant(d, out, in)
					for _, m := range []int{1, 13, 15} {
						x, y := randMat(m, in), randMat(m, out)
						ctx.MatMulNT(y, x, w)
						near(t, fmt.Sprint("x·wᵀ ", d, m, in, out), y, refProduct(m, out, in, at(x), at(values)), 1e-4)
						dx, dy := randMat(m, in), randMat(m, out)
						ctx.MatMulNN(dx, dy, w)
						near(t, fmt.Sprint("dy·w ", d, m, in, out), dx, refProduct(m, in, out, at(dy), at2(values)), 1e-4)
					}
				}
			}
		}
	})
}

// A weight whose heads hold pairs of rows side by side is the same matrix.
func TestPairedRows(t *testing.T) {
	paths(t, func(t *testing.T) {
		const headDim, heads, in = 8, 5, 256
		for _, d := range append([]DType{F32, F16, BF16}, quantTypes...) {
			var w Weight
			var values Mat
			if d.Quantised() {
				w, values = randQuant(d, heads*headDim, in)
			} else {
				w, values = randWeight(d, heads*headDim, in)
			}
			order := []int{0, 2, 4, 6, 1, 3, 5, 7} // row j of a head, j+4 beside it
			want := NewMat(heads*headDim, in)
			for i := range want.Rows {
				copy(want.Row(i), values.Row(i/headDim*headDim+order[i%headDim]))
			}
			w = w.Paired(headDim)
			nearVec(t, d.String(), w.Float32s(), 0, func(i int) float64 { return float64(want.Data[i]) })
			x, y := randMat(5, in), randMat(5, want.Rows)
			ctx.MatMulNT(y, x, w)
			near(t, d.String(), y, refProduct(5, want.Rows, in, at(x), at(want)), 1e-4)
			dx, dy := randMat(5, in), randMat(5, want.Rows)
			ctx.MatMulNN(dx, dy, w)
			near(t, d.String(), dx, refProduct(5, in, want.Rows, at(dy), at2(want)), 1e-4)
		}
	})
}

func TestQuantisedBitsByThreads(t *testing.T) {
	defer setThreads(ctx.Threads())
	w, _ := randQuant(Q4_K, 200, 512)
	x, dy := dense(40, 512), dense(40, 200)
	run := func(n int) []uint32 {
		setThreads(n)
		y, dx := NewMat(40, 200), NewMat(40, 512)
		ctx.MatMulNT(y, x, w)
		ctx.MatMulNN(dx, dy, w)
		return bits([]Mat{y, dx})
	}
	want := run(1)
	for _, n := range []int{2, 3, 7} {
		sameBits(t, fmt.Sprint(n, " threads"), run(n), want)
	}
}

// What Quantise writes is within half a step of x and the error of the scale, and in four bits no worse
// than GGML's reference quantisation.
func TestQuantise(t *testing.T) {
	for _, scale := range []float32{1, 1e-3, 500} {
		x := dense(7, 320)
		for i := range x.Data {
			x.Data[i] *= scale * x.Data[i] * x.Data[i] // more small ones than large ones
		}
		clear(x.Data[64:96])
		for _, d := range []DType{Q8_0, Q4_0, Q4_1} {
			b := make([]byte, 7*d.RowBytes(320))
			if err := ctx.Quantise(b, x, d); err != nil {
				t.Fatal(err)
			}
			w, err := WeightFromBytes(b, d, 7, 320)
			if err != nil {
				t.Fatal(err)
			}
			got, sum, simple := w.Float32s(), 0.0, 0.0
			for i := 0; i < len(got); i += 32 {
				block := x.Data[i : i+32]
				end, low, high := 0.0, math.Inf(1), math.Inf(-1)
				for _, v := range block {
					if v := float64(v); math.Abs(v) > math.Abs(end) {
						end = v
					}
					low, high = math.Min(low, float64(v)), math.Max(high, float64(v))
				}
				for j, v := range block {
					v, e := float64(v), float64(v)-float64(got[i+j])
					switch step := math.Abs(end) / 127; {
					case d == Q8_0 && math.Abs(e) > 0.51*step+127*step/2048+127*0x1p-25:
						t.Fatalf("%s: %v became %v", d, v, got[i+j])
					case d == Q4_0 && end != 0:
						step := float64(Half(ToHalf(float32(end / -8))))
						v -= step * math.Max(-8, math.Min(7, math.Round(v/step)))
					case d == Q4_1 && high > low:
						step := float64(Half(ToHalf(float32((high - low) / 15))))
						v -= step*math.Round((v-low)/step) + low
					}
					sum += e * e
					simple += v * v
				}
			}
			if sum > simple || sum == 0 {
				t.Errorf("%s: squared error %g, GGML's %g", d, sum, simple)
			}
			t.Logf("%s: squared error %.3g of GGML's simple way", d, sum/simple)
		}
	}
	for _, v := range []float32{float32(math.Inf(1)), nan, -1e6} {
		x := dense(2, 32)
		x.Row(1)[5] = v
		if err := ctx.Quantise(make([]byte, 2*34), x, Q8_0); err == nil {
			t.Errorf("%v was quantised", v)
		}
	}
}

// The same blocks are written whatever the processor, also where a scale is
// none: blocks of zeros, of denormals, of one sign, of one number.
func TestQuantiseBitsByProcessor(t *testing.T) {
	x := dense(40, 320)
	for i := range x.Data {
		switch i / 32 % 8 {
		case 0:
			x.Data[i] = 0
		case 1:
			x.Data[i] *= 1e-44
		case 2:
			x.Data[i] = float32(math.Abs(float64(x.Data[i])))
		case 3:
			x.Data[i] = float32(i / 32)
		case 4:
			x.Data[i] = float32(i%32) / 7
		}
	}
	want := map[DType][]byte{}
	paths(t, func(t *testing.T) {
		for _, d := range []DType{Q8_0, Q4_0, Q4_1} {
			b := make([]byte, 40*d.RowBytes(320))
			if err := ctx.Quantise(b, x, d); err != nil {
				t.Fatal(err)
			}
			if want[d] == nil {
				want[d] = b
			} else if !bytes.Equal(b, want[d]) {
				t.Errorf("%s: other bytes than on the first processor", d)
			}
		}
	})
}
