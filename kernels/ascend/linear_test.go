package ascend_test

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"lorac/kernels/ascend/ascendtest"
	"lorac/runtime/device"
)

// low is a 16-bit type: its name in kernels, bits of its fraction, and the exponent
// of its smallest number.
type low struct {
	name string
	frac int
	tiny int
}

var bf16, f16 = low{"bf16", 7, -133}, low{"f16", 10, -24}

// unit is one in the last place of v.
func (l low) unit(v float64) float64 {
	if v == 0 {
		return math.Ldexp(1, l.tiny)
	}
	_, e := math.Frexp(v)
	return math.Ldexp(1, max(e-1-l.frac, l.tiny))
}

func (l low) round(v float64) float64 {
	q := l.unit(v)
	r := math.RoundToEven(v/q) * q
	if l.frac == 10 && math.Abs(r) > 65504 {
		return math.Copysign(math.Inf(1), v)
	}
	return r
}

func (l low) bits(v float64) uint16 {
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

func (l low) value(b uint16) float64 {
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

// bench is a device and a type of operands for one test.
type bench struct {
	testing *testing.T
	d       *device.Device
	low
	r    *rand.Rand
	what string // is under test
}

func newBench(t *testing.T, d *device.Device, l low, seed uint64) *bench {
	return &bench{t, d, l, rand.New(rand.NewPCG(seed, 15)), l.name}
}

// array is numbers on the host and their bytes on the device.
type array struct {
	b    *bench
	v    []float64
	wide bool // f32
	at   device.Ptr
}

func (b *bench) check(err error) {
	b.testing.Helper()
	if err != nil {
		b.testing.Fatalf("%s: %v", b.what, err)
	}
}

func (b *bench) array(v []float64, wide bool) *array {
	b.testing.Helper()
	a := &array{b: b, v: v, wide: wide}
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

func (a *array) bytes() []byte {
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
func (b *bench) normal(n int) *array {
	v := make([]float64, n)
	for i := range v {
		v[i] = b.round(b.r.NormFloat64())
	}
	return b.array(v, false)
}

func (b *bench) normal32(n int) *array {
	v := make([]float64, n)
	for i := range v {
		v[i] = float64(float32(b.r.NormFloat64()))
	}
	return b.array(v, true)
}

// empty is memory that a kernel must write: NaN until then.
func (b *bench) empty(n int, wide bool) *array {
	v := make([]float64, n)
	for i := range v {
		v[i] = math.NaN()
	}
	return b.array(v, wide)
}

// set replaces what is on the device.
func (a *array) set(v []float64) {
	a.b.testing.Helper()
	copy(a.v, v)
	a.b.check(a.b.d.Upload(a.at, a.bytes()))
}

func (a *array) get() []float64 {
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

func (b *bench) run(kernel string, blocks int, args ...any) {
	b.testing.Helper()
	for i, a := range args {
		switch a := a.(type) {
		case *array:
			args[i] = a.at
		case nil:
			args[i] = 0
		}
	}
	b.check(b.d.Launch(kernel+"_"+b.name, blocks, args...))
	b.check(b.d.Sync())
}

// sum is a result in float64, and the sum of the magnitudes of what was added up:
// f32 sums may be off by a share of that.
type sum struct{ v, size []float64 }

func newSum(n int) *sum { return &sum{make([]float64, n), make([]float64, n)} }

// add is s[m,n] += a·b over k, with the strides of rows (or columns) and of k.
func (s *sum) add(m, n, k int, a []float64, am, ak int, b []float64, bn, bk int) *sum {
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

func (s *sum) nt(m, n, k int, a, b []float64) *sum { return s.add(m, n, k, a, k, 1, b, k, 1) }
func (s *sum) nn(m, n, k int, a, b []float64) *sum { return s.add(m, n, k, a, k, 1, b, 1, n) }
func (s *sum) tn(m, n, k int, a, b []float64) *sum { return s.add(m, n, k, a, 1, m, b, 1, n) }

// plus adds what was there before.
func (s *sum) plus(v []float64) *sum {
	for i := range v {
		s.v[i] += v[i]
		s.size[i] += math.Abs(v[i])
	}
	return s
}

// near holds a result to float64: half a unit of its type where it is 16 bit, and the
// rounding of f32 sums.
func (a *array) near(what string, want *sum) {
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

func pair(high, low int) uint64 { return uint64(high)<<32 | uint64(low) }

// linears is a group of linears that read one x, with its gradients. t and dt are
// operands of their own, so that each kernel is judged alone; down and up are where
// lora_down and lora_up_grad write theirs.
type linears struct {
	*bench
	m, k               int
	n, r               []int
	x, dx              *array
	w, a, b, t, dt, dy []*array
	y, down, up        []*array
	da, db             []*array
}

func newLinears(b *bench, m, k int, n, r []int) *linears {
	l := &linears{bench: b, m: m, k: k, n: n, r: r, x: b.normal(m * k), dx: b.empty(m*k, false)}
	for i, n := range n {
		r := r[i]
		l.w, l.y, l.dy = append(l.w, b.normal(n*k)), append(l.y, b.empty(m*n, false)), append(l.dy, b.normal(m*n))
		l.a, l.b = append(l.a, b.normal(r*k)), append(l.b, b.normal(n*r))
		l.t, l.dt = append(l.t, b.normal(m*r)), append(l.dt, b.normal(m*r))
		l.down, l.up = append(l.down, b.empty(m*r, false)), append(l.up, b.empty(m*r, false))
		l.da, l.db = append(l.da, b.normal32(r*k)), append(l.db, b.normal32(n*r))
	}
	return l
}

// padded is a list of arguments, filled up with absent ones.
func padded(n int, args []any) []any {
	for len(args) < n {
		args = append(args, 0)
	}
	return args
}

// each runs the kernels one after the other and calls then after each.
func (l *linears) each(blocks int, then func(kernel string)) {
	l.testing.Helper()
	m, k := l.m, l.k
	down, linear, up, grad := []any{l.x, m, k}, []any{l.x, m, k}, []any{m}, []any{l.dx, m, k}
	var weights []any
	for i, n := range l.n {
		r := l.r[i]
		down = append(down, l.down[i], l.a[i], r)
		linear = append(linear, l.y[i], l.w[i], l.t[i], l.b[i], pair(n, r))
		up = append(up, l.up[i], l.dy[i], l.b[i], pair(r, n))
		grad = append(grad, l.dy[i], l.w[i], l.dt[i], l.a[i], pair(n, r))
		weights = append(weights, l.da[i], l.dt[i], l.x, pair(r, k), l.db[i], l.dy[i], l.t[i], pair(n, r))
	}
	do := func(kernel string, n int, args []any) {
		l.run(kernel, blocks, padded(n, args)...)
		then(kernel)
	}
	do("lora_down", 12, down)
	do("lora_linear", 18, linear)
	do("lora_up_grad", 13, up)
	do("lora_linear_grad", 18, grad)
	for w := range slices.Chunk(weights, 16) { // four results at a time
		l.run("weight_grad", blocks, padded(17, append([]any{m}, w...))...)
	}
	then("weight_grad")
}

// judge holds each kernel to float64.
func (l *linears) judge(blocks int) {
	m, k := l.m, l.k
	l.each(blocks, func(string) {})
	dx := newSum(m * k)
	for i, n := range l.n {
		r, name := l.r[i], func(s string) string { return fmt.Sprint(s, i) }
		l.down[i].near(name("t"), newSum(m*r).nt(m, r, k, l.x.v, l.a[i].v))
		l.y[i].near(name("y"), newSum(m*n).nt(m, n, k, l.x.v, l.w[i].v).nt(m, n, r, l.t[i].v, l.b[i].v))
		l.up[i].near(name("dt"), newSum(m*r).nn(m, r, n, l.dy[i].v, l.b[i].v))
		l.da[i].near(name("da"), newSum(r*k).plus(l.da[i].v).tn(r, k, m, l.dt[i].v, l.x.v))
		l.db[i].near(name("db"), newSum(n*r).plus(l.db[i].v).tn(n, r, m, l.dy[i].v, l.t[i].v))
		dx.nn(m, k, n, l.dy[i].v, l.w[i].v).nn(m, k, r, l.dt[i].v, l.a[i].v)
	}
	l.dx.near("dx", dx)
}

var linearSizes = []struct {
	m, k int
	n, r []int
}{
	{1, 16, []int{16}, []int{1}},
	{5, 64, []int{48, 16}, []int{3, 16}},
	{16, 272, []int{16}, []int{4}},
	{17, 64, []int{272, 48, 48}, []int{8, 8, 100}},
	{127, 16, []int{48}, []int{16}},
	{128, 272, []int{48, 272}, []int{64, 0}},
	{130, 64, []int{272}, []int{100}},
	{300, 80, []int{16, 48, 16}, []int{128, 128, 128}},
	{5, 1024, []int{272}, []int{16}},
	{1, 1024, []int{48, 48}, []int{4, 1}},
	{300, 272, []int{304, 16}, []int{16, 3}},
}

// TestLinears: each kernel against float64, over rows, widths and ranks that fill tiles
// and that do not, with one, two and three linears, some of them plain.
func TestLinears(t *testing.T) {
	d := ascendtest.Open(t)
	for _, ty := range []low{bf16, f16} {
		for _, s := range linearSizes {
			l := newLinears(newBench(t, d, ty, uint64(s.m)), s.m, s.k, s.n, s.r)
			l.what = fmt.Sprint(ty.name, s)
			l.judge(3)
		}
	}
}

// TestLinearsAnyBlocks: the same bits whatever the number of cores.
func TestLinearsAnyBlocks(t *testing.T) {
	d := ascendtest.Open(t)
	var first [][]float64
	for _, blocks := range []int{1, 3, 7, 20, 24} {
		l := newLinears(newBench(t, d, bf16, 7), 300, 528, []int{272, 48}, []int{16, 3})
		l.each(blocks, func(string) {})
		var all [][]float64
		for _, a := range slices.Concat([]*array{l.dx}, l.y, l.down, l.up, l.da, l.db) {
			all = append(all, a.get())
		}
		if first == nil {
			first = all
		}
		for i := range all {
			if !slices.Equal(all[i], first[i]) {
				t.Errorf("%d blocks: result %d differs from that of one block", blocks, i)
			}
		}
	}
}

// TestLinearF32: logits, the number of which is any.
func TestLinearF32(t *testing.T) {
	d := ascendtest.Open(t)
	for _, ty := range []low{bf16, f16} {
		for _, s := range [][3]int{{1, 37, 64}, {17, 301, 272}, {130, 16, 16}} {
			m, n, k := s[0], s[1], s[2]
			b := newBench(t, d, ty, uint64(n))
			x, w, y := b.normal(m*k), b.normal(n*k), b.empty(m*n, true)
			b.run("linear_f32", 3, y, x, w, m, n, k)
			y.near(fmt.Sprint("logits", s), newSum(m*n).nt(m, n, k, x.v, w.v))
		}
	}
}

// TestLinears7B: widths of a 7B model, a few tokens.
func TestLinears7B(t *testing.T) {
	d := ascendtest.Open(t)
	newLinears(newBench(t, d, bf16, 4096), 3, 4096, []int{4096}, []int{16}).judge(20)
}
