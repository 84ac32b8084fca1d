package op

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"lorac/ir"
	"lorac/kernels"
)

// golden is a published case of another trainer's ops (surogate, Apache-2.0):
// float64 inputs and outputs by name.
type golden struct {
	Inputs, Outputs, Grads map[string]struct {
		Data  []float64
		Shape []int
	}
}

func loadGolden(t *testing.T, name string) golden {
	t.Helper()
	path := filepath.Join("../../../shared/data/goldens/ops_surogate", name+"_small_case_1.json")
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		t.Skip("the goldens are not here:", path)
	}
	var g golden
	if err == nil {
		err = json.Unmarshal(text, &g)
	}
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func (g golden) reals(name string, rows, cols int) *ir.Array {
	return &ir.Array{Shape: []int{rows, cols}, F: g.Inputs[name].Data}
}

func (g golden) ints(name string) *ir.Array {
	a := &ir.Array{}
	for _, x := range g.Inputs[name].Data {
		a.I = append(a.I, int64(x))
	}
	a.Shape = []int{len(a.I)}
	return a
}

// cpu is what the tests run kernels in.
var cpu = kernels.New(0)

func zerosOf(rows, cols int) *ir.Array {
	return &ir.Array{Shape: []int{rows, cols}, F: make([]float64, rows*cols)}
}

func run(name string, attrs ir.Attrs, out []*ir.Array, in ...*ir.Array) {
	ir.Lookup(name).Eval(&ir.EvalCtx{S: &ir.Stmt{Op: ir.Lookup(name), Attrs: attrs}, In: in, Out: out})
}

func mat(a *ir.Array) kernels.Mat {
	m := kernels.NewMat(a.Rows(), a.Cols())
	for i, x := range a.F {
		m.Data[i] = float32(x)
	}
	return m
}

func vec(a *ir.Array) []float32 { return mat(a).Data }

func int32s(a *ir.Array) []int32 {
	var out []int32
	for _, x := range a.I {
		out = append(out, int32(x))
	}
	return out
}

// agree compares evaluator and kernel with the golden.
func agree(t *testing.T, what string, want, evaluated []float64, kernel []float32) {
	t.Helper()
	if len(want) == 0 || len(evaluated) != len(want) || len(kernel) != len(want) {
		t.Fatalf("%s: %d, %d and %d numbers", what, len(want), len(evaluated), len(kernel))
	}
	for i, w := range want {
		if math.Abs(evaluated[i]-w) > 1e-9*(1+math.Abs(w)) {
			t.Fatalf("%s[%d]: the evaluator gives %v, the golden %v", what, i, evaluated[i], w)
		}
		if math.Abs(float64(kernel[i])-w) > 2e-6*(1+math.Abs(w)) {
			t.Fatalf("%s[%d]: the kernel gives %v, the golden %v", what, i, kernel[i], w)
		}
	}
}

func TestGoldenNorm(t *testing.T) {
	g := loadGolden(t, "fused_residual_rmsnorm")
	res, in, w := g.reals("residual_in", 2, 4), g.reals("input", 2, 4), g.reals("weight", 1, 4)
	sum, y, rstd := zerosOf(2, 4), zerosOf(2, 4), zerosOf(2, 1)
	run("add_rmsnorm", ir.Attrs{"eps": 1e-5}, []*ir.Array{sum, y, rstd}, res, in, w)
	ks, ky, kr := kernels.NewMat(2, 4), kernels.NewMat(2, 4), make([]float32, 2)
	cpu.AddRMSNorm(ks, ky, kr, mat(res), mat(in), vec(w), 1e-5)
	agree(t, "residual_out", g.Outputs["residual_out"].Data, sum.F, ks.Data)
	agree(t, "y", g.Outputs["y"].Data, y.F, ky.Data)
	agree(t, "rstd", g.Outputs["rstd"].Data, rstd.F, kr)

	g = loadGolden(t, "fused_residual_rmsnorm_backward")
	next, dy, x := g.reals("d_residual_next", 2, 4), g.reals("d_y", 2, 4), g.reals("residual_out", 2, 4)
	r := g.reals("rstd", 2, 1)
	dx, dw := zerosOf(2, 4), zerosOf(1, 4)
	run("rmsnorm_grad_add", nil, []*ir.Array{dx}, next, dy, x, r, w)
	run("rmsnorm_grad_w", nil, []*ir.Array{dw}, dy, x, r)
	kx, kw := kernels.NewMat(2, 4), make([]float32, 4)
	cpu.RMSNormGradAdd(kx, mat(next), mat(dy), mat(x), vec(r), vec(w))
	cpu.RMSNormGradW(kw, mat(dy), mat(x), vec(r))
	agree(t, "d_input", g.Outputs["d_input"].Data, dx.F, kx.Data)
	agree(t, "d_weight", g.Outputs["d_weight"].Data, dw.F, kw)
}

func TestGoldenEmbedding(t *testing.T) {
	g := loadGolden(t, "embedding")
	w, ids, out := g.reals("weight", 4, 4), g.ints("token_ids"), zerosOf(6, 4)
	run("embed", nil, []*ir.Array{out}, ids, w)
	ko := kernels.NewMat(6, 4)
	cpu.Embed(ko, int32s(ids), mat(w).Weight())
	agree(t, "out", g.Outputs["out"].Data, out.F, ko.Data)

	g = loadGolden(t, "embedding_backward")
	d, dw := g.reals("d_out", 6, 4), zerosOf(4, 4)
	ids = g.ints("token_ids")
	run("embed_grad", ir.Attrs{"vocab": 4}, []*ir.Array{dw}, d, ids)
	kw := kernels.NewMat(4, 4)
	cpu.EmbedGrad(kw, mat(d), int32s(ids))
	agree(t, "d_embedding", g.Outputs["d_embedding"].Data, dw.F, kw.Data)
}

func TestGoldenCrossEntropy(t *testing.T) {
	g := loadGolden(t, "cross_entropy_loss")
	logits, targets := g.reals("logits", 3, 8), g.ints("targets")
	for i, want := range g.Outputs["loss"].Data {
		one := zerosOf(3, 1)
		one.F[i] = 1 // the weights pick one row
		loss := zerosOf(1, 1)
		run("cross_entropy", nil, []*ir.Array{loss}, logits, targets, one)
		agree(t, "loss", []float64{want}, loss.F, []float32{float32(cpu.CrossEntropy(mat(logits), int32s(targets), vec(one)))})
	}
	g = loadGolden(t, "cross_entropy_backward")
	logits, targets = g.reals("logits", 3, 8), g.ints("targets")
	weights, d := g.reals("d_loss", 3, 1), zerosOf(3, 8)
	run("cross_entropy_grad", nil, []*ir.Array{d}, logits, targets, weights)
	kd := kernels.NewMat(3, 8)
	cpu.CrossEntropyGrad(kd, mat(logits), int32s(targets), vec(weights))
	agree(t, "d_logits", g.Outputs["d_logits"].Data, d.F, kd.Data)
}

func TestGoldenMatmul(t *testing.T) {
	for _, name := range []string{"matmul", "matmul_backward"} {
		g := loadGolden(t, name)
		a, b := g.reals("a", 2, 3), g.reals("b", 3, 4)
		if name == "matmul" {
			out := zerosOf(2, 4)
			run("matmul", ir.Attrs{"trans": "none", "group": "linear"}, []*ir.Array{out}, a, b)
			ko := kernels.NewMat(2, 4)
			cpu.MatMulNN(ko, mat(a), mat(b).Weight())
			agree(t, "out", g.Outputs["out"].Data, out.F, ko.Data)
			continue
		}
		d, da, db := g.reals("d_out", 2, 4), zerosOf(2, 3), zerosOf(3, 4)
		run("matmul", ir.Attrs{"trans": "rhs", "group": "linear"}, []*ir.Array{da}, d, b)
		run("matmul", ir.Attrs{"trans": "lhs", "group": "linear"}, []*ir.Array{db}, a, d)
		ka, kb := kernels.NewMat(2, 3), kernels.NewMat(3, 4)
		cpu.MatMulNT(ka, mat(d), mat(b).Weight())
		cpu.MatMulTN(kb, mat(a), mat(d))
		agree(t, "d_a", g.Outputs["d_a"].Data, da.F, ka.Data)
		agree(t, "d_b", g.Outputs["d_b"].Data, db.F, kb.Data)
	}
}

// The goldens hold q, k and v side by side, v untouched; frequencies come as
// cosine and sine in turn.
func TestGoldenRope(t *testing.T) {
	for name, x := range map[string][3]string{"rope": {"qkv", "out", ""}, "rope_backward": {"d_out", "d_qkv", "inverse"}} {
		g := loadGolden(t, name)
		cos, sin := zerosOf(2, 2), zerosOf(2, 2)
		for i, f := range g.Inputs["freqs"].Data {
			if i%2 == 0 {
				cos.F[i/2] = f
			} else {
				sin.F[i/2] = f
			}
		}
		in, want := zerosOf(2, 12), []float64{}
		for r := range 2 {
			copy(in.Row(r), g.Inputs[x[0]].Data[16*r:16*r+12])
			want = append(want, g.Outputs[x[1]].Data[16*r:16*r+12]...)
		}
		out, pos := zerosOf(2, 12), g.ints("position_ids")
		run("rope", ir.Attrs{"head_dim": 4, "inverse": x[2] != ""}, []*ir.Array{out}, in, pos, cos, sin)
		ko := kernels.NewMat(2, 12)
		if x[2] == "" {
			cpu.Rope(ko, mat(in), int32s(pos), mat(cos), mat(sin), 4)
		} else {
			cpu.RopeGrad(ko, mat(in), int32s(pos), mat(cos), mat(sin), 4)
		}
		agree(t, name, want, out.F, ko.Data)
	}
}

// TestSameMasks: the evaluator and the kernels draw the same dropout masks.
func TestSameMasks(t *testing.T) {
	const rows, cols = 40, 37
	x := zerosOf(rows, cols)
	keys := &ir.Array{Shape: []int{rows}}
	var raw []uint64
	for i := range x.F {
		x.F[i] = 1
	}
	for i := range rows {
		k := uint64(i)*0x9E3779B97F4A7C15 + 12345
		keys.I, raw = append(keys.I, int64(k)), append(raw, k)
	}
	for layer := range 3 {
		for stream := range 4 {
			for _, p := range []float64{0.05, 0.5, 0.9} {
				out := zerosOf(rows, cols)
				run("dropout", ir.Attrs{"p": p, "stream": stream}, []*ir.Array{out}, x, keys, &ir.Array{I: []int64{int64(layer)}})
				ko := kernels.NewMat(rows, cols)
				cpu.Dropout(ko, mat(x), kernels.Drop{P: float32(p), Seeds: raw, Layer: layer, Stream: stream})
				for i, v := range out.F {
					if math.Abs(v-float64(ko.Data[i])) > 1e-5*(1+v) {
						t.Fatalf("layer %d, stream %d, p %v, element %d: %v and %v", layer, stream, p, i, v, ko.Data[i])
					}
				}
			}
		}
	}
}
