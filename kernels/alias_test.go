package kernels

import "testing"

// What the comments allow to be one buffer gives the same bits as two.
func TestInPlace(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, cols := range []int{1, 6, 16, 33, 70} {
			const n = 9
			a, b, c := randMat(n, cols), randMat(n, cols), randMat(n, cols)
			w, rstd := randMat(1, cols).Row(0), make([]float32, n)
			ctx.RMSNorm(NewMat(n, cols), rstd, a, w, 1e-5)
			drop := Drop{P: 0.4, Seeds: someSeeds(n)}
			type op struct {
				name string
				run  func(y Mat, in [3]Mat)
			}
			for _, o := range []op{
				{"add", func(y Mat, in [3]Mat) { ctx.Add(y, in[0], in[1]) }},
				{"mul", func(y Mat, in [3]Mat) { ctx.Mul(y, in[0], in[1]) }},
				{"scale", func(y Mat, in [3]Mat) { ctx.Scale(y, in[0], 1.5) }},
				{"silu", func(y Mat, in [3]Mat) { ctx.SiLU(y, in[0]) }},
				{"silu gradient", func(y Mat, in [3]Mat) { ctx.SiLUGrad(y, in[0], in[1]) }},
				{"swiglu", func(y Mat, in [3]Mat) { ctx.SwiGLU(y, in[0], in[1]) }},
				{"dropout", func(y Mat, in [3]Mat) { ctx.Dropout(y, in[0], drop) }},
				{"rmsnorm", func(y Mat, in [3]Mat) { ctx.RMSNorm(y, make([]float32, n), in[0], w, 1e-5) }},
				{"add+rmsnorm", func(y Mat, in [3]Mat) { ctx.AddRMSNorm(y, NewMat(n, cols), make([]float32, n), in[0], in[1], w, 1e-5) }},
				{"rmsnorm gradient", func(y Mat, in [3]Mat) { ctx.RMSNormGrad(y, in[0], a, rstd, w) }},
				{"rmsnorm gradient + residual", func(y Mat, in [3]Mat) { ctx.RMSNormGradAdd(y, in[0], in[1], a, rstd, w) }},
				{"swiglu gradient of the gate", func(y Mat, in [3]Mat) { ctx.SwiGLUGrad(y, NewMat(n, cols), in[0], in[1], in[2]) }},
				{"swiglu gradient of the other", func(y Mat, in [3]Mat) { ctx.SwiGLUGrad(NewMat(n, cols), y, in[0], in[1], in[2]) }},
			} {
				want := NewMat(n, cols)
				o.run(want, [3]Mat{a, b, c})
				for i := range 3 {
					in := [3]Mat{clone(a), clone(b), clone(c)}
					switch o.name {
					case "scale", "silu", "dropout", "rmsnorm":
						if i > 0 {
							continue
						}
					case "swiglu gradient of the gate", "swiglu gradient of the other":
					default:
						if i > 1 {
							continue
						}
					}
					o.run(in[i], in)
					sameBits(t, o.name, bits([]Mat{in[i]}), bits([]Mat{want}))
				}
			}
			// Both gradients of swiglu at once, in each two of its three inputs.
			dg, du := NewMat(n, cols), NewMat(n, cols)
			ctx.SwiGLUGrad(dg, du, a, b, c)
			for i := range 3 {
				for j := range 3 {
					if i == j {
						continue
					}
					in := [3]Mat{clone(a), clone(b), clone(c)}
					ctx.SwiGLUGrad(in[i], in[j], in[0], in[1], in[2])
					sameBits(t, "dg in place", bits([]Mat{in[i]}), bits([]Mat{dg}))
					sameBits(t, "du in place", bits([]Mat{in[j]}), bits([]Mat{du}))
				}
			}
		}
		// Rope turns in place, forth and back.
		const hd = 6
		cos, sin := NewMat(20, hd/2), NewMat(20, hd/2)
		RopeTable(cos, sin, RopeSpec{HeadDim: hd, Theta: 100, Method: "none"})
		x, y := randMat(5, 3*hd), NewMat(5, 3*hd)
		pos := []int32{0, 19, 4, 4, 1}
		ctx.Rope(y, x, pos, cos, sin, hd)
		ctx.Rope(x, x, pos, cos, sin, hd)
		sameBits(t, "rope in place", bits([]Mat{x}), bits([]Mat{y}))
		ctx.RopeGrad(y, x, pos, cos, sin, hd)
		ctx.RopeGrad(x, x, pos, cos, sin, hd)
		sameBits(t, "rope back in place", bits([]Mat{x}), bits([]Mat{y}))
	})
}

// Kernels write their outputs and nothing beside them: the gaps between rows
// of a view are others' columns.
func TestGapsStay(t *testing.T) {
	paths(t, func(t *testing.T) {
		const n, cols, mark = 11, 37, 12345
		gapped := func() Mat {
			m := Mat{make([]float32, n*(cols+5)), n, cols, cols + 5}
			for i := range m.Data {
				m.Data[i] = mark
			}
			return m
		}
		intact := func(name string, m Mat) {
			t.Helper()
			for i := range n {
				for _, x := range m.Data[i*m.Stride+cols : (i+1)*m.Stride] {
					if x != mark {
						t.Fatalf("%s wrote beside row %d", name, i)
					}
				}
			}
		}
		x, w, sq := dense(n, cols), dense(cols, cols), dense(n, n)
		y := gapped()
		ctx.MatMulNT(y, x, w.Weight())
		intact("MatMulNT", y)
		ctx.AddMatMulNN(y, x, w.Weight())
		intact("MatMulNN", y)
		ctx.MatMulTN(y, sq, x)
		intact("MatMulTN", y)
		ctx.SwiGLU(y, x, x)
		intact("SwiGLU", y)
		z := gapped()
		ctx.SwiGLUGrad(y, z, x, x, x)
		intact("SwiGLUGrad", y)
		intact("SwiGLUGrad", z)
		ctx.Dropout(y, x, Drop{P: 0.5, Seeds: make([]uint64, n)})
		intact("Dropout", y)
		ctx.RMSNorm(y, make([]float32, n), x, x.Row(0), 1)
		intact("RMSNorm", y)
		ctx.CrossEntropyGrad(y, x, make([]int32, n), make([]float32, n))
		intact("CrossEntropyGrad", y)
		o, dq, dk, dv := gapped(), gapped(), gapped(), gapped()
		lse := NewMat(n, 1)
		ctx.Attention(o, lse, x, x, x, []int32{0, 4}, nil, 1, 1, 1)
		ctx.AttentionGrad(dq, dk, dv, x, x, x, x, o, lse, []int32{0, 4}, nil, 1, 1, 1)
		for name, m := range map[string]Mat{"Attention": o, "dq": dq, "dk": dk, "dv": dv} {
			intact(name, m)
		}
	})
}
