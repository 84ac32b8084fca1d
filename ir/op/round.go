package op

import (
	"fmt"
	"math"

	"lorac/ir"
)

// Saved activations may be stored in half precision. round makes a value one
// that half precision holds exactly; narrow and widen convert such a value to
// its stored form and back. So the forward and a backward that reads the stored
// value, or recomputes it, see the same bits.

func init() {
	ir.Register(&ir.Op{
		Name: "round", NoAscend: fullWidth, Doc: "x to the nearest number of another type (ties to even, at most the largest), as f32", Args: []string{"x"}, Kernel: "Round", Place: letters("tc->tc"),
		Attrs:   []ir.AttrSpec{{Name: "dtype", Kind: ir.StringAttr, Required: true}},
		Rowwise: []int{0}, Cheap: true, InPlace: [][2]int{{0, 0}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			if _, err := half(s); err != nil {
				return nil, err
			}
			return likeFirst(s)
		},
		Eval: func(c *ir.EvalCtx) {
			d, _ := half(c.S)
			for i, x := range c.In[0].F {
				c.Out[0].F[i] = nearest(d, x)
			}
		},
	})
	ir.Register(&ir.Op{
		Name: "narrow", NoAscend: fullWidth, Doc: "x stored in another type", Args: []string{"x"}, Kernel: "Narrow", Place: letters("tc->tc"),
		Attrs:   []ir.AttrSpec{{Name: "dtype", Kind: ir.StringAttr, Required: true}},
		Rowwise: []int{0},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			d, err := half(s)
			if err != nil {
				return nil, err
			}
			rows, cols, err := matrix(s, 0)
			return []ir.Type{ir.Tensor(d, rows, cols)}, err
		},
		Eval: func(c *ir.EvalCtx) {
			d, _ := half(c.S)
			for i, x := range c.In[0].F {
				c.Out[0].F[i] = nearest(d, x)
			}
		},
	})
	ir.Register(&ir.Op{
		Name: "widen", NoAscend: fullWidth, Doc: "x as f32", Args: []string{"x"}, Kernel: "Widen", Place: letters("tc->tc", []int{0}), Rowwise: []int{0},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			return []ir.Type{f32(rows, cols)}, err
		},
		Eval: func(c *ir.EvalCtx) { copy(c.Out[0].F, c.In[0].F) },
	})
}

// half is the type a statement rounds to.
func half(s *ir.Stmt) (ir.DType, error) {
	d, ok := ir.ParseDType(s.Attrs.Str("dtype"))
	if !ok || d != ir.F16 && d != ir.BF16 {
		return 0, fmt.Errorf("attribute `dtype` must be f16 or bf16, it is %s", ir.FormatAttr(s.Attrs["dtype"]))
	}
	return d, nil
}

// nearest is the number of type d nearest to x, but what would overflow stays
// the largest finite number.
func nearest(d ir.DType, x float64) float64 {
	most := 65504.0
	if d == ir.BF16 {
		most = math.Ldexp(255, 120)
	}
	return max(-most, min(most, d.Nearest(x)))
}
