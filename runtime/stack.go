package rt

import (
	"lorac/kernels"
	"lorac/runtime/weights/mindspore"
)

// Stack is the f32 tensors of one parameter in all layers, in one slab: a
// parameter that trains, its gradient or its optimizer state.
type Stack struct {
	Names      []string // MindFormers names, one per layer
	Rows, Cols int
	Data       []float32
	Vector     bool
	grad       *Stack
	start      string // of an adapter that starts as a part of the base, and of what is taken off for it: how
	shared     Shared // of a state of which each process has a share; nil: Data is all of it
}

// numbers is how many it has in all layers.
func (s *Stack) numbers() int { return len(s.Names) * s.Rows * s.Cols }

// Mat is the tensor of layer i. It has no data where the memory could not be
// reserved, which Loaded reports.
func (s *Stack) Mat(i int) kernels.Mat {
	n := s.Rows * s.Cols
	if s.Data == nil {
		return kernels.Mat{Rows: s.Rows, Cols: s.Cols, Stride: s.Cols}
	}
	return kernels.MatOf(s.Data[i*n:(i+1)*n], s.Rows, s.Cols)
}

// Vec is the tensor of layer i as a vector.
func (s *Stack) Vec(i int) []float32 { return s.Mat(i).Data }

// shape is that of a tensor of the stack.
func (s *Stack) shape() []int {
	if s.Vector {
		return []int{s.Rows}
	}
	return []int{s.Rows, s.Cols}
}

// entries are its tensors in a MindSpore checkpoint.
func (s *Stack) entries(prefix string) (out []mindspore.Entry) {
	for i, name := range s.Names {
		out = append(out, floats(prefix+name, s.shape(), s.Mat(i).Data))
	}
	return out
}
