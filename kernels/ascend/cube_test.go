package ascend_test

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"lorac/runtime/device"
)

// cubeType is a 16-bit type: its name in kernels, bits of its fraction, and the exponent
// of its smallest number.
type cubeType struct {
	name string
	frac int
	tiny int
}

var cubeBF16, cubeF16 = cubeType{"bf16", 7, -133}, cubeType{"f16", 10, -24}

// unit is one in the last place of v.
func (l cubeType) unit(v float64) float64 {
	if v == 0 {
		return math.Ldexp(1, l.tiny)
	}
	_, e := math.Frexp(v)
	return math.Ldexp(1, max(e-1-l.frac, l.tiny))
}

func (l cubeType) round(v float64) float64 {
	q := l.unit(v)
	r := math.RoundToEven(v/q) * q
	if l.frac == 10 && math.Abs(r) > 65504 {
		return math.Copysign(math.Inf(1), v)
	}
	return r
}

func (l cubeType) bits(v float64) uint16 {
	u := math.Float32bits(float32(v))
	if l.frac == 7 {
		return uint16(u >> 16)
	}
	sign, a := uint16(u>>16&0x8000), math.Abs(v)
	switch {
	case math.IsNaN(v) || math.IsInf(v, 0):
		return sign | 0x7c00
	case a < math.Ldexp(1, -14):
		return sign | uint16(math.Ldexp(a, 24))
	}
	return sign | uint16((u&0x7fffffff)>>13-112<<10)
}

func (l cubeType) value(b uint16) float64 {
	if l.frac == 7 {
		return float64(math.Float32frombits(uint32(b) << 16))
	}
	e, m, s := int(b>>10&31), float64(b&1023), 1-2*float64(b>>15)
	switch e {
	case 0:
		return s * math.Ldexp(m, -24)
	case 31:
		return s * math.Inf(1)
	}
	return s * math.Ldexp(1+m/1024, e-15)
}

// cubeBench is a device and a type of operands for one test.
type cubeBench struct {
	testing *testing.T
	d       *device.Device
	cubeType
	r    *rand.Rand
	what string // is under test
}

func newCubeBench(t *testing.T, d *device.Device, l cubeType, seed uint64) *cubeBench {
	return &cubeBench{t, d, l, rand.New(rand.NewPCG(seed, 15)), l.name}
}

// cubeArray is numbers on the host and their bytes on the device.
type cubeArray struct {
	b    *cubeBench
	v    []float64
	wide bool // f32
	at   device.Ptr
}

func (b *cubeBench) check(err error) {
	b.testing.Helper()
	if err != nil {
		b.testing.Fatalf("%s: %v", b.what, err)
	}
}

func (b *cubeBench) array(v []float64, wide bool) *cubeArray {
	b.testing.Helper()
	a := &cubeArray{b: b, v: v, wide: wide}
	data := a.bytes()
	if len(data) == 0 { // the adapter of a plain linear
		return a
	}
	var err error
	a.at, err = b.d.Alloc(len(data))
	b.check(err)
	b.check(b.d.Upload(a.at, data))
	b.testing.Cleanup(func() { b.d.Free(a.at) })
	return a
}

func (a *cubeArray) bytes() []byte {
	var data []byte
	for _, v := range a.v {
		if a.wide {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
		} else {
			data = binary.LittleEndian.AppendUint16(data, a.b.bits(v))
		}
	}
	return data
}

// normal gives n random numbers of the type.
func (b *cubeBench) normal(n int) *cubeArray {
	v := make([]float64, n)
	for i := range v {
		v[i] = b.round(b.r.NormFloat64())
	}
	return b.array(v, false)
}

func (b *cubeBench) normal32(n int) *cubeArray {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(float32(b.r.NormFloat64()))
	}
	return b.array(v, true)
}

// empty is memory that a kernel must write: NaN until then.
func (b *cubeBench) empty(n int, wide bool) *cubeArray {
	v := make([]float64, n)
	for i := range v {
		v[i] = math.NaN()
	}
	return b.array(v, wide)
}

// set replaces what is on the device.
func (a *cubeArray) set(v []float64) {
	a.b.testing.Helper()
	copy(a.v, v)
	a.b.check(a.b.d.Upload(a.at, a.bytes()))
}

func (a *cubeArray) get() []float64 {
	a.b.testing.Helper()
	data := a.bytes()
	a.b.check(a.b.d.Download(data, a.at))
	v := make([]float64, len(a.v))
	for i := range v {
		if a.wide {
			v[i] = float64(math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:])))
		} else {
			v[i] = a.b.value(binary.LittleEndian.Uint16(data[2*i:]))
		}
	}
	return v
}

func (b *cubeBench) run(kernel string, blocks int, args ...any) {
	b.testing.Helper()
	for i, a := range args {
		switch a := a.(type) {
		case *cubeArray:
			args[i] = a.at
		case nil:
			args[i] = 0
		}
	}
	b.check(b.d.Launch(kernel+"_"+b.name, blocks, args...))
	b.check(b.d.Sync())
}

// cubeSum is a result in float64, and the sum of the magnitudes of what was added up:
// f32 sums may be off by a share of that.
type cubeSum struct{ v, size []float64 }

func newCubeSum(n int) *cubeSum { return &cubeSum{make([]float64, n), make([]float64, n)} }

// add is s[m,n] += a·b over k, with the strides of rows (or columns) and of k.
func (s *cubeSum) add(m, n, k int, a []float64, am, ak int, b []float64, bn, bk int) *cubeSum {
	for i := range m {
		for j := range n {
			v, size := 0.0, 0.0
			for l := range k {
				p := a[i*am+l*ak] * b[j*bn+l*bk]
				v, size = v+p, size+math.Abs(p)
			}
			s.v[i*n+j] += v
			s.size[i*n+j] += size
		}
	}
	return s
}

func (s *cubeSum) nt(m, n, k int, a, b []float64) *cubeSum { return s.add(m, n, k, a, k, 1, b, k, 1) }
func (s *cubeSum) nn(m, n, k int, a, b []float64) *cubeSum { return s.add(m, n, k, a, k, 1, b, 1, n) }
func (s *cubeSum) tn(m, n, k int, a, b []float64) *cubeSum { return s.add(m, n, k, a, 1, m, b, 1, n) }

// plus adds what was there before.
func (s *cubeSum) plus(v []float64) *cubeSum {
	for i := range v {
		s.v[i] += v[i]
		s.size[i] += math.Abs(v[i])
	}
	return s
}

// near holds a result to float64: half a unit of its type where it is 16 bit, and the
// rounding of f32 sums.
func (a *cubeArray) near(what string, want *cubeSum) {
	a.b.testing.Helper()
	for i, g := range a.get() {
		w := want.v[i]
		limit := want.size[i] * 0x1p-21
		if !a.wide {
			limit += a.b.unit(w) * 0.5
		}
		if !(math.Abs(g-w) <= limit) {
			a.b.testing.Fatalf("%s: %s: element %d of %d is %g, not %g: %.3g off, %.3g allowed", a.b.what, what, i, len(a.v), g, w, g-w, limit)
		}
	}
}

func packed(high, low int) uint64 { return uint64(high)<<32 | uint64(low) }
