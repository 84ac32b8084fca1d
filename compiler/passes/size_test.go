package passes

import (
	"math"
	"strings"
	"testing"
	"time"

	"lorac/compiler/cost"
	"lorac/ir"
)

var (
	llama7B   = spec{layers: 32, heads: 32, kvHeads: 32, dim: 4096, hd: 128, ffn: 11008, vocab: 32000, rank: 16, rows: 4096, targets: "wq wk wv wo"}
	llama13B  = spec{layers: 40, heads: 40, kvHeads: 40, dim: 5120, hd: 128, ffn: 13824, vocab: 32000, rank: 16, rows: 4096, targets: "wq wk wv wo"}
	llama70B  = spec{layers: 80, heads: 64, kvHeads: 8, dim: 8192, hd: 128, ffn: 28672, vocab: 32000, rank: 16, rows: 4096, targets: "wq wk wv wo"}
	tinyLlama = spec{layers: 22, heads: 32, kvHeads: 4, dim: 2048, hd: 64, ffn: 5632, vocab: 32000, rank: 16, rows: 2048, targets: "wq wk wv wo"}
)

func (s spec) at(rows int) spec { s.rows = rows; return s }

// TestStepFLOPs compares the cost of the final step with numbers worked out by
// hand: twice the multiply-adds of forward, input gradients (below the lowest
// adapter none) and adapters, attention over the causal half.
func TestStepFLOPs(t *testing.T) {
	for _, c := range []struct {
		name  string
		s     spec
		tflop float64
		digit float64
	}{
		{"7B", llama7B, 123.64, 0.005},
		{"7B, 2048 rows", llama7B.at(2048), 57.97, 0.005},
		{"7B, 512 rows", llama7B.at(512), 13.77, 0.005},
		{"13B", llama13B, 234.6, 0.05},
		{"70B", llama70B, 1203.7, 0.05},
		{"TinyLlama", tinyLlama, 9.83, 0.005},
	} {
		m := ir.MustParse(llama(c.s))
		if _, err := Run(m, nil, nil); err != nil {
			t.Fatal(err)
		}
		if got := cost.Count(m).FLOPs / 1e12; math.Abs(got-c.tflop) > c.digit {
			t.Errorf("%s: %.3f TFLOP a step, want %.2f", c.name, got, c.tflop)
		}
	}
}

// TestPruningSaves: 7B at 4096 rows takes 177.8 TFLOP when every weight's
// gradient is computed (adapters aside), 123.6 after pruning.
func TestPruningSaves(t *testing.T) {
	m := ir.MustParse(llama(llama7B))
	start := time.Now()
	steps, err := Run(m, nil, func(pass string, m *ir.Module) {
		if pass != "autodiff" {
			return
		}
		n := cost.Count(m)
		full := n.FLOPs - n.Adapters
		if math.Abs(full/1e12-177.77) > 0.005 {
			t.Errorf("%.3f TFLOP before pruning, want 177.77", full/1e12)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("the passes took %v", d)
	}
	for _, s := range steps {
		if s.Name == "prune-frozen" && (s.After.FLOPs >= s.Before.FLOPs || s.After.KeptBytes >= s.Before.KeptBytes || s.After.Storages >= s.Before.Storages) {
			t.Errorf("prune-frozen saved nothing: %+v to %+v", s.Before, s.After)
		}
	}
	frozen := 0
	for _, s := range m.Storages {
		if s.Kind == ir.Grad && !m.Storage(s.Attrs.Str("of")).Trainable {
			frozen++
		}
	}
	if frozen > 0 {
		t.Errorf("%d gradients of frozen weights are left", frozen)
	}
	for _, f := range m.Funcs {
		for _, s := range f.Body {
			if s.Op.Name == "matmul" && s.Attrs.Str("trans") == "lhs" {
				t.Errorf("%s: a weight gradient is left: %s", f.Name, s)
			}
		}
	}
}

// TestLowestAdapter: below the lowest segment that trains there is no backward.
func TestLowestAdapter(t *testing.T) {
	m := ir.MustParse(llama(specs["segments"]))
	if _, err := Run(m, nil, nil); err != nil {
		t.Fatal(err)
	}
	for _, f := range m.Funcs {
		if f.Of == "layer.low.forward" {
			t.Errorf("%s is left", f.Name)
		}
		if f.Name == "layer.low.forward" && len(f.Keep) > 0 {
			t.Errorf("layers that train nothing keep %v", f.Keep)
		}
	}
	step := m.Func("step").String()
	if !strings.Contains(step, "repeat layer.high.first.backward[2]") {
		t.Errorf("the lowest adapter hands a gradient down:\n%s", step)
	}
}

// TestStorageBytes checks what storages and saved activations take against sums
// made here.
func TestStorageBytes(t *testing.T) {
	m := ir.MustParse(llama(llama7B))
	if _, err := Run(m, nil, nil); err != nil {
		t.Fatal(err)
	}
	const trainable = 16777216 * 4
	if got, want := cost.StorageBytes(m), 6738415616*4+trainable+trainable+2*trainable+2*4096*64*4; got != want {
		t.Errorf("storages take %d bytes, want %d", got, want)
	}
	// What a layer of 7B saves: its input, q, k, v, o, mid of 4096 columns,
	// gate and up of 11008, four xa of rank 16, lse of 32 heads and the
	// statistic of the second norm; the input is the output of the layer below.
	saved := 4096 * 4 * (6*4096 + 2*11008 + 4*16 + 32 + 1)
	if got := cost.SavedBytes(m, m.MaxEnv()); got < 31*saved || got > 32*saved {
		t.Errorf("31 layers and what the last one needs take %d bytes, want from %d to %d", got, 31*saved, 32*saved)
	}
}
