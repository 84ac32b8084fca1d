package kernels

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// The op goldens of another trainer (surogate, Apache-2.0; float64 inputs and
// outputs), for every kernel that has one. They are read where they lie and
// the test is skipped without them.

type golden struct {
	Attrs, Meta            map[string]any
	Inputs, Outputs, Grads map[string]struct {
		Data  []float64
		Shape []int
	}
}

const goldenDir = "../../shared/data/goldens/ops_surogate"

func loadGolden(t *testing.T, name string) golden {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(goldenDir, name+"_small_case_1.json"))
	if os.IsNotExist(err) {
		t.Skip("the goldens are not here:", goldenDir)
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

// mat is an input as f32, all leading dimensions flattened to rows.
func (g golden) mat(t *testing.T, name string) Mat {
	t.Helper()
	in, ok := g.Inputs[name]
	if !ok {
		t.Fatalf("the golden has no input %q", name)
	}
	cols := in.Shape[len(in.Shape)-1]
	m := NewMat(len(in.Data)/cols, cols)
	for i, x := range in.Data {
		m.Data[i] = float32(x)
	}
	return m
}

func (g golden) ints(t *testing.T, name string) []int32 {
	t.Helper()
	var out []int32
	for _, x := range g.Inputs[name].Data {
		out = append(out, int32(x))
	}
	if out == nil {
		t.Fatalf("the golden has no input %q", name)
	}
	return out
}

func (g golden) attr(t *testing.T, name string) float64 {
	t.Helper()
	for _, m := range []map[string]any{g.Attrs, g.Meta} {
		if x, ok := m[name].(float64); ok {
			return x
		}
	}
	t.Fatalf("the golden has no number %q", name)
	return 0
}

// is compares with an output of the golden.
func (g golden) is(t *testing.T, name string, got []float32) {
	t.Helper()
	want := g.Outputs[name].Data
	if want == nil {
		want = g.Grads[name].Data
	}
	if len(want) == 0 || len(want) != len(got) {
		t.Fatalf("%s: %d values, the golden has %d", name, len(got), len(want))
	}
	nearVec(t, name, got, 2e-6, func(i int) float64 { return want[i] })
}

var goldenTests = map[string]func(t *testing.T, g golden){
	"matmul": func(t *testing.T, g golden) {
		a, b := g.mat(t, "a"), g.mat(t, "b")
		out := NewMat(a.Rows, b.Cols)
		ctx.MatMulNN(out, a, b.Weight())
		g.is(t, "out", out.Data)
	},
	"matmul_backward": func(t *testing.T, g golden) {
		a, b, d := g.mat(t, "a"), g.mat(t, "b"), g.mat(t, "d_out")
		da, db := NewMat(a.Rows, a.Cols), NewMat(b.Rows, b.Cols)
		ctx.MatMulNT(da, d, b.Weight())
		ctx.MatMulTN(db, a, d)
		g.is(t, "d_a", da.Data)
		g.is(t, "d_b", db.Data)
	},
	"embedding": func(t *testing.T, g golden) {
		w, tokens := g.mat(t, "weight"), g.ints(t, "token_ids")
		out := NewMat(len(tokens), w.Cols)
		ctx.Embed(out, tokens, w.Weight())
		g.is(t, "out", out.Data)
	},
	"embedding_backward": func(t *testing.T, g golden) {
		d := g.mat(t, "d_out")
		dw := NewMat(int(g.attr(t, "vocab_size")), d.Cols)
		ctx.EmbedGrad(dw, d, g.ints(t, "token_ids"))
		g.is(t, "d_embedding", dw.Data)
	},
	"fused_residual_rmsnorm": func(t *testing.T, g golden) {
		res, in, w := g.mat(t, "residual_in"), g.mat(t, "input"), g.mat(t, "weight")
		sum, y, rstd := NewMat(in.Rows, in.Cols), NewMat(in.Rows, in.Cols), make([]float32, in.Rows)
		ctx.AddRMSNorm(sum, y, rstd, res, in, w.Data, float32(g.attr(t, "eps")))
		g.is(t, "residual_out", sum.Data)
		g.is(t, "rstd", rstd)
		g.is(t, "y", y.Data)
	},
	"fused_residual_rmsnorm_backward": func(t *testing.T, g golden) {
		x, d, next := g.mat(t, "residual_out"), g.mat(t, "d_y"), g.mat(t, "d_residual_next")
		w, rstd := g.mat(t, "weight").Data, g.mat(t, "rstd").Data
		dx, dw := NewMat(x.Rows, x.Cols), make([]float32, x.Cols)
		ctx.RMSNormGradAdd(dx, next, d, x, rstd, w)
		ctx.RMSNormGradW(dw, d, x, rstd)
		g.is(t, "d_input", dx.Data)
		g.is(t, "d_residual", dx.Data)
		g.is(t, "d_weight", dw)
	},
	"cross_entropy_loss": func(t *testing.T, g golden) {
		logits, targets := g.mat(t, "logits"), g.ints(t, "targets")
		var got []float32
		for i := range targets {
			got = append(got, float32(ctx.CrossEntropy(logits.Slice(i, i+1), targets[i:i+1], []float32{1})))
		}
		g.is(t, "loss", got)
	},
	"cross_entropy_backward": func(t *testing.T, g golden) {
		logits := g.mat(t, "logits")
		d := NewMat(logits.Rows, logits.Cols)
		ctx.CrossEntropyGrad(d, logits, g.ints(t, "targets"), g.mat(t, "d_loss").Data)
		g.is(t, "d_logits", d.Data)
	},
	"rope":          func(t *testing.T, g golden) { goldenRope(t, g, "qkv", "out", ctx.Rope) },
	"rope_backward": func(t *testing.T, g golden) { goldenRope(t, g, "d_out", "d_qkv", ctx.RopeGrad) },
}

// goldenRope turns the query and key heads of a row [q | k | v]; the golden's
// frequencies are pairs of cos and sin by position.
func goldenRope(t *testing.T, g golden, in, out string, rope func(y, x Mat, pos []int32, cos, sin Mat, headDim int)) {
	x, freqs, hd := g.mat(t, in), g.mat(t, "freqs"), int(g.attr(t, "head_dim"))
	cos, sin := NewMat(freqs.Rows, hd/2), NewMat(freqs.Rows, hd/2)
	for p := range freqs.Rows {
		for j := range hd / 2 {
			cos.Row(p)[j], sin.Row(p)[j] = freqs.Row(p)[2*j], freqs.Row(p)[2*j+1]
		}
	}
	turned := x.Columns(0, hd*int(g.attr(t, "Hq")+g.attr(t, "Hkv")))
	rope(turned, turned, g.ints(t, "position_ids"), cos, sin, hd)
	g.is(t, out, x.Data)
}

func TestGoldens(t *testing.T) {
	for name, test := range goldenTests {
		t.Run(name, func(t *testing.T) {
			g := loadGolden(t, name)
			paths(t, func(t *testing.T) { test(t, g) })
		})
	}
}

// A golden without a test would pass for one that holds.
func TestEveryGoldenIsTested(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(goldenDir, "*.json"))
	if len(files) == 0 {
		t.Skip("the goldens are not here:", goldenDir)
	}
	for _, f := range files {
		name := filepath.Base(f)
		if goldenTests[name[:max(0, len(name)-len("_small_case_1.json"))]] == nil {
			t.Errorf("%s is tried by no test", name)
		}
	}
}
