package ascend

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	k "lorac/kernels/ascend"
)

// fake is a device in Go: its memory, and the few kernels that the runtime itself
// launches. Accesses outside of an allocation panic.
type fake struct {
	memory   map[k.Ptr][]byte
	next     k.Ptr
	launched []string
	uploads  int
	fail     string // the kernel whose launch comes out as a fault when the device is waited for
	pending  error
	closed   bool
}

var errFault = errors.New("the device failed: exception on a vector core [ACL error 507035]")

func newFake() *fake { return &fake{memory: map[k.Ptr][]byte{}, next: 1 << 32} }

func (d *fake) Describe() string            { return "Ascend910B3 of tests" }
func (d *fake) Cores() (cubes, vectors int) { return 20, 40 }
func (d *fake) Close() error                { d.closed = true; return nil }

func (d *fake) Alloc(n int) (k.Ptr, error) {
	p := d.next
	d.next += k.Ptr(n+4095) &^ 4095
	d.next += 4096
	d.memory[p] = make([]byte, n)
	for i := range d.memory[p] {
		d.memory[p][i] = 0xA5
	}
	return p, nil
}

func (d *fake) Free(p k.Ptr) error {
	if d.memory[p] == nil {
		return fmt.Errorf("%x is not allocated", p)
	}
	delete(d.memory, p)
	return nil
}

// at is n bytes of memory.
func (d *fake) at(p k.Ptr, n int) []byte {
	for from, b := range d.memory {
		if p >= from && int(p-from)+n <= len(b) {
			return b[p-from:][:n:n]
		}
	}
	panic(fmt.Sprintf("%d bytes at %x are outside of the memory", n, p))
}

func (d *fake) Upload(to k.Ptr, data []byte) error {
	d.uploads++
	copy(d.at(to, len(data)), data)
	return nil
}

func (d *fake) Download(data []byte, from k.Ptr) error {
	if err := d.Sync(); err != nil {
		return err
	}
	copy(data, d.at(from, len(data)))
	return nil
}

func (d *fake) Copy(to, from k.Ptr, n int) error {
	copy(d.at(to, n), d.at(from, n))
	return nil
}

func (d *fake) Queue(_ string, f func(stream uintptr) error) error { return f(1) }

func (d *fake) Sync() error { return d.pending }

// floats reads n numbers.
func (d *fake) floats(p k.Ptr, n int) []float32 {
	out := make([]float32, n)
	k.F32.Get(out, d.at(p, 4*n))
	return out
}

func (d *fake) Launch(note func() string, kernel string, _ int, args ...uint64) error {
	d.launched = append(d.launched, kernel)
	if kernel == d.fail {
		d.pending = fmt.Errorf("%w in %s", errFault, note())
	}
	put := func(p k.Ptr, x ...float32) { k.F32.Put(d.at(p, 4*len(x)), x) }
	switch kernel {
	case "sum_squares":
		sum := 0.0
		for _, x := range d.floats(args[1], int(args[2])) {
			sum += float64(x) * float64(x)
		}
		put(args[0], append([]float32{float32(sum)}, make([]float32, (int(args[2])+4095)/4096-1)...)...)
	case "norm":
		sum := 0.0
		for _, x := range d.floats(args[1], int(args[2])) {
			sum += float64(x)
		}
		put(args[0], float32(math.Sqrt(sum)))
	case "add_f32":
		a, b := d.floats(args[1], int(args[3])), d.floats(args[2], int(args[3]))
		for i := range a {
			a[i] += b[i]
		}
		put(args[0], a...)
	case "zero":
		clear(d.at(args[0], int(args[1])))
	case "scale_f32":
		x := d.floats(args[0], int(args[1]))
		for i := range x {
			x[i] *= math.Float32frombits(uint32(args[2]))
		}
		put(args[0], x...)
	case "narrow_bf16", "narrow_f16":
		dtype := map[string]k.DType{"narrow_bf16": k.BF16, "narrow_f16": k.F16}[kernel]
		x := d.floats(args[1], int(args[2]))
		for i := range x {
			x[i] *= math.Float32frombits(uint32(args[3]))
		}
		dtype.Put(d.at(args[0], 2*len(x)), x)
	default:
		return fmt.Errorf("no kernel %s", kernel)
	}
	return nil
}

// ints reads integers.
func (d *fake) ints(x k.Ints) []int32 {
	out := make([]int32, x.N)
	for i, b := 0, d.at(x.At, 4*x.N); i < x.N; i++ {
		out[i] = int32(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return out
}
