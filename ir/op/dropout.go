package op

import (
	"math"

	"lorac/ir"
)

func init() {
	ir.Register(&ir.Op{
		Name: "dropout", Ascend: "dropout", Doc: "inverted dropout; the mask is a function of the row's seed, layer, stream and column, so it is recomputed instead of saved",
		Args: []string{"x", "keys", "layer"}, Kernel: "Dropout", Place: letters("tc,t,->tc", []int{0}), Rowwise: []int{0, 1}, Cheap: true, InPlace: [][2]int{{0, 0}},
		Attrs: []ir.AttrSpec{{Name: "p", Kind: ir.FloatAttr, Required: true}, {Name: "stream", Kind: ir.IntAttr, Required: true}},
		Infer: func(s *ir.Stmt) ([]ir.Type, error) {
			rows, cols, err := matrix(s, 0)
			if err = all(err, want(s, 1, ir.Tensor(ir.I64, rows)), want(s, 2, ir.Scalar(ir.I32))); err != nil {
				return nil, err
			}
			return []ir.Type{f32(rows, cols)}, nil
		},
		Eval: func(c *ir.EvalCtx) {
			d := dropSpec{c.S.Attrs.Float("p"), c.In[1].I, c.In[2].I[0], c.S.Attrs.Int("stream"), c.First(0, 1)}
			d.apply(c.Out[0], c.In[0])
		},
		Grad: func(g *ir.GradCtx) {
			g.Add(0, g.Emit1("dropout", g.Name(0), g.S.Attrs.Clone(), ir.Val(g.D[0]), g.Arg(1), g.Arg(2)))
		},
	})
}

// dropSpec is one mask.
type dropSpec struct {
	p      float64
	keys   []int64
	layer  int64
	stream int
	first  int // the column of the whole matrix that x begins with
}

func (d dropSpec) apply(y, x *ir.Array) {
	if d.p == 0 {
		copy(y.F, x.F)
		return
	}
	limit := uint32(math.Round(d.p * 65536))
	for i := 0; i < x.Rows(); i++ {
		h := dropRow(uint64(d.keys[i]), d.layer, d.stream)
		row := x.Row(i)
		for j := range row {
			v := 0.0
			if dropWord(h, d.first+j) >= limit {
				v = row[j] / (1 - d.p)
			}
			y.Row(i)[j] = v
		}
	}
}

// dropRow and dropWord define the mask; kernels draws the same one, and a test
// there compares the two. dropRow mixes key, layer and stream (the finalizer
// of splitmix64); dropWord gives 16 bits per column, two columns from one
// 32-bit mix (lowbias32 of Wellons 2018).
func dropRow(key uint64, layer int64, stream int) uint64 {
	z := key + 0x9E3779B97F4A7C15*uint64(layer*64+int64(stream)+1)
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}

func dropWord(h uint64, col int) uint32 {
	x := uint32(h) + uint32(col>>1)*0x9E3779B9
	x ^= x >> 16
	x *= 0x7FEB352D
	x ^= x >> 15
	x *= 0x846CA68B
	x ^= x >> 16
	x ^= uint32(h >> 32)
	if col&1 == 1 {
		return x >> 16
	}
	return x & 0xFFFF
}
