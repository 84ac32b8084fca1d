package rt

import (
	"unsafe"

	"lorac/kernels"
	"lorac/runtime/sys/offheap"
)

// Arena is the memory of all activations, at the offsets the compiler planned.
type Arena struct{ base unsafe.Pointer }

// Arena reserves it; pages nobody touches take no memory.
func (r *Run) Arena(bytes int) *Arena {
	return &Arena{unsafe.Pointer(&r.reserve(bytes + 64)[0])}
}

func (r *Run) reserve(bytes int) []byte {
	m, err := offheap.Bytes(bytes)
	if err != nil {
		r.fail(3, "cannot reserve %d MiB of memory: %v", bytes>>20, err)
	}
	return m
}

// slab is memory for what trains, beside the collector's: it is never moved,
// freed or counted twice.
func (r *Run) slab(n int) []float32 {
	m := r.reserve(4*n + 64)
	return unsafe.Slice((*float32)(unsafe.Pointer(&m[0])), n)
}

// At is the arena from an offset on.
func (a *Arena) At(offset int) *Arena { return &Arena{unsafe.Add(a.base, offset)} }

// Mat is a matrix at an offset.
func (a *Arena) Mat(offset, rows, cols int) kernels.Mat {
	return kernels.MatOf(a.Vec(offset, rows*cols), rows, cols)
}

// Half is a matrix of half precision at an offset.
func (a *Arena) Half(d kernels.DType, offset, rows, cols int) kernels.Weight {
	w, err := kernels.WeightFromBytes(unsafe.Slice((*byte)(unsafe.Add(a.base, offset)), rows*cols*d.Size()), d, rows, cols)
	if err != nil {
		panic(err)
	}
	return w
}

// Vec is a vector at an offset.
func (a *Arena) Vec(offset, n int) []float32 {
	return unsafe.Slice((*float32)(unsafe.Add(a.base, offset)), n)
}

// Ints is a vector of numbers at an offset.
func (a *Arena) Ints(offset, n int) []int32 {
	return unsafe.Slice((*int32)(unsafe.Add(a.base, offset)), n)
}

// Keys is a vector of random keys at an offset.
func (a *Arena) Keys(offset, n int) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Add(a.base, offset)), n)
}
