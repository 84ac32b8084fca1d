package ascend

import (
	"slices"

	k "lorac/kernels/ascend"
	rt "lorac/runtime"
	"lorac/runtime/exit"
)

// Stack is the f32 tensors of one parameter in all layers, in one piece of device
// memory: a parameter that trains, its gradient or its optimizer state.
type Stack struct {
	Data       k.Vec // all layers
	Rows, Cols int
	host       *rt.Stack
}

// Mat is the tensor of layer i.
func (s *Stack) Mat(i int) k.Mat {
	return k.MatAt(s.Data.At+k.Ptr(4*i*s.Rows*s.Cols), s.Rows, s.Cols, k.F32)
}

// Vec is the tensor of layer i as a vector.
func (s *Stack) Vec(i int) k.Vec { return k.VecAt(s.Mat(i).At, s.Rows*s.Cols) }

// there makes the stack on the device that one of the host mirrors.
func (r *Run) there(host *rt.Stack) *Stack {
	return r.thereAt(host, r.alloc(4*count(host)))
}

// thereAt is there in memory that is taken already.
func (r *Run) thereAt(host *rt.Stack, at k.Ptr) *Stack {
	s := &Stack{Data: k.VecAt(at, count(host)), Rows: host.Rows, Cols: host.Cols, host: host}
	r.card.stacks[host] = s
	return s
}

// count is the numbers of a stack.
func count(host *rt.Stack) int { return len(host.Names) * host.Rows * host.Cols }

// mirror is there for what has its start on the host.
func (r *Run) mirror(host *rt.Stack) *Stack {
	s := r.there(host)
	r.mirrored = append(r.mirrored, s)
	return s
}

// Trainable is a parameter that trains, in all its layers: see package rt.
func (r *Run) Trainable(names []string, rows, cols int, init Init) *Stack {
	s := r.mirror(r.Run.Trainable(names, rows, cols, init))
	r.memory.wanted += whole(s.Data.N)
	return s
}

// Fixed is an adapter matrix that does not train, made as Trainable makes it.
func (r *Run) Fixed(names []string, rows, cols int, init Init) *Stack {
	return r.mirror(r.Run.Fixed(names, rows, cols, init))
}

// Grad is the accumulator of a trainable parameter's gradient.
func (r *Run) Grad(p *Stack) *Stack {
	g := r.thereAt(r.Run.Grad(p.host), r.gradient(p.Data.N))
	r.grads = append(r.grads, g)
	return g
}

// State is the optimizer state of a trainable parameter.
func (r *Run) State(p *Stack, kind string) *Stack { return r.mirror(r.Run.State(p.host, kind)) }

// Copy is the 16-bit copies of a parameter in all layers, times a factor, that the
// device multiplies. The optimizer writes them with the parameter.
type Copy struct {
	Data       k.Copy // all layers
	rows, cols int
	of         *Stack
}

// Copy makes them; Loaded fills them.
func (r *Run) Copy(p *Stack, d k.DType, scale float64) *Copy {
	layers := len(p.host.Names)
	c := &Copy{Data: k.Copy{Mat: k.MatAt(r.alloc(p.Data.N*d.Size()), layers*p.Rows, p.Cols, d), Scale: float32(scale)}, rows: p.Rows, cols: p.Cols, of: p}
	r.copies = append(r.copies, c)
	return c
}

// Mat is the copy of layer i.
func (c *Copy) Mat(i int) k.Weight {
	d := c.Data.DType
	return k.MatAt(c.Data.At+k.Ptr(i*c.rows*c.cols*d.Size()), c.rows, c.cols, d)
}

// ours are the methods that this package calls; the others are the program's.
var ours = []string{"AddTo", "Clear", "Narrow", "Times"}

// Loaded ends the loading, as that of package rt does, and brings to the device what
// was loaded, resumed or made. Before anything trains, each kernel that the run uses is
// tried.
func (r *Run) Loaded() error {
	if err := r.Run.Loaded(); err != nil {
		return err
	}
	r.rows, r.wide = nil, nil
	r.reserve()
	for _, s := range r.mirrored {
		must(r.card.d.Upload(s.Data.At, bytesOf(s.host.Data)))
	}
	for _, g := range r.grads {
		r.card.k.Clear(g.Data)
	}
	for _, c := range r.copies {
		r.card.k.Narrow(c.Data, c.of.Data)
	}
	if err := r.card.d.Sync(); err != nil || r.Mode() != Train {
		return exit.With(exit.Failed, err)
	}
	return exit.With(exit.Failed, r.card.k.SelfCheck(r.low, slices.Concat(ours, r.places.calls())...))
}
