package op

import (
	"fmt"
	"math"

	"lorac/ir"
)

// Adafactor (Shazeer & Stern 2018; MindSpore nn/optim/adafactor.py) and CAME
// (Luo et al. 2023; MindFormers r1.3 core/optim/came.py): the second moment of
// a matrix is kept as the means of its rows and columns. Vectors keep it
// whole. Each layer of a stacked storage is a tensor of its own.
//
//	β = 1 − t^(−decay_rate);  s = g² + eps1
//	row = β·row + (1−β)·mean_cols(s);  col = β·col + (1−β)·mean_rows(s)
//	u = g/√(row·col/mean(row));  u /= max(1, rms(u)/clip_threshold)
//
// Adafactor continues with m = beta1·m + (1−beta1)·rate·u and p −= rate·weight_decay·p + m, CAME with
//
//	m = beta1·m + (1−beta1)·u;  d = (u − m)² + eps3, averaged over rows and columns like s, by beta3
//	p −= rate·weight_decay·p + rate·m/√(d.row·d.col/mean(d.row))
//
// where rate = lr, or min(10⁻², 1/√t) with relative_step (10⁻⁶·t instead of 10⁻² with warmup_init);
// times max(eps2, rms(p)) with scale_parameter.
func init() {
	common := []ir.AttrSpec{
		{Name: "eps1", Kind: ir.FloatAttr, Required: true}, {Name: "eps2", Kind: ir.FloatAttr, Required: true},
		{Name: "clip_threshold", Kind: ir.FloatAttr, Required: true}, {Name: "decay_rate", Kind: ir.FloatAttr, Required: true},
		{Name: "beta1", Kind: ir.FloatAttr, Required: true}, {Name: "weight_decay", Kind: ir.FloatAttr, Required: true},
		{Name: "scale_parameter", Kind: ir.BoolAttr, Required: true}, {Name: "relative_step", Kind: ir.BoolAttr, Required: true},
		{Name: "warmup_init", Kind: ir.BoolAttr, Required: true}, lrRatio,
	}
	ir.Register(&ir.Op{
		Name: "adafactor", NoAscend: otherOptimizer, Doc: "one Adafactor step t (from 1) of matrices",
		Args: []string{"param", "grad", "m", "row", "col", "lr", "t", "coef"}, Optional: 1, Kernel: "Adafactor", Place: tensors, Writes: []int{0, 2, 3, 4},
		Attrs: common,
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			return nil, all(same(s, 1, 0), same(s, 2, 0), factors(s, 3), stepArgs(s, 5))
		},
		Eval: func(c *ir.EvalCtx) { evalFactored(c, 5) },
	})
	ir.Register(&ir.Op{
		Name: "adafactor_vector", NoAscend: otherOptimizer, Doc: "one Adafactor step t (from 1) of vectors",
		Args: []string{"param", "grad", "m", "v", "lr", "t", "coef"}, Optional: 1, Kernel: "Adafactor", Place: tensors, Writes: []int{0, 2, 3},
		Attrs: common,
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			return nil, all(same(s, 1, 0), same(s, 2, 0), same(s, 3, 0), stepArgs(s, 4))
		},
		Eval: func(c *ir.EvalCtx) { evalFactored(c, 4) },
	})
	came := append([]ir.AttrSpec{{Name: "eps3", Kind: ir.FloatAttr, Required: true}, {Name: "beta3", Kind: ir.FloatAttr, Required: true}}, common...)
	ir.Register(&ir.Op{
		Name: "came", NoAscend: otherOptimizer, Doc: "one CAME step t (from 1) of matrices",
		Args: []string{"param", "grad", "m", "row", "col", "drow", "dcol", "lr", "t", "coef"}, Optional: 1, Kernel: "Came", Place: tensors, Writes: []int{0, 2, 3, 4, 5, 6},
		Attrs: came,
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			return nil, all(same(s, 1, 0), same(s, 2, 0), factors(s, 3), factors(s, 5), stepArgs(s, 7))
		},
		Eval: func(c *ir.EvalCtx) { evalFactored(c, 7) },
	})
	ir.Register(&ir.Op{
		Name: "came_vector", NoAscend: otherOptimizer, Doc: "one CAME step t (from 1) of vectors",
		Args: []string{"param", "grad", "m", "v", "lr", "t", "coef"}, Optional: 1, Kernel: "Came", Place: tensors, Writes: []int{0, 2, 3},
		Attrs: came,
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			return nil, all(same(s, 1, 0), same(s, 2, 0), same(s, 3, 0), stepArgs(s, 4))
		},
		Eval: func(c *ir.EvalCtx) { evalFactored(c, 4) },
	})
}

// factors checks that operands at and at+1 are a vector for the rows and one
// for the columns of operand 0.
func factors(s *ir.Stmt, at int) error {
	rows, cols, err := matrix(s, 0)
	if err != nil {
		return err
	}
	if s.Args[0].Storage == nil {
		return fmt.Errorf("operand %s must be a storage", s.Args[0])
	}
	return all(want(s, at, f32(rows)), want(s, at+1, f32(cols)))
}

// evalFactored evaluates the four ops; the rate is operand at.
func evalFactored(c *ir.EvalCtx, at int) {
	a := c.S.Attrs
	lr, t, coef := evalStep(c, at)
	shape := c.S.Args[0].Storage.Type.Shape
	n := tensorLen(c)
	rows, cols := 1, n
	if len(shape) == 2 {
		cols = c.Env.Size(shape[1])
		rows = n / cols
	}
	beta2 := 1 - math.Pow(t, -a.Float("decay_rate"))
	came := a["beta3"] != nil
	for k := 0; k*n < len(c.In[0].F); k++ {
		part := func(i, size int) []float64 { return c.In[i].F[k*size : (k+1)*size] }
		p, m := part(0, n), part(2, n)
		g := make([]float64, n)
		axpy(g, coef, part(1, n))
		s := make([]float64, n)
		for i, x := range g {
			s[i] = x*x + a.Float("eps1")
		}
		u := make([]float64, n)
		if len(shape) == 2 {
			average(part(3, rows), part(4, cols), s, beta2)
			unfactor(u, g, part(3, rows), part(4, cols))
		} else {
			v := part(3, n)
			for i := range v {
				v[i] = beta2*v[i] + (1-beta2)*s[i]
				u[i] = g[i] / math.Sqrt(v[i])
			}
		}
		limit := max(1, rms(u)/a.Float("clip_threshold"))
		for i := range u {
			u[i] /= limit
		}
		rate := lr
		if a.Bool("relative_step") {
			if rate = 1e-2; a.Bool("warmup_init") {
				rate = 1e-6 * t
			}
			rate = min(rate, 1/math.Sqrt(t))
		}
		if a.Bool("scale_parameter") {
			rate *= max(a.Float("eps2"), rms(p))
		}
		b1, decay := a.Float("beta1"), 1-rate*a.Float("weight_decay")
		step := make([]float64, n)
		for i := range m {
			if came {
				m[i] = b1*m[i] + (1-b1)*u[i]
				step[i] = rate * m[i]
			} else {
				m[i] = b1*m[i] + (1-b1)*rate*u[i]
				step[i] = m[i]
			}
		}
		if came && len(shape) == 2 {
			for i := range s {
				s[i] = (u[i]-m[i])*(u[i]-m[i]) + a.Float("eps3")
			}
			average(part(5, rows), part(6, cols), s, a.Float("beta3"))
			unfactor(step, append([]float64(nil), step...), part(5, rows), part(6, cols))
		}
		for i := range p {
			p[i] = p[i]*decay - step[i]
		}
	}
}

// average moves the means of the rows and columns towards those of s.
func average(row, col, s []float64, keep float64) {
	nr, nc := float64(len(row)), float64(len(col))
	for i := range row {
		row[i] *= keep
	}
	for j := range col {
		col[j] *= keep
	}
	for i, x := range s {
		row[i/len(col)] += (1 - keep) * x / nc
		col[i%len(col)] += (1 - keep) * x / nr
	}
}

// unfactor divides by the square root that rows and columns stand for.
func unfactor(out, x, row, col []float64) {
	mean := 0.0
	for _, r := range row {
		mean += r / float64(len(row))
	}
	for i := range x {
		out[i] = x[i] / math.Sqrt(row[i/len(col)]/mean*col[i%len(col)])
	}
}

func rms(x []float64) float64 { return math.Sqrt(dot(x, x) / float64(len(x))) }
