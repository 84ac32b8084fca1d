package rt

import (
	"unsafe"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/sys/offheap"
)

// Arena is the memory of all activations, at the offsets the compiler planned.
type Arena struct{ base unsafe.Pointer }

// Arena reserves it; pages nobody touches take no memory.
func (l *Loader) Arena(bytes int) *Arena {
	l.arena = bytes
	m := l.reserve(bytes + 64)
	return &Arena{unsafe.Pointer(unsafe.SliceData(m))}
}

// reserve gives zeroed memory until the end of the run; nil where there is
// none, which Loaded reports.
func (l *Loader) reserve(bytes int) []byte {
	m, free, err := offheap.Bytes(bytes)
	if err != nil {
		if l.err == nil {
			l.err = exit.Failedf("cannot reserve %d MiB of memory: %w", bytes>>20, err)
		}
		return nil
	}
	l.free = append(l.free, free)
	return m
}

// slab is memory for what trains, off-heap: it is never moved or counted twice.
func (l *Loader) slab(n int) []float32 {
	m := l.reserve(4*n + 64)
	if m == nil {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&m[0])), n)
}

// Cache is the keys or the values of a layer, for as many rows as a text may
// have. Its memory comes from the system page by page as a text grows, and
// only where texts are generated.
func (l *Loader) Cache(rows, cols int) Mat {
	if !l.caches {
		return Mat{Cols: cols, Stride: cols}
	}
	data := l.slab(rows * cols)
	if data == nil {
		return Mat{Cols: cols, Stride: cols}
	}
	return kernels.MatOf(data, rows, cols)
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

// Seeds is a vector of seeds at an offset.
func (a *Arena) Seeds(offset, n int) []uint64 {
	return unsafe.Slice((*uint64)(unsafe.Add(a.base, offset)), n)
}
