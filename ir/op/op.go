// Package op defines the operations of the IR, one file each: operands,
// attributes, result types, meaning in float64, gradient, cost, kernel. It
// knows no pass and no code generator; a kernel is just a name.
package op

import (
	"fmt"
	"slices"

	"lorac/ir"
)

// Why some ops have no kernel on an Ascend device, and the way out.
const (
	wholeMatrix    = "on the device adapters alone train: write a pet_config, and freeze_exclude no parameter of the base"
	otherOptimizer = "the device takes AdamW's step alone: the optimizers are FP32StateAdamWeightDecay and AdamW"
	halfAdapter    = "an adapter runs there as one op, of which both halves train or none: name both in freeze_include or freeze_exclude, and leave pass fuse-lora on"
	sideBySide     = "linears side by side are not cut there: set qkv_concat: False; `lorac convert weights` splits a base"
	biasInside     = "a bias is added after its linear there: leave pass device-types on"
	ofDoRA         = "rows of an adapted matrix have no norms and magnitudes there: set use_dora: False, or run with --device cpu"
	wholeRows      = "norms of rows are those of whole rows: set use_dora: False, or use a mesh that divides no tensor (mp)"
	oneCard        = "a mesh of processes has no form there yet: leave --mesh away"
	wholeTensor    = "the step of this optimizer reads means or norms of whole tensors: use one of AdamW, Adam, SGD, Momentum and Adagrad, or a mesh that divides no tensor (mp, os)"
	fullWidth      = "activations have 16 bits there from the start: leave the memory limit away"
)

// shape checks an operand's rank and returns its dimensions.
func shape(s *ir.Stmt, i, rank int) ([]ir.Dim, error) {
	t := s.Args[i].Type()
	if t.Kept != nil || t.Rank() != rank {
		return nil, fmt.Errorf("operand %s must have %d dimensions, it is %s", s.Args[i], rank, t)
	}
	return t.Shape, nil
}

// matrix checks that operand i is a matrix of real numbers.
func matrix(s *ir.Stmt, i int) (rows, cols ir.Dim, err error) {
	d, err := shape(s, i, 2)
	if err != nil {
		return rows, cols, err
	}
	if !s.Args[i].Type().DType.Float() {
		return rows, cols, fmt.Errorf("operand %s must hold real numbers, it is %s", s.Args[i], s.Args[i].Type())
	}
	return d[0], d[1], nil
}

// same checks that operand i has the type of operand j.
func same(s *ir.Stmt, i, j int) error {
	if a, b := s.Args[i].Type(), s.Args[j].Type(); !a.Equal(b) {
		return fmt.Errorf("operand %s is %s, %s is %s", s.Args[i], a, s.Args[j], b)
	}
	return nil
}

// want checks that operand i has the given type; storages may be of any float.
func want(s *ir.Stmt, i int, t ir.Type) error {
	got := s.Args[i].Type()
	if s.Args[i].Storage != nil && got.DType.Float() && got.Kept == nil {
		got = ir.Type{DType: t.DType, Shape: got.Shape}
	}
	if !got.Equal(t) {
		return fmt.Errorf("operand %s must be %s, it is %s", s.Args[i], t, s.Args[i].Type())
	}
	return nil
}

// activation checks that operand i holds real numbers of the given shape, in
// f32 or in the 16 bits of a device.
func activation(s *ir.Stmt, i int, d ...ir.Dim) error {
	t := f32(d...)
	if got := s.Args[i].Type().DType; got == ir.F16 || got == ir.BF16 {
		t.DType = got
	}
	return want(s, i, t)
}

func f32(d ...ir.Dim) ir.Type { return ir.Tensor(ir.F32, d...) }
func i32(d ...ir.Dim) ir.Type { return ir.Tensor(ir.I32, d...) }

// all returns the first error.
func all(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// likeFirst is the result type of an element-wise op: that of operand 0, all
// operands alike.
func likeFirst(s *ir.Stmt) ([]ir.Type, error) {
	t := s.Args[0].Type()
	if t.Kept != nil || !t.DType.Float() {
		return nil, fmt.Errorf("operand %s must hold real numbers, it is %s", s.Args[0], t)
	}
	for i := range s.Args {
		if err := same(s, i, 0); err != nil {
			return nil, err
		}
	}
	return []ir.Type{f32(t.Shape...)}, nil
}

// elementwise makes an evaluator of a function of corresponding elements.
func elementwise(f func(x []float64) float64) func(c *ir.EvalCtx) {
	return func(c *ir.EvalCtx) {
		x := make([]float64, len(c.In))
		for i := range c.Out[0].F {
			for j := range c.In {
				x[j] = c.In[j].F[i]
			}
			c.Out[0].F[i] = f(x)
		}
	}
}

// acc registers the accumulating twin of an op: the same operands, then one
// storage per accumulated result, which grows by it.
func acc(base *ir.Op, kernel string) *ir.Op {
	base.Acc = base.Name + "_acc"
	if base.AccResults == nil {
		base.AccResults = func(*ir.Stmt) []int { return []int{0} }
	}
	split := func(s *ir.Stmt) (*ir.Stmt, []ir.Type, []int, error) {
		// The number of accumulated results follows from operands and
		// attributes; find the count that makes the base statement legal.
		for n := len(s.Args) - 1; n > 0; n-- {
			if base.CheckArity(n) != nil {
				continue
			}
			b := &ir.Stmt{Op: base, Args: s.Args[:n], Attrs: s.Attrs, Pos: s.Pos}
			types, err := base.Infer(b)
			if err == nil && len(base.AccResults(b)) == len(s.Args)-n {
				return b, types, base.AccResults(b), nil
			}
		}
		return nil, nil, nil, fmt.Errorf("operands fit no `%s` followed by storages", base.Name)
	}
	return ir.Register(&ir.Op{
		NoAscend: base.NoAscend,
		Name:     base.Acc, Doc: base.Doc + ", added to storages",
		Args: append(append([]string(nil), base.Args...), "grad"), Optional: base.Optional, Variadic: true,
		Attrs: base.Attrs, Kernel: kernel, Formula: base.Formula, Named: base.Named,
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			b, types, accs, err := split(s)
			if err != nil {
				return nil, err
			}
			taken := map[int]bool{}
			for k, r := range accs {
				taken[r] = true
				if g := s.Args[len(b.Args)+k].Type(); !g.Equal(types[r]) {
					return nil, fmt.Errorf("result %d is %s, %s is %s", r, types[r], s.Args[len(b.Args)+k], g)
				}
			}
			var out []ir.Type
			for i, t := range types {
				if !taken[i] {
					out = append(out, t)
				}
			}
			return out, nil
		},
		WritesOf: func(s *ir.Stmt) []int {
			b, _, accs, err := split(s)
			if err != nil {
				return nil
			}
			var out []int
			for k := range accs {
				out = append(out, len(b.Args)+k)
			}
			return out
		},
		Eval: func(c *ir.EvalCtx) {
			b, types, accs, _ := split(c.S)
			in := &ir.EvalCtx{S: b, Env: c.Env, In: c.In[:len(b.Args)], Low: c.Low, Rank: c.Rank}
			for _, t := range types {
				in.Out = append(in.Out, ir.NewArray(t, c.Env))
			}
			base.Eval(in)
			taken := map[int]bool{}
			for k, r := range accs {
				taken[r] = true
				for i, v := range in.Out[r].F {
					c.In[len(b.Args)+k].F[i] += v
				}
			}
			n := 0
			for i := range types {
				if !taken[i] {
					copy(c.Out[n].F, in.Out[i].F)
					n++
				}
			}
		},
		Cost: func(s *ir.Stmt, env ir.Env) []ir.Work {
			b, _, _, err := split(s)
			if err != nil || base.Cost == nil {
				return nil
			}
			return base.Cost(b, env)
		},
		Drop: base.Drop,
		Place: func(p *ir.Placing) ([]ir.Placement, error) {
			b, types, accs, err := split(p.S)
			if err != nil {
				return nil, err
			}
			if base.Place == nil {
				return nil, fmt.Errorf("`%s` has no rule for processes that divide a step", p.S.Op.Name)
			}
			for _, t := range types {
				b.Results = append(b.Results, &ir.Value{Type: t})
			}
			all, err := base.Place(&ir.Placing{S: b, Axis: p.Axis, In: p.In[:len(b.Args)]})
			if err != nil {
				return nil, err
			}
			var out, adds []ir.Placement
			for i, place := range all {
				if slices.Contains(accs, i) {
					adds = append(adds, place)
				} else {
					out = append(out, place)
				}
			}
			return append(out, adds...), nil
		},
	})
}

func equalDims(s *ir.Stmt, a, b ir.Dim) error {
	if !a.Same(b) {
		return fmt.Errorf("inner dimensions %s and %s differ in `%s`", a, b, s.Op.Name)
	}
	return nil
}
