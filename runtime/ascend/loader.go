package ascend

import (
	"unsafe"

	"lorac/kernels"
	k "lorac/kernels/ascend"
	"lorac/runtime/sys/mmap"
)

// Weight is a frozen matrix, in the 16 bits that the device multiplies.
func (r *Run) Weight(name string, rows, cols int) k.Weight {
	w := r.Run.Weight(name, rows, cols)
	if r.Faulty() { // Loaded tells
		return k.Weight{Rows: rows, Cols: cols, DType: r.low}
	}
	return k.MatAt(r.send(w), rows, cols, r.low)
}

// Embedding is a frozen matrix of which a micro-batch needs a few rows. All of it
// is on the device.
func (r *Run) Embedding(name string, rows, cols int) k.Weight { return r.Weight(name, rows, cols) }

// sentBytes is how much of a matrix is converted at a time.
const sentBytes = 8 << 20

// send converts a stored matrix on its way to the device, some rows at a time, and
// gives its pages back.
func (r *Run) send(w kernels.Weight) k.Ptr {
	size := r.low.Size()
	at := r.alloc(w.Rows * w.Cols * size)
	if data, ok := w.Bytes(); ok && w.DType == hostType(r.low) { // as it is
		for from := 0; from < len(data); from += sentBytes {
			part := data[from:min(from+sentBytes, len(data))]
			must(r.card.d.Upload(at+k.Ptr(from), part))
			mmap.Release(part)
		}
		return at
	}
	host := r.Run.Kernels()
	step := min(w.Rows, max(1, sentBytes/(w.Cols*size)))
	if n := step * w.Cols; len(r.wide) < n {
		r.wide, r.rows = make([]float32, n), make([]byte, n*size)
	}
	const block = 16
	for from := 0; from < w.Rows; from += step {
		n := min(step, w.Rows-from)
		x := kernels.MatOf(r.wide, n, w.Cols)
		host.Parallel((n+block-1)/block, func(_, t int) {
			for i := t * block; i < min((t+1)*block, n); i++ {
				w.Row(x.Row(i), from+i)
			}
		})
		rows := r.rows[:n*w.Cols*size]
		y, err := kernels.WeightFromBytes(rows, hostType(r.low), n, w.Cols)
		must(err)
		host.Narrow(y, x)
		must(r.card.d.Upload(at+k.Ptr(from*w.Cols*size), rows))
	}
	mmap.Release(w.Stored())
	return at
}

// hostType is what package kernels calls a type.
func hostType(d k.DType) kernels.DType {
	switch d {
	case k.F16:
		return kernels.F16
	case k.BF16:
		return kernels.BF16
	}
	return kernels.F32
}

// Vector is a frozen vector, as f32.
func (r *Run) Vector(name string, n int) k.Vec {
	return k.VecAt(r.upload(bytesOf(r.Run.Vector(name, n))), n)
}

// RopeTable is the cosines or sines of the rotary embedding, as f32.
func (r *Run) RopeTable(sine bool, positions int, spec k.RopeSpec) k.Mat {
	t := r.Run.RopeTable(sine, positions, spec)
	r.headSize = spec.HeadDim
	return k.MatAt(r.upload(bytesOf(t.Data)), t.Rows, t.Cols, k.F32)
}

// bytesOf is numbers as they lie in memory: the device has the order of bytes of the
// processors that it is built into servers with.
func bytesOf[T int32 | uint64 | float32](x []T) []byte {
	if len(x) == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), len(x)*int(unsafe.Sizeof(x[0])))
}
