package main

import (
	"math"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"lorac/cmd/lorac/convert"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

var evalLine = regexp.MustCompile(`evaluation: loss ([0-9.]+),`)

// evalLoss runs the trainer in eval mode and reads the loss off what it says.
func (x *tiny) evalLoss(args ...string) float64 {
	x.t.Helper()
	cmd := x.command(x.t.TempDir(), append([]string{"--run_mode", "eval", "--eval_dataset_dir", filepath.Join(x.dir, "rows.jsonl")}, args...)...)
	text, err := cmd.CombinedOutput()
	if err != nil {
		x.t.Fatalf("%v\n%s", err, text)
	}
	found := evalLine.FindSubmatch(text)
	if found == nil {
		x.t.Fatalf("no evaluation in:\n%s", text)
	}
	loss, err := strconv.ParseFloat(string(found[1]), 64)
	x.must(err)
	return loss
}

// TestMergedEqualsAdapter trains an adapter of all seven linears, then holds
// the loss of the base with it against that of the merged checkpoint, and the
// merged matrices against W + scale·B·A in float64.
func TestMergedEqualsAdapter(t *testing.T) {
	t.Parallel()
	x := newTiny(t, map[string]string{
		"model.model_config.pet_config.target_modules": ".*w1|.*w2|.*w3|.*wq|.*wk|.*wv|.*wo",
		"model.model_config.n_kv_heads":                "2",
		"runner_config.epochs":                         "8",
		"lr_schedule.learning_rate":                    "1.e-2",
	})
	zero := zeroAdapter(t, x)
	before := x.evalLoss("--load_adapter", zero)
	out := filepath.Join(x.dir, "out")
	x.run(out, "--load_adapter", zero)
	adapter := filepath.Join(out, "adapter")
	after := x.evalLoss("--load_adapter", adapter)
	if !(after < before-0.05) {
		t.Errorf("training took the evaluation loss from %v to %v only", before, after)
	}
	merged := filepath.Join(x.dir, "merged")
	x.must((&convert.Merge{Base: filepath.Join(x.dir, "base"), Adapter: adapter, Out: merged, DType: "keep"}).Run())
	if loss := x.evalLoss("--load_checkpoint", merged, "--load_adapter", zero); math.Abs(loss-after) > 2e-6*after {
		t.Errorf("the merged checkpoint has loss %v, base and adapter %v", loss, after)
	}
	compareMerged(t, filepath.Join(x.dir, "base"), adapter, merged)
}

// zeroAdapter is the initial adapter with every B zero: it changes nothing.
func zeroAdapter(t *testing.T, x *tiny) string {
	t.Helper()
	a, err := peft.Load(filepath.Join(x.dir, "init"))
	x.must(err)
	var list []peft.Tensor
	for name, m := range a.Tensors {
		if name[len(name)-2:] == "_b" {
			m.Data = make([]float32, len(m.Data))
		}
		list = append(list, m)
	}
	dir := filepath.Join(x.dir, "zero")
	x.must(peft.Save(dir, a.Config, list))
	return dir
}

func compareMerged(t *testing.T, base, adapter, merged string) {
	t.Helper()
	from, err := safetensors.OpenSet(base)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	to, err := safetensors.OpenSet(merged)
	if err != nil {
		t.Fatal(err)
	}
	defer to.Close()
	delta, err := peft.Load(adapter)
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, name := range from.Names() {
		old, _ := from.Tensor(name)
		now, ok := to.Tensor(name)
		if !ok || now.DType != old.DType {
			t.Errorf("%s is %s after merging, was %s", name, now.DType, old.DType)
			continue
		}
		w, err := peft.Floats(old.DType, old.Data)
		if err != nil {
			t.Fatal(err)
		}
		got, err := peft.Floats(now.DType, now.Data)
		if err != nil || len(got) != len(w) {
			t.Fatalf("%s has %d elements, %v", name, len(got), err)
		}
		a, b, scale, ok := adapted(delta, name)
		if ok {
			changed++
		}
		for i := range w {
			want := float64(w[i])
			if ok {
				row, col := i/a.Cols, i%a.Cols
				for k := range a.Rows {
					want += scale * float64(b.Data[row*b.Cols+k]) * float64(a.Data[k*a.Cols+col])
				}
			}
			if math.Abs(float64(got[i])-want) > 1e-5 {
				t.Fatalf("%s[%d] is %v after merging, W + scale·B·A is %v", name, i, got[i], want)
			}
		}
	}
	if changed != 21 {
		t.Errorf("%d matrices are adapted, 7 in each of 3 layers are", changed)
	}
}

// adapted finds the adapter of a base tensor.
func adapted(a *peft.Adapter, name string) (am, bm peft.Tensor, scale float64, ok bool) {
	root, _ := strings.CutSuffix(naming.MindFormers(name), ".weight")
	am, ok = a.Tensors[root+".mindpet_delta_lora_a"]
	return am, a.Tensors[root+".mindpet_delta_lora_b"], a.Scale[am.Name], ok
}
