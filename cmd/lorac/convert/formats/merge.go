package formats

import (
	"fmt"

	"lorac/kernels"
)

// Merge adds an adapter to the weights of a source: W + scale·B·A, for DoRA with rows
// of its magnitudes, computed in f32, when a parameter is asked for. dtype is the type of the adapted
// matrices, "" that of W. It says how many there are. Whole modules of the
// adapter take the place of the base's.
func (s *Source) Merge(a *Adapter, dtype string) (int, error) {
	s.merged = map[string]Param{}
	for i := range a.Linears {
		l := &a.Linears[i]
		name := l.Name + ".weight"
		p, ok := s.Param(name)
		if !ok {
			return 0, fmt.Errorf("the adapter adapts %s, the base has no such linear; is it the adapter of another model?", l.Name)
		}
		if p.Shape[0] != l.B.Shape[0] || p.Shape[1] != l.A.Shape[1] {
			return 0, fmt.Errorf("%s is %v, the adapter was made for [%d %d]", name, p.Shape, l.B.Shape[0], l.A.Shape[1])
		}
		m := Param{Name: name, DType: p.DType, Shape: p.Shape}
		if dtype != "" {
			m.DType = dtype
		} else if InBlocks(p.DType) {
			return 0, fmt.Errorf("%s is stored in blocks (%s), which an adapter cannot be added to without rounding it again\n  = help: --dtype f16, bf16 or f32", name, p.DType)
		}
		m.data = func() ([]byte, error) { return merged(p, l, m.DType) }
		s.merged[name] = m
	}
	n := len(s.merged)
	return n, s.mergeModules(a, dtype)
}

// merged is one matrix, its rows in halves.
func merged(p Param, l *Linear, dtype string) ([]byte, error) {
	x, err := p.floats()
	if err != nil {
		return nil, err
	}
	a, b, err := l.factors()
	if err != nil {
		return nil, err
	}
	if i := notFinite(x); i >= 0 {
		return nil, fmt.Errorf("%s of the base holds %v", p.Name, x[i])
	}
	k := kernels.New(0)
	defer k.Close()
	w := kernels.MatOf(x, p.Shape[0], p.Shape[1])
	by, err := l.turned(k, w.Weight(), a, b)
	if err != nil {
		return nil, err
	}
	k.AddMatMulNN(w, b, a.Weight())
	for i, f := range by {
		k.Scale(w.Slice(i, i+1), w.Slice(i, i+1), f)
	}
	if notFinite(x) >= 0 {
		return nil, fmt.Errorf("%s is not finite after merging", p.Name)
	}
	out, err := Encode(x, dtype)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	return out, nil
}

// turned is what DoRA multiplies the rows of w + b·a by; nil without magnitudes. b holds
// the scale.
func (l *Linear) turned(k *kernels.Context, w kernels.Weight, a, b kernels.Mat) ([]float32, error) {
	if l.M == nil {
		return nil, nil
	}
	m, err := l.M.floats()
	if err != nil {
		return nil, err
	}
	n := make([]float32, len(m))
	k.RowNorms(n, w, a, b, 1)
	for i := range m {
		if n[i] == 0 {
			m[i] = 0
		} else {
			m[i] /= n[i]
		}
	}
	return m, nil
}

// factors are A, and B times the scale.
func (l *Linear) factors() (a, b kernels.Mat, err error) {
	fa, err := l.A.floats()
	if err != nil {
		return a, b, err
	}
	fb, err := l.B.floats()
	if err != nil {
		return a, b, err
	}
	a, b = kernels.MatOf(fa, l.A.Shape[0], l.A.Shape[1]), kernels.MatOf(fb, l.B.Shape[0], l.B.Shape[1])
	k := kernels.New(1)
	defer k.Close()
	k.Scale(b, b, float32(l.Scale))
	return a, b, nil
}
