package codegen_test

import (
	"regexp"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/ir"
)

// compileMesh is compile for ranks of one axis.
func compileMesh(t *testing.T, f frozen, axes ...ir.Axis) *ir.Module {
	t.Helper()
	text := strings.Replace(f.yaml(), "n_kv_heads: 1", "n_kv_heads: 2", 1)
	c, list := config.LoadBytes("mesh.yaml", []byte(text), nil)
	if c == nil {
		t.Fatal(list)
	}
	r, err := compiler.Compile(c, &compiler.Target{Mesh: axes})
	if err != nil {
		t.Fatal(err)
	}
	return r.Module
}

// TestMeshText: programs of ranks that share layers are programs; they link what
// others do not, and each sum of the graph is a call.
func TestMeshText(t *testing.T) {
	model := ir.Axis{Name: ir.Model, N: 2}
	for name, f := range map[string]frozen{
		"adapters": {layers: 3, targets: ".*wq|.*wo|.*w2", dropout: 0.25, wide: true},
		"concat":   {layers: 2, targets: ".*w_qkv", concat: true, wide: true},
		"full":     {layers: 2, targets: ".*wo", tied: true, wide: true, exclude: []string{"*.weight", "*embedding_weight"}},
		"biases":   {layers: 2, targets: ".*wo|.*wq", biases: true, wide: true, exclude: []string{"*.wv.bias", "*.1.*bias"}},
		"odd":      {layers: 2, targets: ".*wo"}, // a vocabulary of 11, which each has whole
	} {
		t.Run(name, func(t *testing.T) {
			m := compileMesh(t, f, ir.Axis{Name: ir.Data, N: 2}, model)
			text := textOf(t, m)
			sums := 0
			for _, fn := range m.Funcs {
				for _, s := range fn.Body {
					if s.Op.Wire != nil && s.Attrs.Str("axis") == ir.Model {
						sums++
					}
				}
			}
			if got := strings.Count(text, "m.ranks.") - strings.Count(text, "m.ranks.First"); got != sums || sums == 0 {
				t.Errorf("%d calls between ranks for %d statements", got, sums)
			}
			if parts := regexp.MustCompile(`ffnPart +=`); !parts.MatchString(text) {
				t.Errorf("it names no parts of sizes:\n%s", text)
			}
			if name != "full" && !testkit.Wanted("programs") {
				return
			}
			staged := compileMesh(t, f, ir.Axis{Name: ir.Stage, N: 2}, model)
			text = textOf(t, staged)
			for what, op := range map[string]string{"stages.Send(": "send", "stages.Receive(": "recv", "stages.SumScalar(": "all_reduce", "stages.SumGrads(": "sum_units"} {
				if got, want := strings.Count(text, what), statements(staged, ir.Stage, op); got != want || want == 0 && (op == "send" || op == "recv") {
					t.Errorf("%d calls of %s for %d statements", got, what, want)
				}
			}
		})
	}
	tree, err := codegen.Tree(compileMesh(t, frozen{layers: 2, targets: ".*wo"}, model))
	if err != nil {
		t.Fatal(err)
	}
	alone, err := codegen.Tree(compileMesh(t, frozen{layers: 2, targets: ".*wo"}, ir.Axis{Name: ir.Data, N: 2}))
	if err != nil {
		t.Fatal(err)
	}
	const linked = "vendor/lorac/runtime/mesh/run.go"
	if tree[linked] == nil || alone[linked] != nil {
		t.Error("what is linked for ranks that share layers is linked otherwise")
	}
}

// textOf is the program of a module, which is one.
func textOf(t *testing.T, m *ir.Module) (text string) {
	t.Helper()
	files, err := codegen.Emit(m)
	if err != nil {
		t.Fatal(err)
	}
	if err := typesOfGo(t).check(files); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text += string(file)
	}
	return text
}

// statements counts those of an op over an axis.
func statements(m *ir.Module, axis, op string) (n int) {
	for _, f := range m.Funcs {
		for _, s := range f.Body {
			if s.Op.Name == op && s.Attrs.Str("axis") == axis {
				n++
			}
		}
	}
	return n
}

// TestMeshShares: a program of shares steps what is its own, gathers the parameters, and
// clears all gradients; one that divides tokens scatters and gathers rows.
func TestMeshShares(t *testing.T) {
	f := frozen{layers: 3, targets: ".*wq|.*w2", wide: true}
	text := textOf(t, compileMesh(t, f, ir.Axis{Name: ir.Optimizer, N: 4}))
	for _, want := range []string{"rt.Mesh{Shards: optimizerRanks}", "m.shards.Norm(m.allLayerWqAGrad", "m.shards.Own(m.allLayerWqA), m.shards.Own(m.allLayerWqAGrad)", "m.shards.Gather(m.allLayerWqA,", "m.k.Clear(m.allLayerWqAGrad.Data"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the program", want)
		}
	}
	m := compileMesh(t, f, ir.Axis{Name: ir.Model, N: 2, Tokens: true})
	text = textOf(t, m)
	for what, op := range map[string]string{"ranks.ScatterRows(": "reduce_scatter", "ranks.GatherRows(": "all_gather", "ranks.OwnRows(": "own_rows"} {
		got, want := strings.Count(text, what), statements(m, ir.Model, op)
		if op == "all_gather" { // columns of logits
			got += strings.Count(text, "ranks.Columns(")
		}
		if got != want || want == 0 && op != "own_rows" {
			t.Errorf("%d calls of %s for %d statements", got, what, want)
		}
	}
}

// TestMeshStages: a program of stages has the entries of all of them.
func TestMeshStages(t *testing.T) {
	m := compileMesh(t, frozen{layers: 5, targets: ".*wq|.*w2", dropout: 0.25, wide: true}, ir.Axis{Name: ir.Stage, N: 5})
	text := textOf(t, m)
	for _, want := range []string{"rt.Mesh{Stages: stageRanks, Layers: layers}", "func (m *model) step4(", "m.stages.Norm(", "m.stages.Own(m.allLayerWqAGrad)", "case 1, 2, 3:\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in the program", want)
		}
	}
}

// TestMeshRefused: what has no form as a program is refused.
func TestMeshRefused(t *testing.T) {
	for want, m := range map[string]*ir.Module{
		"masks are drawn for two columns at a time":     compileMesh(t, frozen{layers: 2, targets: ".*w2", dropout: 0.25, odd: true}, ir.Axis{Name: ir.Model, N: 2}),
		"op `reduce_scatter` over model has no form as": scattered(t),
	} {
		if _, err := codegen.Emit(m); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %s", err, want)
		}
	}
}

// scattered is a module with a collective that no program has.
func scattered(t *testing.T) *ir.Module {
	m := compileMesh(t, frozen{layers: 2, targets: ".*wo"}, ir.Axis{Name: ir.Model, N: 2})
	for _, f := range m.Funcs {
		for _, s := range f.Body {
			if s.Op.Name == "all_reduce" && s.Results[0].Type.Rank() == 2 {
				s.Op = ir.Lookup("reduce_scatter")
				return m
			}
		}
	}
	t.Fatal("no sum")
	return nil
}
