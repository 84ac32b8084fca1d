package rt

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/exit"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// A base that is not the config's is refused, with every reason.
func TestBaseRefused(t *testing.T) {
	const q = "model.layers.0.self_attn.q_proj.weight"
	many := func(x map[string]blob) {
		for i := range 14 {
			x[fmt.Sprintf("model.layers.%02d.extra.weight", i+1)] = f32("x", 2, 2)
		}
	}
	for _, c := range []struct {
		name   string
		change func(x map[string]blob)
		linear string
		words  []string
	}{
		{"missing", func(x map[string]blob) { delete(x, q); delete(x, "model.norm.weight") }, "", []string{"  " + q + " is missing", "  model.norm.weight is missing", "= help: the shapes come from"}},
		{"shapes", func(x map[string]blob) {
			x[q], x["model.norm.weight"] = f32(q, width, 8), f32("n", 8)
		}, "", []string{q + " has shape [32 8], the config makes it [32 32]", "model.norm.weight has shape [8], the config makes it [32]"}},
		{"unknown", func(x map[string]blob) { x["model.layers.1.self_attn.q_proj.weight"] = f32("x", width, width) }, "", []string{"model.layers.1.self_attn.q_proj.weight is in the checkpoint, the config has no place for it"}},
		{"many", many, "", []string{"… and 2 more"}},
		{"type", func(x map[string]blob) { x[q] = blob{"I32", []int{width, width}, make([]byte, 4*width*width)} }, "", []string{"as whole numbers (I32), which are not read"}},
		{"part", nil, "w_qkv", []string{"model.layers.0.self_attn.k_proj.weight is missing"}},
		{"part's type", func(x map[string]blob) {
			x["model.layers.0.self_attn.k_proj.weight"] = blob{"BF16", []int{width, width}, make([]byte, 2*width*width)}
			x["model.layers.0.self_attn.v_proj.weight"] = f32("v", width, width)
		}, "w_qkv", []string{"k_proj.weight is BF16, the matrix next to it F32"}},
		{"part's size", func(x map[string]blob) {
			x["model.layers.0.self_attn.k_proj.weight"] = f32("k", 8, width)
			x["model.layers.0.self_attn.v_proj.weight"] = f32("v", 8, width)
		}, "w_qkv", []string{"have 6144 bytes, 96×32 are expected"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			j, x := adaptedJob(t), tensors()
			if c.change != nil {
				c.change(x)
			}
			j.LoadCheckpoint = write(t, filepath.Join(t.TempDir(), "other.safetensors"), x)
			for _, words := range c.words {
				refused(t, j, shapeOf{linear: c.linear}.body, exit.Input, words)
			}
		})
	}
	j := adaptedJob(t)
	j.LoadCheckpoint = ""
	refused(t, j, shapeOf{}.body, exit.Input, "the frozen base needs weights: give --load_checkpoint")
	j = adaptedJob(t)
	head := func(r *Run) error { r.Weight("lm_head.weight", vocab, width); return r.Loaded() }
	refused(t, j, head, exit.Input, "lm_head.weight is missing; if the head shares the embedding, set tie_word_embeddings: True")
	full := func(r *Run) error { // what trains must be there, too
		r.Trainable([]string{queryName}, width, width, Init{})
		r.Trainable([]string{"model.layers.0.attention.wk.weight"}, width, width, Init{})
		return r.Loaded()
	}
	refused(t, j, full, exit.Input, "model.layers.0.self_attn.k_proj.weight is missing")
}

// A base joins its matrices where the config has them as one, under each type
// that is read, and a copy of a head that is tied is left alone.
func TestBaseJoined(t *testing.T) {
	j, x := adaptedJob(t), tensors()
	x["lm_head.weight"] = x["model.embed_tokens.weight"]
	for _, part := range []string{"k", "v"} {
		x["model.layers.0.self_attn."+part+"_proj.weight"] = f32(part, width, width)
	}
	j.LoadCheckpoint = write(t, filepath.Join(t.TempDir(), "parts.safetensors"), x)
	var joined []byte
	for _, part := range []string{"q", "k", "v"} {
		joined = append(joined, x["model.layers.0.self_attn."+part+"_proj.weight"].data...)
	}
	want := must(t, j, shapeOf{linear: "w_qkv", look: func(_ *Run, m *adapted) {
		for i, row := range m.w {
			if string(peft.Bytes(row)) != string(joined[4*width*i:4*width*(i+1)]) {
				t.Fatalf("row %d of the joined matrix is another", i)
			}
		}
	}}.body, "--run_mode", "eval")
	whole := maps.Clone(x)
	for _, part := range []string{"q", "k", "v"} {
		delete(whole, "model.layers.0.self_attn."+part+"_proj.weight")
	}
	whole["model.layers.0.attention.w_qkv.weight"] = blob{"F32", []int{3 * width, width}, joined}
	j.LoadCheckpoint = write(t, filepath.Join(t.TempDir(), "whole.safetensors"), whole)
	if a, b := evaluated(t, want), evaluated(t, must(t, j, shapeOf{linear: "w_qkv"}.body, "--run_mode", "eval")); a != b {
		t.Errorf("joined %s, stored as one %s", a, b)
	}
	trained := func(r *Run) error {
		s := r.Trainable([]string{"model.layers.0.attention.w_qkv.weight"}, 3*width, width, Init{})
		n := r.Trainable([]string{normName}, width, 0, Init{})
		r.Embedding(embedName, vocab, width)
		if err := r.Loaded(); err != nil {
			return err
		}
		if string(peft.Bytes(s.Data[:3*width*width])) != string(joined) || string(peft.Bytes(n.Vec(0))) != string(x["model.norm.weight"].data) {
			t.Error("what trains does not start as the checkpoint has it")
		}
		return nil
	}
	for _, file := range []string{"parts", "whole"} {
		if file == "parts" {
			j.LoadCheckpoint = write(t, filepath.Join(t.TempDir(), "parts.safetensors"), x)
		}
		must(t, j, trained, "--run_mode", "eval")
	}
}

// The base is quantised or rounded to eight bits where the job says so, once
// for each state of the files.
func TestBaseInBlocks(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	exact := lossOf(t, evaluated(t, must(t, j, model.body, "--run_mode", "eval")))
	near := func(said, what string) {
		t.Helper()
		if got := lossOf(t, evaluated(t, said)); got == exact || math.Abs(got-exact) > 0.1*exact {
			t.Errorf("%s: loss %v, exact %v", what, got, exact)
		}
	}
	j.Compute = "int8"
	near(must(t, j, model.body, "--run_mode", "eval", "--allow_slow", "True"), "int8")
	j.Compute, j.Quant = "", Quant{Kind: "int8", Width: width, Hidden: width, Layers: 1, Heads: 4, KvHeads: 4, Eps: 1e-5, Theta: 10000}
	said := must(t, j, model.body, "--run_mode", "eval")
	wordsIn(t, said, "quantising "+j.LoadCheckpoint+" to int8", "relative error of the numbers")
	near(said, "quant int8")
	blocks := filepath.Join(j.Output, "quantised_checkpoint", "base-int8.gguf")
	again := must(t, j, model.body, "--run_mode", "eval")
	if strings.Contains(again, "quantising") || evaluated(t, again) != evaluated(t, said) {
		t.Errorf("the base was quantised again, or differently:\n%s", again)
	}
	said = must(t, j, model.body, "--run_mode", "eval", "--load_checkpoint", blocks)
	if strings.Contains(said, "quantising") || evaluated(t, again) != evaluated(t, said) {
		t.Errorf("a base in blocks is not used as it is:\n%s", said)
	}
	j.Quant.Kind = "int4"
	wordsIn(t, must(t, j, model.body, "--run_mode", "eval", "--load_checkpoint", blocks), "is stored in blocks already (2 Q8_0) and is used as it is")
	j.Quant.Kind = "int8"
	if err := os.WriteFile(blocks, []byte("no blocks"), 0o666); err != nil {
		t.Fatal(err)
	}
	refused(t, j, model.body, exit.Input, "cannot open the quantised base weights", "--run_mode", "eval")
}

// A checkpoint of two ranks is made one, once.
func TestTransformed(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	want := evaluated(t, must(t, j, model.body, "--run_mode", "eval"))
	save := t.TempDir()
	tree := filepath.Join(save, "tree")
	half := map[string]bool{"model.embed_tokens.weight": true, "model.layers.0.self_attn.q_proj.weight": true}
	layout := map[string]any{}
	for r := range 2 {
		x := tensors()
		for name, s := range x {
			tensorMap := []int{-1, -1}[:len(s.shape)]
			if half[name] {
				tensorMap[0] = 0
				n := len(s.data) / 2
				s.shape = []int{s.shape[0] / 2, s.shape[1]}
				s.data = s.data[r*n : (r+1)*n]
				x[name] = s
			}
			layout[naming.MindFormers(name)] = map[string]any{"dev_matrix": []int{2}, "tensor_map": tensorMap, "tensor_shape": s.shape, "field": 0, "opt_weight_shard_step": 0, "opt_weight_shard_size": 0}
		}
		if err := mindspore.Write(filepath.Join(tree, fmt.Sprintf("rank_%d", r), fmt.Sprintf("base_rank_%d-1_1.ckpt", r)), entriesOf(x), false); err != nil {
			t.Fatal(err)
		}
	}
	refused(t, j, model.body, exit.Input, "has shape [6 32], the config makes it [12 32]", "--run_mode", "eval", "--load_checkpoint", tree) // rank 0 alone
	args := []string{"--run_mode", "eval", "--load_checkpoint", tree, "--auto_trans_ckpt", "True"}
	refused(t, j, model.body, exit.Input, "no strategy file describes the layout", args...)
	text, err := json.Marshal(map[string]any{"current_stage": 0, "parallel_strategy_item": map[string]any{"M": map[string]any{"stage": 0, "strategy": [][]int{{1, 2}}}}, "parallel_layout_item": layout})
	if err != nil {
		t.Fatal(err)
	}
	strategy := filepath.Join(save, "strategy.json")
	if err := os.WriteFile(strategy, text, 0o666); err != nil {
		t.Fatal(err)
	}
	args = append(args, "--src_strategy_path_or_dir", strategy)
	said := must(t, j, model.body, args...)
	wordsIn(t, said, "transforming 2 files of "+tree)
	if got := evaluated(t, said); got != want {
		t.Errorf("transformed the base gives %s, want %s", got, want)
	}
	said = must(t, j, model.body, args...)
	wordsIn(t, said, "transformed by an earlier run")
	if got := evaluated(t, said); got != want {
		t.Errorf("taken as transformed the base gives %s, want %s", got, want)
	}
}

// lossOf is the number in what an evaluation says.
func lossOf(t *testing.T, text string) (loss float64) {
	t.Helper()
	if _, err := fmt.Sscanf(text, "loss %f", &loss); err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return loss
}
