package ascend

import (
	"unsafe"

	k "lorac/kernels/ascend"
	rt "lorac/runtime"
	"lorac/runtime/comm"
)

// Sums of gradients are of vectors in device memory. Package comm holds them as slices,
// which are handles: an address there and a length, that nobody reads on the host.

// handle is the slice that stands for numbers on the device.
func handle(at k.Ptr, n int) []float32 {
	p := uintptr(at)
	return unsafe.Slice((*float32)(*(*unsafe.Pointer)(unsafe.Pointer(&p))), n)
}

// vecOf is the vector that a slice stands for.
func vecOf(x []float32) k.Vec {
	return k.VecAt(k.Ptr(uintptr(unsafe.Pointer(unsafe.SliceData(x)))), len(x))
}

// gradient is memory for a gradient. Those of all parameters that are there by then
// follow each other, as on the host, so that they are summed as one vector.
func (r *Run) gradient(n int) k.Ptr {
	s := &r.memory
	n = whole(n)
	if s.left < n {
		s.at, s.left = r.alloc(4*s.wanted), s.wanted
		x := handle(s.at, s.wanted)
		r.card.grads = append(r.card.grads, x)
		r.card.k.Clear(vecOf(x)) // what lies between gradients is summed, too
		s.wanted = 0
	}
	at := s.at
	s.at, s.left = s.at+k.Ptr(4*n), s.left-n
	return at
}

// whole is n numbers with what fills their last line of memory: cores do not share one.
func whole(n int) int { return (n + 127) &^ 127 }

// gradients is the vector that gradients are given parts of.
type gradients struct {
	at     k.Ptr
	left   int // numbers of it that no gradient has
	wanted int // numbers of parameters that no vector has a place for
}

// Gradients are the vectors of the device that gradients are in.
func (c *card) Gradients(host [][]float32) [][]float32 {
	if len(c.grads) != len(host) {
		panic("BUG: gradients on the device are not those of the host")
	}
	return c.grads
}

// Memory is that of the device.
func (c *card) Memory(*rt.Loader) comm.Memory { return vectors{c} }

// vectors are in device memory. What is done to them is queued there.
type vectors struct{ c *card }

func (v vectors) Alloc(n int) []float32 {
	p, err := v.c.d.Alloc(4 * n)
	must(err)
	return handle(p, n)
}

func (v vectors) Add(dst, a, b []float32) { v.c.k.AddTo(vecOf(dst), vecOf(a), vecOf(b)) }
func (v vectors) Clear(x []float32)       { v.c.k.Clear(vecOf(x)) }

func (v vectors) Copy(dst, src []float32) {
	must(v.c.d.Copy(vecOf(dst).At, vecOf(src).At, 4*len(src)))
}
