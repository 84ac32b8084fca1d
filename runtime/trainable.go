package rt

import (
	"strings"

	"lorac/kernels"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/naming"
)

// Trainable is a parameter that trains, in all its layers: from the checkpoint
// where it is there, else as init says. cols 0 makes vectors of rows elements.
func (l *Loader) Trainable(names []string, rows, cols int, init Init) *Stack {
	s := &Stack{Names: names, Rows: rows, Cols: max(cols, 1), Vector: cols == 0}
	if init.ofBase() {
		s.start = init.Kind
	}
	n := rows * s.Cols
	if s.Data = l.slab(len(names) * n); s.Data == nil {
		return s
	}
	for i, name := range names {
		x := s.Data[i*n : (i+1)*n]
		shape := []int{rows, cols}
		if s.Vector {
			shape = shape[:1]
		}
		if l.grows(name, rows, cols) {
			l.grow(x, name, rows, cols)
			continue
		}
		if t, ok := l.tensor(name, shape...); ok {
			l.copyTo(x, l.weight(t, rows, s.Cols))
			continue
		}
		adapter := strings.Contains(name, "mindpet_delta_lora")
		if parts := naming.Parts(name); parts != nil && l.set != nil && !adapter {
			l.copyTo(x, l.joined(parts, rows, s.Cols))
			continue
		}
		if l.set != nil && !adapter {
			l.missing(name)
			continue
		}
		if hf := naming.HF(name); hf != "" {
			name = hf
		}
		init.fill(x, name, l.job.Seed)
	}
	l.params = append(l.params, s)
	return s
}

// copyTo converts a stored matrix, of which only the copy stays in memory.
func (l *Loader) copyTo(x []float32, w kernels.Weight) {
	if len(l.faults) > 0 {
		return
	}
	for i := range w.Rows {
		w.Row(x[i*w.Cols:(i+1)*w.Cols], i)
	}
	mmap.Release(w.Stored())
}

// Fixed is a parameter of an adapter, or of a module that is saved with one, that does not
// train. It is made as Trainable makes it.
func (l *Loader) Fixed(names []string, rows, cols int, init Init) *Stack {
	s := l.Trainable(names, rows, cols, init)
	if l.err != nil {
		return s
	}
	l.params = l.params[:len(l.params)-1]
	l.fixed = append(l.fixed, s)
	l.frozen += len(s.Data)
	return s
}

// Grad is the accumulator of a trainable parameter's gradient.
func (l *Loader) Grad(p *Stack) *Stack {
	g := &Stack{Names: p.Names, Rows: p.Rows, Cols: p.Cols, Vector: p.Vector, Data: l.gradient(len(p.Data))}
	p.grad = g
	return g
}

// gradient is memory for n numbers of a gradient. Those of all parameters that are
// there by then follow each other, so that they are summed as one vector.
func (l *Loader) gradient(n int) []float32 {
	if len(l.gradsLeft) < n {
		all := 0
		for _, p := range l.params {
			if p.grad == nil {
				all += len(p.Data)
			}
		}
		whole := l.slab(all)
		if whole == nil {
			return nil
		}
		l.grads, l.gradsLeft = append(l.grads, whole), whole
	}
	x := l.gradsLeft[:n:n]
	l.gradsLeft = l.gradsLeft[n:]
	return x
}

// State is the optimizer state of a trainable parameter.
func (l *Loader) State(p *Stack, kind string) *Stack {
	s := &Stack{Names: p.Names, Rows: p.Rows, Cols: p.Cols, Vector: p.Vector, Data: l.slab(len(p.Data))}
	l.states[kind+"."+p.Names[0]] = s
	return s
}

// SharedState is the optimizer state of a trainable parameter of which this process has n
// numbers, the memory that it returns.
func (l *Loader) SharedState(p *Stack, kind string, n int, of Shared) []float32 {
	l.states[kind+"."+p.Names[0]] = &Stack{Names: p.Names, Rows: p.Rows, Cols: p.Cols, Vector: p.Vector, shared: of}
	return l.slab(n)
}

// SideState is the optimizer state of the rows or the columns of a trainable
// matrix: n numbers a layer.
func (l *Loader) SideState(p *Stack, kind string, n int) *Stack {
	s := &Stack{Names: p.Names, Rows: n, Cols: 1, Vector: true, Data: l.slab(len(p.Names) * n)}
	l.states[kind+"."+p.Names[0]] = s
	return s
}
