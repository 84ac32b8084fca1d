package ascend

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"lorac/kernels"
)

// Before the first step every kernel that a program uses is tried on one small
// input against the host. What no stand-in for a device can show is found here:
// whether 32-bit products wrap, how accurate the vector unit is, in which order the
// runtime of this machine expects arguments.

// SelfCheck tries the kernels behind the named methods, for operands of one type. The
// error names the first that differs from the host. It takes well under two seconds.
func (c *Context) SelfCheck(d DType, calls ...string) error {
	host := kernels.New(1)
	defer host.Close()
	for _, call := range calls {
		run := trials[call]
		if run == nil {
			return fmt.Errorf("BUG: ascend: no trial of %s", call)
		}
		if err := c.try(run, host, d, call); err != nil {
			return err
		}
	}
	return nil
}

// try runs one trial; a fault of the device ends it.
func (c *Context) try(run func(*trial), host *kernels.Context, d DType, call string) (err error) {
	t := &trial{c: c, h: host, d: d, r: rand.New(rand.NewPCG(1, 2)), call: call}
	defer func() {
		if fault, ok := recover().(error); ok {
			err = fault
		}
	}()
	run(t)
	return t.finish()
}

// Trials lists the methods that SelfCheck knows.
func Trials() (names []string) {
	for n := range trials {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

// trial is one method tried on the device and on the host.
type trial struct {
	c    *Context
	h    *kernels.Context
	d    DType
	r    *rand.Rand
	call string
	mem  []Ptr
	err  error
}

// operand is a matrix on both sides.
type operand struct {
	host kernels.Mat
	dev  Mat
}

func (o operand) vec() Vec { return Vec{o.dev.At, o.dev.Rows * o.dev.Cols} }

// mat is a matrix of normal numbers that the type d holds exactly.
func (t *trial) mat(rows, cols int, d DType) operand {
	m := kernels.NewMat(rows, cols)
	for i := range m.Data {
		m.Data[i] = d.Round(float32(t.r.NormFloat64()))
	}
	return t.upload(m, d)
}

// small is mat times a factor.
func (t *trial) small(rows, cols int, d DType, by float32) operand {
	m := kernels.NewMat(rows, cols)
	for i := range m.Data {
		m.Data[i] = d.Round(by * float32(t.r.NormFloat64()))
	}
	return t.upload(m, d)
}

// zeros is a matrix for results.
func (t *trial) zeros(rows, cols int, d DType) operand {
	return t.upload(kernels.NewMat(rows, cols), d)
}

func (t *trial) upload(m kernels.Mat, d DType) operand {
	b := make([]byte, len(m.Data)*d.Size())
	d.Put(b, m.Data)
	return operand{m, MatAt(t.bytes(b), m.Rows, m.Cols, d)}
}

func (t *trial) bytes(b []byte) Ptr {
	p, err := t.c.d.Alloc(max(len(b), 1))
	if err == nil {
		t.mem = append(t.mem, p)
		err = t.c.d.Upload(p, b)
	}
	t.note(err)
	return p
}

func (t *trial) note(err error) {
	if t.err == nil {
		t.err = err
	}
}

// ints and seeds are integers on both sides.
func (t *trial) ints(x ...int32) (kernels.Ints, Ints) {
	b := make([]byte, 0, 4*len(x))
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, uint32(v))
	}
	return x, IntsAt(t.bytes(b), len(x))
}

func (t *trial) seeds(n int) (kernels.Seeds, Seeds) {
	x, b := make([]uint64, n), []byte(nil)
	for i := range x {
		x[i] = t.r.Uint64()
		b = binary.LittleEndian.AppendUint64(b, x[i])
	}
	return x, SeedsAt(t.bytes(b), n)
}

// starts is those of sequences; on the device their end follows them.
func (t *trial) starts(x ...int32) (kernels.Ints, Ints) {
	_, dev := t.ints(x...)
	dev.N--
	return x[:len(x)-1], dev
}

// same compares a result. tol is relative to the largest number of it: results are
// sums, of which small ones carry the rounding of large terms.
func (t *trial) same(what string, o operand, tol float64) {
	if t.err != nil {
		return
	}
	if err := t.c.d.Sync(); err != nil {
		t.note(err)
		return
	}
	b := make([]byte, o.dev.Bytes())
	t.note(t.c.d.Download(b, o.dev.At))
	got := make([]float32, len(o.host.Data))
	o.dev.DType.Get(got, b)
	top := 0.0
	for _, v := range o.host.Data {
		top = max(top, math.Abs(float64(v)))
	}
	for i, want := range o.host.Data {
		if e := math.Abs(float64(got[i] - want)); !(e <= tol*top) {
			t.note(&Wrong{t.call, fmt.Sprintf("%s[%d,%d] is %v, the host has %v", what, i/o.host.Cols, i%o.host.Cols, got[i], want)})
			return
		}
	}
}

// number compares a scalar.
func (t *trial) number(what string, got Scalar, want, tol float64) {
	if t.err != nil {
		return
	}
	if v := got.Value(); !(math.Abs(v-want) <= tol*math.Abs(want)) {
		t.note(&Wrong{t.call, fmt.Sprintf("%s is %v, the host has %v", what, v, want)})
	}
}

// unit is the relative rounding of results of the 16-bit type, with room for
// operands that the kernel rounds and the host does not.
func (t *trial) unit() float64 {
	if t.d == F16 {
		return 1.0 / 256
	}
	return 1.0 / 32
}

// finish gives the memory back. A trial that was cut off has left kernels queued, which
// use it.
func (t *trial) finish() error {
	t.note(t.c.d.Sync())
	for _, p := range t.mem {
		t.note(t.c.d.Free(p))
	}
	return t.err
}

// Wrong is a kernel that computes something else than the host.
type Wrong struct{ Call, Text string }

func (w *Wrong) Error() string {
	return fmt.Sprintf("the device computes %s wrongly: %s\n  = help: this CANN or device is not one that the kernels were written for; please report it, and compile with --device cpu", w.Call, w.Text)
}
