package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"lorac/cmd/test/testkit"
	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/runtime/rng"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// tiny is a job small enough for the float64 evaluator, made by the test.
type tiny struct {
	t        *testing.T
	dir      string
	settings map[string]string
	cfg      *config.Config
	bin      string
	env      []string   // nil: that of the test
	rows     [][2][]int // input_ids and labels
	weights  map[string][]float32
	shapes   map[string][]int
	target   *compiler.Target // what it is compiled for; nil: this machine
	module   *ir.Module
	nudge    float64 // relative, of the norms' gains in the evaluator
}

const tinyYAML = `
seed: 7
run_mode: finetune
runner_config: {epochs: 1, batch_size: 2}
optimizer: {type: AdamW, betas: [0.9, 0.95], eps: 1.e-8, weight_decay: 0.1, learning_rate: 1.e-3}
lr_schedule: {type: CosineWithWarmUpLR, learning_rate: 1.e-3, lr_end: 1.e-4, warmup_steps: 2}
runner_wrapper: {use_clip_grad: True, max_grad_norm: 0.5}
train_dataset: {drop_remainder: False, data_loader: {shuffle: False}}
callbacks: [{type: CheckpointMonitor, prefix: tiny, save_checkpoint_steps: 2, keep_checkpoint_max: 3}]
model:
  arch: {type: LlamaForCausalLM}
  model_config:
    type: LlamaConfig
    seq_length: 12
    hidden_size: 16
    intermediate_size: 24
    num_layers: 3
    num_heads: 4
    vocab_size: 40
    param_init_type: float32
    pet_config: {pet_type: lora, lora_rank: 4, lora_alpha: 8, lora_dropout: 0.0, target_modules: '.*wq|.*wv'}
`

// newTiny compiles the job with some keys changed and writes weights, an
// adapter and data of sequences of many lengths.
func newTiny(t *testing.T, set map[string]string) *tiny {
	t.Helper()
	return newTinyFor(t, set, nil)
}

// newTinyFor is newTiny compiled for a target.
func newTinyFor(t *testing.T, set map[string]string, target *compiler.Target) *tiny {
	t.Helper()
	x := &tiny{t: t, dir: t.TempDir(), settings: set, target: target, weights: map[string][]float32{}, shapes: map[string][]int{}}
	var o []config.Override
	text := tinyYAML
	for k, v := range set {
		if k == "full" {
			text = text[:strings.Index(text, "    pet_config:")]
			continue
		}
		o = append(o, config.Override{Path: k, Value: v, Origin: "test"})
	}
	cfg, list := config.LoadBytes("tiny.yaml", []byte(text), o)
	if cfg == nil {
		t.Fatal(list)
	}
	x.cfg = cfg
	r, err := compiler.Compile(cfg, target)
	if err != nil {
		t.Fatal(err)
	}
	x.module = r.Module
	home, now := filepath.Join(trainers, r.Module.Hash()), time.Now()
	x.bin, _, err = codegen.BuildHere(home, "tiny", r.Module, filepath.Join(trainers, "sources"))
	x.must(err)
	x.must(os.Chtimes(home, now, now)) // it is wanted
	x.makeWeights(r.Module)
	x.makeRows(11)
	return x
}

func (x *tiny) makeWeights(m *ir.Module) {
	rng := rand.New(rand.NewPCG(3, 4))
	width := float32(0.6 / math.Sqrt(max(1, float64(x.cfg.Model.Hidden.V)/16))) // products keep the size of their operands
	var base []safetensors.Entry
	var adapter []peft.Tensor
	for _, s := range m.Storages {
		if s.Kind != ir.Param {
			continue
		}
		n := s.Type.Elems(nil)
		for i := range s.Count() {
			name := nameOf(s, i)
			data := make([]float32, n)
			for k := range data {
				data[k] = (rng.Float32() - 0.5) * width
				if s.Type.Rank() == 1 && !strings.HasSuffix(name, ".bias") {
					data[k] += 1
				}
			}
			shape := []int{}
			for _, d := range s.Type.Shape {
				shape = append(shape, d.N)
			}
			x.weights[name], x.shapes[name] = data, shape
			if strings.Contains(name, "_lora_") {
				adapter = append(adapter, peft.Tensor{Name: name, Rows: shape[0], Cols: n / shape[0], Data: data})
				continue
			}
			if s.Module() {
				adapter = append(adapter, peft.Tensor{Name: name, Rows: shape[0], Cols: n / shape[0], Data: data})
			}
			hf := naming.HF(name)
			if hf == "" {
				hf = name // a matrix that Hugging Face stores separately keeps its MindFormers name
			}
			base = append(base, safetensors.Entry{Name: hf, DType: "F32", Shape: shape,
				Write: func(w io.Writer) error { _, err := w.Write(peft.Bytes(data)); return err }})
		}
	}
	x.must(safetensors.Write(filepath.Join(x.dir, "base", "model.safetensors"), base, nil))
	if len(adapter) > 0 {
		x.must(peft.Save(filepath.Join(x.dir, "init"), peft.Config{Rank: x.cfg.LoRA.Rank.V, Alpha: x.cfg.LoRA.Alpha.V, DoRA: x.cfg.UsesDoRA(),
			Modules: x.cfg.SavedModules(), Tied: x.cfg.TiesSaved()}, adapter))
	}
}

// nameOf is the name of tensor i of a storage.
func nameOf(s *ir.Storage, i int) string {
	if s.Stack != nil {
		i += s.Stack.Lo
	}
	return strings.ReplaceAll(s.Attrs.Str("name"), "{i}", fmt.Sprint(i))
}

func (x *tiny) makeRows(n int) {
	rng := rand.New(rand.NewPCG(5, 6))
	f, err := os.Create(filepath.Join(x.dir, "rows.jsonl"))
	x.must(err)
	defer f.Close()
	for range n {
		ids, labels := []int{}, []int{}
		for range 3 + rng.IntN(10) {
			id := rng.IntN(40)
			ids, labels = append(ids, id), append(labels, id)
		}
		for i := range rng.IntN(len(ids) - 1) {
			labels[i] = -100
		}
		x.rows = append(x.rows, [2][]int{ids, labels})
		line, _ := json.Marshal(map[string]any{"input_ids": ids, "labels": labels})
		f.Write(append(line, '\n'))
	}
}

func (x *tiny) must(err error) {
	x.t.Helper()
	if err != nil {
		x.t.Fatal(err)
	}
}

func (x *tiny) command(out string, args ...string) *exec.Cmd {
	all := []string{"--load_checkpoint", filepath.Join(x.dir, "base"), "--train_dataset_dir", filepath.Join(x.dir, "rows.jsonl"), "--output_dir", out}
	if x.cfg.LoRA != nil {
		all = append(all, "--load_adapter", filepath.Join(x.dir, "init"))
	}
	cmd := testkit.Command(x.t, x.bin, append(all, args...)...)
	cmd.Env = x.env
	return cmd
}

func (x *tiny) run(out string, args ...string) string {
	x.t.Helper()
	text, err := x.command(out, args...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("%v\n%s", err, text)
	}
	return string(text)
}

type record struct {
	Loss     float64 `json:"loss"`
	LR       float64 `json:"lr"`
	GradNorm float64 `json:"grad_norm"`
}

func metricsOf(t *testing.T, out string) []record {
	t.Helper()
	f, err := os.Open(filepath.Join(out, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var list []record
	for sc := bufio.NewScanner(f); sc.Scan(); {
		var r record
		if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	return list
}

// reference trains in float64 with the evaluator, on the graph as autodiff
// leaves it: nothing pruned, nothing fused, nothing placed.
func (x *tiny) reference(steps int, lr []float64) ([]record, *ir.Interp) {
	off := map[string]bool{}
	for _, p := range passes.Optional() {
		off[p] = true
	}
	r, err := compiler.Compile(x.cfg, &compiler.Target{Passes: passes.Options{Disable: off, Last: "autodiff"}})
	x.must(err)
	return x.evaluate(r.Module, steps, lr)
}

// evaluate trains in float64 with the evaluator of a module.
func (x *tiny) evaluate(m *ir.Module, steps int, lr []float64) ([]record, *ir.Interp) {
	env := ir.Env{"T": 1, "S": 1, "N": 1}
	in := ir.NewInterp(m, env)
	x.fill(in, m)
	x.nudgeNorms(in)
	in.Refresh()
	size := x.cfg.Run.BatchSize.V * x.cfg.Run.GradAccum.V
	perEpoch := (len(x.rows) + size - 1) / size
	var out []record
	for s := range steps {
		from := s % perEpoch * size
		rows := x.rows[from:min(from+size, len(x.rows))]
		args := x.pass(rows, s, env)
		f := m.Func("step")
		var ordered []*ir.Array
		for _, p := range f.Params {
			ordered = append(ordered, args[p.Name])
		}
		loss := in.Call("step", ordered...)[0].F[0]
		norm := in.Call("update", &ir.Array{F: []float64{lr[s]}}, &ir.Array{I: []int64{int64(s + 1)}})[0].F[0]
		out = append(out, record{Loss: loss, GradNorm: norm, LR: lr[s]})
	}
	return out, in
}

func (x *tiny) fill(in *ir.Interp, m *ir.Module) {
	for _, s := range m.Storages {
		a := in.Storage[s.Name]
		switch s.Kind {
		case ir.Param:
			n := s.Type.Elems(nil)
			for i := range s.Count() {
				name := nameOf(s, i)
				for k, v := range x.weights[name] {
					a.F[i*n+k] = float64(v)
				}
			}
		case ir.Table:
			half := s.Attrs.Int("head_dim") / 2
			for i := range a.F {
				angle := float64(i/half) * math.Pow(s.Attrs.Float("theta"), -float64(i%half)/float64(half))
				if a.F[i] = math.Cos(angle); s.Attrs.Str("part") == "sin" {
					a.F[i] = math.Sin(angle)
				}
			}
		}
	}
}

// pass lays the rows of a step end to end, all in one.
func (x *tiny) pass(rows [][2][]int, step int, env ir.Env) map[string]*ir.Array {
	a := map[string]*ir.Array{}
	for _, n := range []string{"tokens", "pos", "starts", "seeds", "rows", "targets", "weights"} {
		a[n] = &ir.Array{}
	}
	micro := x.cfg.Run.BatchSize.V
	micros := (len(rows) + micro - 1) / micro
	counts := make([]int, micros)
	for i, r := range rows {
		for _, l := range r[1][1:] {
			if l != -100 {
				counts[i/micro]++
			}
		}
	}
	for i, r := range rows {
		a["starts"].I = append(a["starts"].I, int64(len(a["tokens"].I)))
		last := 0
		for k, l := range r[1] {
			if k > 0 && l != -100 {
				last = k
			}
		}
		for k := range last {
			if l := r[1][k+1]; l != -100 {
				a["rows"].I = append(a["rows"].I, int64(len(a["tokens"].I)))
				a["targets"].I = append(a["targets"].I, int64(l))
				a["weights"].F = append(a["weights"].F, 1/(float64(counts[i/micro])*float64(micros)))
			}
			a["tokens"].I = append(a["tokens"].I, int64(r[0][k]))
			a["pos"].I = append(a["pos"].I, int64(k))
			key := rng.Mix(rng.Mix(uint64(x.cfg.Seed.V))^uint64(step)<<20) + uint64(i)<<32
			a["seeds"].I = append(a["seeds"].I, int64(rng.Mix(key+uint64(k))))
		}
	}
	env["T"], env["S"], env["N"] = len(a["tokens"].I), len(a["rows"].I), len(a["starts"].I)
	for n, v := range a {
		v.Shape = []int{max(len(v.I), len(v.F))}
		_ = n
	}
	return a
}

// agrees holds the steps of a run against the evaluator's.
func (x *tiny) agrees(got []record) {
	x.t.Helper()
	var lr []float64
	for _, m := range got {
		lr = append(lr, m.LR)
	}
	want, _ := x.reference(len(got), lr)
	if len(got) < 4 {
		x.t.Fatalf("only %d steps", len(got))
	}
	for i := range want {
		if d := math.Abs(got[i].Loss-want[i].Loss) / want[i].Loss; d > 1e-5 {
			x.t.Errorf("step %d: loss %v, the evaluator says %v", i+1, got[i].Loss, want[i].Loss)
		}
		if d := math.Abs(got[i].GradNorm-want[i].GradNorm) / want[i].GradNorm; d > 1e-4 {
			x.t.Errorf("step %d: gradient norm %v, the evaluator says %v", i+1, got[i].GradNorm, want[i].GradNorm)
		}
	}
}

// TestTrainerEqualsEvaluator runs emitted binaries against float64 training on
// the unoptimised graph: every pass, the code generator, the runtime and the
// kernels stand between the two.
func TestTrainerEqualsEvaluator(t *testing.T) {
	const mc, pet = "model.model_config.", "model.model_config.pet_config."
	for name, set := range map[string]map[string]string{
		"wq|wv":       {},
		"all seven":   {pet + "target_modules": ".*w1|.*w2|.*w3|.*wq|.*wk|.*wv|.*wo", pet + "lora_rank": "1"},
		"gqa tied":    {mc + "n_kv_heads": "2", pet + "target_modules": ".*wk|.*wo", pet + "lora_rank": "16", mc + "tie_word_embeddings": "True"},
		"dropout":     {pet + "lora_dropout": "0.3", pet + "target_modules": ".*wq|.*wk|.*wv|.*wo|.*w2"},
		"full":        {"full": "", mc + "n_kv_heads": "1"},
		"full tied":   {"full": "", mc + "tie_word_embeddings": "True"},
		"accumulated": {"runner_config.gradient_accumulation_steps": "3", "optimizer.type": "FP32StateAdamWeightDecay", "runner_wrapper.use_clip_grad": "False"},
		"one layer":   {mc + "num_layers": "1", pet + "target_modules": ".*wv"},
		"concat":      {mc + "qkv_concat": "True", mc + "n_kv_heads": "2", "full": ""},
		"concat lora": {mc + "qkv_concat": "True", mc + "n_kv_heads": "2", pet + "target_modules": ".*w_qkv|.*w2"},
		"half frozen": {pet + "freeze_include": "['*layers.0.*lora*', '*layers.2.*wv*lora_a']"},
		"lamb":        {"full": "", "optimizer.type": "Lamb"},
		"adafactor":   {"full": "", "optimizer.type": "AdaFactor", "optimizer.eps": "[1.e-12, 1.e-3]", "optimizer.relative_step": "False"},
		"came":        {"full": "", "optimizer.type": "Came", "optimizer.eps": "[1.e-12, 1.e-3, 1.e-8]", "optimizer.relative_step": "False"},
		"momentum":    {"optimizer.type": "SGD", "optimizer.momentum": "0.9", "optimizer.nesterov": "True"},
		"sgd scaled":  {"optimizer.type": "SGD", "runner_wrapper.scale_sense": "4096"},
		"adam":        {"optimizer.type": "Adam", "optimizer.use_nesterov": "True", "runner_wrapper.scale_sense.loss_scale_value": "16", "runner_wrapper.scale_sense.scale_window": "2"},
		"adagrad":     {"optimizer.type": "Adagrad"},
		"some layers": {pet + "exclude_layers": "['1']", pet + "lora_dropout": "0.2"},
		"high layers": {pet + "exclude_layers": "['0', '1']", pet + "target_modules": ".*wq|.*w2"},
		"biases":      {mc + "qkv_has_bias": "True", mc + "n_kv_heads": "2", mc + "tie_word_embeddings": "True", pet + "target_modules": ".*wq|.*wv|.*wo", pet + "lora_dropout": "0.3"},
		"some biases": {mc + "qkv_has_bias": "True", mc + "attn_proj_has_bias": "True", mc + "mlp_has_bias": "True", pet + "target_modules": ".*wo|.*w2", pet + "freeze_exclude": "['*.1.*bias', '*wk.bias']"},
		"full biases": {"full": "", mc + "qkv_has_bias": "True", mc + "attn_proj_has_bias": "True", mc + "mlp_has_bias": "True", "optimizer.type": "Came", "optimizer.eps": "[1.e-12, 1.e-3, 1.e-8]", "optimizer.relative_step": "False"},
		"joined bias": {"full": "", mc + "qkv_concat": "True", mc + "n_kv_heads": "2", mc + "qkv_has_bias": "True", mc + "mlp_has_bias": "True"},
		"bias accum":  {mc + "qkv_has_bias": "True", "runner_config.gradient_accumulation_steps": "3", pet + "freeze_exclude": "['*bias']", pet + "target_modules": ".*w_none|.*wk"},
		"dora":        {pet + "use_dora": "True", pet + "lora_dropout": "0.3", pet + "loraplus_lr_ratio": "4", mc + "qkv_has_bias": "True", pet + "target_modules": ".*wq|.*wv|.*w2"},
		"joined dora": {pet + "use_dora": "True", mc + "qkv_concat": "True", mc + "n_kv_heads": "2", pet + "target_modules": ".*w_qkv|.*w2", "runner_config.gradient_accumulation_steps": "3"},
		"modules":     {pet + "modules_to_save": "[embed_tokens, lm_head, norm]", pet + "lora_dropout": "0.3", pet + "loraplus_lr_ratio": "4"},
		"tied module": {pet + "modules_to_save": "[embed_tokens]", pet + "ensure_weight_tying": "True", mc + "tie_word_embeddings": "True", "runner_config.gradient_accumulation_steps": "3"},
		"unfrozen":    {pet + "freeze_exclude": "['*norm_out*', '*layers.1.attention.wo.weight']"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			switch name { // the others have what these have
			case "lamb", "adafactor", "adam", "adagrad", "momentum", "one layer", "high layers", "full tied", "concat",
				"biases", "some biases", "full biases", "joined bias", "bias accum", "dora", "joined dora", "modules", "tied module":
				testkit.Slow(t, "passes")
			}
			x := newTiny(t, set)
			out := filepath.Join(x.dir, "out")
			x.run(out, "--epochs", "2", "--threads", "2")
			x.agrees(metricsOf(t, out))
		})
	}
}
