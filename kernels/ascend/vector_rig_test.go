package ascend_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"lorac/ir"
	_ "lorac/ir/op"
	"lorac/kernels/ascend/ascendtest"
	"lorac/runtime/device"
)

// lowType is one of the two 16-bit types of activations.
type lowType struct {
	name             string
	mantissa, lowest int // bits after the point, exponent of the smallest normal number
	largest          float64
}

var lowTypes = []lowType{{"bf16", 7, -126, 0x1.fep127}, {"f16", 10, -14, 65504}}

// ulp is the distance between numbers of the type around x.
func (l lowType) ulp(x float64) float64 {
	_, e := math.Frexp(x)
	if x == 0 {
		e = l.lowest
	}
	return math.Ldexp(1, max(e-1, l.lowest)-l.mantissa)
}

func (l lowType) round(x float64) float64 {
	u := l.ulp(x)
	return max(-l.largest, min(l.largest, math.RoundToEven(x/u)*u))
}

func (l lowType) bits(x float64) uint16 {
	if l.name == "bf16" {
		return uint16(math.Float32bits(float32(l.round(x))) >> 16)
	}
	s := uint16(0)
	if math.Signbit(x) {
		s = 1 << 15
	}
	x = math.Abs(l.round(x))
	if x < 0x1p-14 {
		return s | uint16(x*0x1p24)
	}
	f, e := math.Frexp(x)
	return s | uint16(e+14)<<10 | uint16((f*2-1)*1024)
}

func (l lowType) value(b uint16) float64 {
	if l.name == "bf16" {
		return float64(math.Float32frombits(uint32(b) << 16))
	}
	s, e, m := 1.0, int(b>>10&31), float64(b&1023)
	if b>>15 != 0 {
		s = -1
	}
	switch e {
	case 0:
		return s * m * 0x1p-24
	case 31:
		if m != 0 {
			return math.NaN()
		}
		return s * math.Inf(1)
	}
	return s * math.Ldexp(1+m/1024, e-15)
}

// rig runs kernels of the vector cores on arrays of float64.
type rig struct {
	t *testing.T
	d *device.Device
}

func newRig(t *testing.T) *rig { return &rig{t, ascendtest.Open(t)} }

func (r *rig) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Fatal(err)
	}
}

// raw puts bytes on the device until the test ends.
func (r *rig) raw(data []byte) device.Ptr {
	r.t.Helper()
	p, err := r.d.Alloc(max(len(data), 1))
	r.ok(err)
	r.ok(r.d.Upload(p, data))
	return p
}

// garbage is memory for a result; what it holds are no numbers.
func (r *rig) garbage(n int) device.Ptr { return r.raw(bytes.Repeat([]byte{0xff}, n)) }

func (r *rig) read(p device.Ptr, n int) []byte {
	r.t.Helper()
	b := make([]byte, n)
	r.ok(r.d.Download(b, p))
	return b
}

func (r *rig) low(l lowType, xs []float64) device.Ptr {
	b := make([]byte, 0, 2*len(xs))
	for _, x := range xs {
		b = binary.LittleEndian.AppendUint16(b, l.bits(x))
	}
	return r.raw(b)
}

func (r *rig) f32(xs []float64) device.Ptr {
	b := make([]byte, 0, 4*len(xs))
	for _, x := range xs {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(x)))
	}
	return r.raw(b)
}

func (r *rig) i32(xs []int) device.Ptr {
	b := make([]byte, 0, 4*len(xs))
	for _, x := range xs {
		b = binary.LittleEndian.AppendUint32(b, uint32(int32(x)))
	}
	return r.raw(b)
}

func (l lowType) values(b []byte) []float64 {
	out := make([]float64, len(b)/2)
	for i := range out {
		out[i] = l.value(binary.LittleEndian.Uint16(b[2*i:]))
	}
	return out
}

func f32Values(b []byte) []float64 {
	out := make([]float64, len(b)/4)
	for i := range out {
		out[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:])))
	}
	return out
}

// result is memory that a kernel writes.
type result struct {
	ptr device.Ptr
	n   int // bytes
}

func (r *rig) result(n int) result { return result{r.garbage(n), n} }

// run launches a kernel on each number of blocks, expects the same bits, and returns
// what the results hold.
func (r *rig) run(name string, blocks []int, outs []result, args ...any) [][]byte {
	r.t.Helper()
	var first [][]byte
	for _, b := range blocks {
		for _, o := range outs {
			r.ok(r.d.Upload(o.ptr, bytes.Repeat([]byte{0xff}, o.n)))
		}
		r.ok(r.d.Launch(name, b, args...))
		r.ok(r.d.Sync())
		var got [][]byte
		for _, o := range outs {
			got = append(got, r.read(o.ptr, o.n))
		}
		for i := range first {
			if !bytes.Equal(first[i], got[i]) {
				r.t.Fatalf("%s: result %d differs between %d and %d blocks", name, i, blocks[0], b)
			}
		}
		if first == nil {
			first = got
		}
	}
	return first
}

// random gives n numbers of the type; some rows are extreme: zeros, ±1e4, denormals.
func (l lowType) random(seed uint64, rows, cols int) []float64 {
	rng := rand.New(rand.NewPCG(seed, uint64(rows*cols)))
	out := make([]float64, rows*cols)
	for i := range out {
		x := rng.NormFloat64()
		switch row := i / cols; {
		case row%7 == 3:
			x = 0
		case row%7 == 4:
			x = math.Copysign(1e4, x)
		case row%7 == 5:
			x *= math.Ldexp(1, l.lowest-2)
		}
		out[i] = l.round(x)
	}
	return out
}

func normals(seed uint64, n int, scale float64) []float64 {
	rng := rand.New(rand.NewPCG(seed, uint64(n)))
	out := make([]float64, n)
	for i := range out {
		out[i] = float64(float32(rng.NormFloat64() * scale))
	}
	return out
}

// within compares with what float64 gives: at most units of the last place of the
// type, and slack besides for what cancels.
func (l lowType) within(t *testing.T, what string, got, want []float64, units float64, slack func(i int) float64) {
	t.Helper()
	worst := 0.0
	for i, w := range want {
		e := math.Abs(got[i] - w)
		if slack != nil {
			e = max(0, e-slack(i))
		}
		if e = e / l.ulp(w); !(e <= units) {
			t.Fatalf("%s[%d] = %v, float64 gives %v: %.3g units of %s", what, i, got[i], w, e, l.name)
		}
		worst = max(worst, e)
	}
	if testing.Verbose() {
		t.Logf("%s: %.3f units of %s", what, worst, l.name)
	}
}

// near compares f32 results relative to scale.
func near(t *testing.T, what string, got, want []float64, rel float64, scale func(i int) float64) {
	t.Helper()
	for i, w := range want {
		s := math.Abs(w)
		if scale != nil {
			s = scale(i)
		}
		if e := math.Abs(got[i] - w); !(e <= rel*s+1e-45) {
			t.Fatalf("%s[%d] = %v, float64 gives %v: off by %.3g of %.3g", what, i, got[i], w, e, s)
		}
	}
}

func empty(rows, cols int) *ir.Array { return matrix(rows, cols, make([]float64, rows*cols)) }

func vector(f []float64) *ir.Array { return &ir.Array{Shape: []int{len(f)}, F: f} }

func integers(xs []int) *ir.Array {
	a := &ir.Array{Shape: []int{len(xs)}}
	for _, x := range xs {
		a.I = append(a.I, int64(x))
	}
	return a
}

// evaluate runs the float64 evaluator of an op.
func evaluate(op string, attrs ir.Attrs, out []*ir.Array, in ...*ir.Array) {
	ir.Lookup(op).Eval(&ir.EvalCtx{S: &ir.Stmt{Op: ir.Lookup(op), Args: make([]ir.Operand, len(in)), Attrs: attrs}, In: in, Out: out})
}

// each runs a test for both types and some shapes.
func each(t *testing.T, shapes [][2]int, test func(r *rig, l lowType, rows, cols int)) {
	for _, l := range lowTypes {
		for _, s := range shapes {
			t.Run(fmt.Sprintf("%s/%dx%d", l.name, s[0], s[1]), func(t *testing.T) { test(newRig(t), l, s[0], s[1]) })
		}
	}
}
