package compiler

import (
	"math"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/compiler/model"
	"lorac/ir"
)

// TestDoRA: the gradients of a finished step are central differences of the graph as it
// is built, in which norms of rows are constants; the adapter is fused all the same.
func TestDoRA(t *testing.T) {
	for name, j := range map[string]meshJob{
		"limited": {kv: 4, vocab: 24, targets: ".*wq|.*wv", dropout: 0.3, pet: ", use_dora: True"},
		"plain":   {kv: 4, vocab: 24, targets: ".*wq|.*wk|.*w2", pet: ", use_dora: True"},
		"dropout": {kv: 8, vocab: 24, keys: "qkv_has_bias: True", targets: ".*wv|.*wo", dropout: 0.3, pet: ", use_dora: True"},
	} {
		t.Run(name, func(t *testing.T) {
			if name == "limited" {
				testkit.Slow(t, "passes")
			}
			m, checked := checkGradients(t, j, name == "limited")
			if want := 3 * strings.Count(j.targets, "w"); checked != want {
				t.Errorf("%d parameters train, not %d", checked, want)
			}
			for _, f := range m.Funcs {
				for _, s := range f.Body {
					if s.Op.Name == "matmul" && s.Attrs.Str("group") == "lora" {
						t.Errorf("%s: %s is not fused", f.Name, s)
					}
				}
			}
		})
	}
}

// checkGradients holds the gradients of a finished step against central differences of the
// graph as it is built, in which norms of rows are constants. It says how many storages
// train.
func checkGradients(t *testing.T, j meshJob, limited bool) (m *ir.Module, checked int) {
	c := parse(t, j.text())
	var target *Target
	if limited { // by memory, so that more is recomputed
		target = small()
		target.Fit = ir.Env{"T": 16, "S": 16, "N": 8}
		full := compile(t, c, target)
		target.Limit = full.Process.Total - full.Module.Arena()/8
	}
	m = compile(t, c, target).Module
	built, err := model.Build(c)
	if err != nil {
		t.Fatal(err)
	}
	rows := joinRows(newMeshRows(j.vocab)[:3])
	got := ir.NewInterp(m, rows.env())
	fillMesh(got)
	got.Call("step", rows.args(m.Func("step"))...)
	in := ir.NewInterp(built, rows.env())
	fillMesh(in)
	in = constantNorms(built, in, rows.env())
	root := built.Func("loss")
	if j.dropout > 0 {
		root = built.Func("train")
	}
	loss := func() float64 { return in.Call(root.Name, rows.args(root)...)[0].F[0] }
	for _, p := range built.Storages {
		if p.Kind != ir.Param || !p.Trainable {
			continue
		}
		checked++
		x, grad := in.Storage[p.Name].F, got.Storage[p.Name+".grad"].F
		for i := 0; i < len(x); i += 1 + len(x)/3 {
			const eps = 1e-5
			old := x[i]
			x[i] = old + eps
			up := loss()
			x[i] = old - eps
			want := (up - loss()) / (2 * eps)
			x[i] = old
			if math.Abs(want-grad[i]) > 1e-8+1e-6*math.Abs(want) {
				t.Errorf("d loss / d $%s[%d] is %g, differences give %g", p.Name, i, grad[i], want)
			}
		}
	}
	return m, checked
}

// constantNorms has the norms of rows read copies of the parameters.
func constantNorms(m *ir.Module, in *ir.Interp, env ir.Env) *ir.Interp {
	still := map[*ir.Storage]*ir.Storage{}
	for _, f := range m.Funcs {
		for _, s := range f.Body {
			if s.Op.Name != "row_norms" {
				continue
			}
			s.Args = slices.Clone(s.Args)
			for i, a := range s.Args {
				of := still[a.Storage]
				if of == nil {
					twin := *a.Storage
					of = &twin
					of.Name, of.Trainable = of.Name+".still", false
					still[a.Storage] = of
					m.Storages = append(m.Storages, of)
				}
				s.Args[i] = ir.Ref(of)
			}
		}
	}
	out := ir.NewInterp(m, env)
	for name, a := range in.Storage {
		copy(out.Storage[name].F, a.F)
	}
	for s, of := range still {
		copy(out.Storage[of.Name].F, in.Storage[s.Name].F)
	}
	return out
}
