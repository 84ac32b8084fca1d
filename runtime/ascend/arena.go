package ascend

import (
	k "lorac/kernels/ascend"
)

// Arena is the device memory of all activations, at the offsets the compiler planned.
type Arena struct{ base k.Ptr }

// Arena takes it.
func (r *Run) Arena(bytes int) *Arena { return &Arena{r.alloc(bytes)} }

// At is the arena from an offset on.
func (a *Arena) At(offset int) *Arena { return &Arena{a.base + k.Ptr(offset)} }

// Mat is a matrix at an offset.
func (a *Arena) Mat(offset, rows, cols int) k.Mat { return a.Half(k.F32, offset, rows, cols) }

// Half is a matrix of another type at an offset.
func (a *Arena) Half(d k.DType, offset, rows, cols int) k.Weight {
	return k.MatAt(a.base+k.Ptr(offset), rows, cols, d)
}

// Vec is a vector at an offset.
func (a *Arena) Vec(offset, n int) k.Vec { return k.VecAt(a.base+k.Ptr(offset), n) }

// Ints is a vector of numbers at an offset.
func (a *Arena) Ints(offset, n int) k.Ints { return k.IntsAt(a.base+k.Ptr(offset), n) }

// Seeds is a vector of seeds at an offset.
func (a *Arena) Seeds(offset, n int) k.Seeds { return k.SeedsAt(a.base+k.Ptr(offset), n) }
