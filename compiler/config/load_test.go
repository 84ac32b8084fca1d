package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lorac/ir/diag"
)

// minimal is a small config in which every value is chosen to differ from the
// defaults.
const minimal = `seed: 7
output_dir: './out'
run_mode: 'finetune'
runner_config:
  epochs: 3
  batch_size: 5
optimizer:
  type: AdamW
  betas: [0.8, 0.95]
  eps: 1.e-7
  weight_decay: 0.01
lr_schedule:
  type: CosineWithWarmUpLR
  learning_rate: 2.e-4
  lr_end: 1.e-6
  warmup_ratio: 0.1
train_dataset: &train_dataset
  data_loader:
    type: MindDataset
    dataset_dir: "rows.jsonl"
    shuffle: False
  batch_size: 4
train_dataset_task:
  dataset_config: *train_dataset
model:
  model_config:
    type: LlamaConfig
    batch_size: 1
    seq_length: 64
    hidden_size: 32
    num_layers: 2
    num_heads: 4
    n_kv_heads: 2
    vocab_size: 100
    multiple_of: 16
    compute_dtype: "float32"
    pet_config:
      pet_type: lora
      lora_rank: 4
      lora_alpha: 8
      lora_dropout: 0.1
      target_modules: '.*wq|.*wv'
  arch:
    type: LlamaForCausalLM
runner_wrapper:
  use_clip_grad: True
  max_grad_norm: 0.5
`

// load reads a text that must be free of errors.
func load(t *testing.T, text string, overrides ...Override) *Config {
	t.Helper()
	c, l := CheckBytes("config.yaml", []byte(text), overrides)
	if l.HasErrors() {
		t.Fatalf("not accepted:\n%s", render(c, l))
	}
	return c
}

// refuse reads a text that must have errors and returns the list.
func refuse(t *testing.T, text string, overrides ...Override) diag.List {
	t.Helper()
	c, l := CheckBytes("config.yaml", []byte(text), overrides)
	if !l.HasErrors() {
		t.Fatalf("accepted:\n%s", text)
	}
	if c == nil {
		t.Fatal("Check returns no config to report on")
	}
	if again, _ := LoadBytes("config.yaml", []byte(text), overrides); again != nil {
		t.Error("Load returns a config that has errors")
	}
	return l
}

func render(c *Config, l diag.List) string {
	var b strings.Builder
	diag.Render(&b, l, c.Sources, false)
	return b.String()
}

func has(l diag.List, code, part string) *diag.Diagnostic {
	for _, d := range l {
		if d.Code == code && strings.Contains(d.Message+" "+d.Label+" "+d.Help+" "+strings.Join(d.Notes, " "), part) {
			return d
		}
	}
	return nil
}

func edit(text, old, new string) string {
	if !strings.Contains(text, old) {
		panic("no such text: " + old)
	}
	return strings.Replace(text, old, new, 1)
}

func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func at(file string, line, col, n int) Pos { return Pos{File: file, Line: line, Col: col, Len: n} }

func TestLoadMinimal(t *testing.T) {
	c := load(t, minimal)
	same(t, "name", c.Name, "config")
	same(t, "seed", c.Seed.V, 7)
	same(t, "output", c.Output.V, "./out")
	same(t, "epochs", c.Run.Epochs.V, 3)
	same(t, "batch size", c.Run.BatchSize.V, 5)
	same(t, "rule", c.Optimizer.Rule, "torch")
	same(t, "beta1", c.Optimizer.Beta1.V, 0.8)
	same(t, "beta2", c.Optimizer.Beta2.V, 0.95)
	same(t, "eps", c.Optimizer.Eps.V, 1e-7)
	same(t, "weight decay", c.Optimizer.WeightDecay.V, 0.01)
	same(t, "schedule", c.Schedule.Type.V, "cosine")
	same(t, "rate", c.Schedule.LR.V, 2e-4)
	same(t, "end", c.Schedule.LREnd.V, 1e-6)
	same(t, "ratio", c.Schedule.WarmupRatio.V, 0.1)
	same(t, "cycles", c.Schedule.NumCycles.V, 0.5)
	same(t, "data", c.Train.Dir.V, "rows.jsonl")
	same(t, "shuffle", c.Train.Shuffle.V, false)
	same(t, "drop remainder", c.Train.DropRemainder.V, true)
	same(t, "eval drops", c.Eval.DropRemainder.V, false)
	same(t, "sequence", c.Model.SeqLength.V, 64)
	same(t, "head size", c.Model.HeadDim.V, 8)
	same(t, "kv heads", c.Model.KVHeads.V, 2)
	same(t, "ffn", c.Model.FFN.V, 96) // 2·128/3 = 85, up to a multiple of 16
	same(t, "rope", c.Model.RopeMethod.V, "none")
	same(t, "compute", c.Model.ComputeDType.V, "f32")
	same(t, "param", c.Model.ParamDType.V, "f16")
	same(t, "rank", c.LoRA.Rank.V, 4)
	same(t, "alpha", c.LoRA.Alpha.V, 8.0)
	same(t, "dropout", c.LoRA.Dropout.V, 0.1)
	same(t, "targets", strings.Join(c.Targets(), " "), "wq wv")
	same(t, "clip", c.Wrapper.UseClip.V, true)
	same(t, "norm", c.Wrapper.MaxNorm.V, 0.5)
	same(t, "place of hidden_size", c.Model.Hidden.At, at("config.yaml", 30, 18, 2))
	same(t, "origin of hidden_size", c.Model.Hidden.Origin, "file")
	same(t, "origin of theta", c.Model.Theta.Origin, "default")
}

// Windows line ends and a byte order mark change nothing.
func TestLoadCRLFAndBOM(t *testing.T) {
	want := load(t, minimal)
	for name, text := range map[string]string{
		"CRLF": strings.ReplaceAll(minimal, "\n", "\r\n"),
		"BOM":  "\xef\xbb\xbf" + minimal,
	} {
		c := load(t, text)
		same(t, name+": rate", c.Schedule.LR, want.Schedule.LR)
		same(t, name+": output", c.Output, want.Output)
		same(t, name+": keys", len(c.Keys), len(want.Keys))
	}
}

func TestEveryKeyHasAPlace(t *testing.T) {
	c := load(t, minimal)
	lines := strings.Split(minimal, "\n")
	if len(c.Keys) < 35 {
		t.Errorf("only %d keys", len(c.Keys))
	}
	for _, k := range c.Keys {
		name := k.Path[strings.LastIndex(k.Path, ".")+1:]
		if !k.At.Known() || !strings.HasPrefix(lines[k.At.Line-1][k.At.Col-1:], name) {
			t.Errorf("%s is not at %s", k.Path, k.At)
		}
		if k.Status != Used && k.Why == "" {
			t.Errorf("%s is %s without a reason", k.Path, k.Status)
		}
	}
}

func TestAnchorsAndMerges(t *testing.T) {
	text := edit(minimal, "train_dataset_task:\n  dataset_config: *train_dataset\n", `eval_dataset:
  <<: *train_dataset
  repeat: 2
  data_loader:
    dataset_dir: other.jsonl
`)
	c := load(t, text)
	same(t, "merged", c.Eval.Dir.V, "other.jsonl")
	same(t, "own", c.Eval.Repeat.V, 2)
	same(t, "train", c.Train.Dir.V, "rows.jsonl")
}

func TestScalarAnchor(t *testing.T) {
	c := load(t, edit(edit(minimal, "epochs: 3", "epochs: &three 3"), "num_layers: 2", "num_layers: *three"))
	same(t, "layers", c.Model.Layers.V, 3)
	same(t, "place", c.Model.Layers.At.Line, 5)
}

func TestOverrides(t *testing.T) {
	c := load(t, minimal,
		Override{"runner_config.epochs", "9", "--epochs"},
		Override{"optimizer.eps", "1e-9", ""},
		Override{"model.model_config.eos_token_id", "[2, 5]", ""},
		Override{"load_checkpoint", "007", "--load_checkpoint"},
		Override{"do_eval", "TRUE", "--do_eval"},
		Override{"model.model_config.pet_config.target_modules", ".*(wk|wo)", ""},
		Override{"eval_dataset.data_loader.dataset_dir", "a: b", "--eval_dataset_dir"},
	)
	same(t, "epochs", c.Run.Epochs, Val[int]{9, Pos{File: "--epochs"}, "--epochs"})
	same(t, "eps", c.Optimizer.Eps, Val[float64]{1e-9, Pos{File: "--optimizer.eps"}, "--optimizer.eps"})
	same(t, "eos", len(c.Model.EosIDs.V), 2)
	same(t, "checkpoint", c.LoadCheckpoint.V, "007")
	same(t, "do_eval", c.DoEval.V, true)
	same(t, "targets", strings.Join(c.Targets(), " "), "wk wo")
	same(t, "eval data, in a section of its own making", c.Eval.Dir.V, "a: b")
}

func TestOverridesGoWrong(t *testing.T) {
	l := refuse(t, minimal,
		Override{"runer_config.epochs", "9", ""},
		Override{"seed.x", "1", ""},
		Override{"model..x", "1", ""},
		Override{"runner_config.batch_size", "many", "--batch_size"})
	for code, part := range map[string]string{"unknown-key": "runner_config", "override": "`seed` is not a section", "type": "given by --batch_size"} {
		if has(l, code, part) == nil {
			t.Errorf("no %s with %q in\n%v", code, part, l)
		}
	}
	if d := has(l, "override", "not the path"); d == nil || d.Pos.File != "--model..x" {
		t.Errorf("an empty part of a path is not reported at its flag: %v", l)
	}
}

func TestBaseConfig(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("base/all.yaml", minimal)
	write("base/more.yaml", "runner_config:\n  epochs: 8\ncallbacks:\n  - type: MFLossMonitor\n")
	write("job.yaml", "base_config: [base/all.yaml, base/more.yaml]\nrunner_config:\n  batch_size: 6\nmodel:\n  model_config:\n    eos_token_id: [2, 3]\n")
	c, l := Check("./job.yaml", nil)
	if l.HasErrors() {
		t.Fatal(render(c, l))
	}
	same(t, "path", c.Path, "job.yaml")
	same(t, "epochs", c.Run.Epochs, Val[int]{8, at("base/more.yaml", 2, 11, 1), "file"})
	same(t, "batch size", c.Run.BatchSize, Val[int]{6, at("job.yaml", 3, 15, 1), "file"})
	same(t, "hidden", c.Model.Hidden.At.File, "base/all.yaml")
	same(t, "eos", len(c.Model.EosIDs.V), 2)
	same(t, "sources", len(c.Sources), 3)

	write("one.yaml", "base_config: two.yaml\n")
	write("two.yaml", "base_config: ./one.yaml\n")
	_, l = Check("one.yaml", nil)
	if d := has(l, "base-cycle", "one.yaml → two.yaml → one.yaml"); d == nil || d.Pos != at("two.yaml", 1, 14, 10) {
		t.Errorf("the circle is not reported where it closes: %v", l)
	}
	write("lost.yaml", "base_config: nowhere.yaml\nmodel: {}\n")
	_, l = Check("lost.yaml", nil)
	if d := has(l, "unreadable", "nowhere.yaml"); d == nil || d.Pos.Line != 1 {
		t.Errorf("a missing base is not reported at its name: %v", l)
	}
	// Every file names the two next ones: 2^n loads without a bound.
	for i := range 30 {
		next := "fan" + string(rune('a'+i+1)) + ".yaml"
		write("fan"+string(rune('a'+i))+".yaml", "base_config: ["+next+", "+next+"]\n")
	}
	write("fan"+string(rune('a'+30))+".yaml", "seed: 1\n")
	if _, l = Check("fana.yaml", nil); has(l, "base-config", "more than") == nil {
		t.Errorf("a tree of bases is not bounded: %v", l)
	}
}

func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	for name, want := range map[string]string{filepath.Join(dir, "none.yaml"): "no such file", dir: "directory"} {
		c, l := Check(name, nil)
		if has(l, "unreadable", want) == nil || c == nil {
			t.Errorf("%s: %v", name, l)
		}
		if c, _ := Load(name, nil); c != nil {
			t.Error("Load returns a config of a file it could not read")
		}
	}
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, []byte("# "+strings.Repeat("x", maxBytes)), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, l := Check(big, nil); has(l, "unreadable", "MiB") == nil {
		t.Errorf("a file without end is read: %v", l)
	}
}

// Aliases that repeat aliases expand to billions of nodes; nesting without end
// exhausts the stack.
func TestBombs(t *testing.T) {
	bomb := "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
	for c := 'b'; c <= 'k'; c++ {
		p := string(c - 1)
		bomb += string(c) + ": &" + string(c) + " [" + strings.Repeat("*"+p+", ", 9) + "*" + p + "]\n"
	}
	deep := "model: " + strings.Repeat("{a: ", 5000) + "1" + strings.Repeat("}", 5000)
	wide := strings.Builder{}
	for i := range 20000 {
		wide.WriteString("unknown_key_" + strings.Repeat("x", i%50) + "_" + string(rune('a'+i%26)) + strings.Repeat("y", i/50) + ": 1\n")
		if wide.Len() > 2<<20 {
			break
		}
	}
	for name, text := range map[string]string{"aliases": bomb, "depth": deep, "self": "a: &a [*a]\n", "width": wide.String()} {
		start := time.Now()
		_, l := CheckBytes("bomb.yaml", []byte(text), nil)
		if !l.HasErrors() {
			t.Errorf("%s: accepted", name)
		}
		if len(l) > 200 {
			t.Errorf("%s: %d diagnostics", name, len(l))
		}
		if d := time.Since(start); d > 20*time.Second {
			t.Errorf("%s: takes %v", name, d)
		}
	}
}
