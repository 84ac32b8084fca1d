package codegen_test

import (
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/ir/diag"
)

// frozen is a small Llama with some linears adapted and patterns of what trains.
type frozen struct {
	layers           int
	targets          string
	dropout          float64
	concat, tied     bool
	biases           bool // of all linears
	include, exclude []string
	wide             bool // sizes that a card takes
	odd              bool // half a feed-forward network is odd
	start            bool // adapters start as parts of the base
	dora             bool // rows have magnitudes
}

func (f frozen) yaml() string {
	list := func(patterns []string) string {
		var out []string
		for _, p := range patterns {
			out = append(out, "'"+p+"'")
		}
		return "[" + strings.Join(out, ", ") + "]"
	}
	size := []int{8, 12, 11}
	if f.wide {
		size = []int{64, 176, 96}
	}
	if f.odd {
		size[1] = 14
	}
	return fmt.Sprintf(`seed: 7
run_mode: finetune
runner_config: {epochs: 1, batch_size: 2}
optimizer: {type: AdamW, weight_decay: 0.01}
lr_schedule: {type: ConstantWarmUpLR, learning_rate: 1.e-2, warmup_steps: 0}
train_dataset:
  data_loader: {type: MindDataset, shuffle: True}
model:
  arch: {type: LlamaForCausalLM}
  model_config:
    type: LlamaConfig
    seq_length: 8
    hidden_size: %d
    intermediate_size: %d
    num_layers: %d
    num_heads: 2
    n_kv_heads: 1
    vocab_size: %d
    param_init_type: float32
    compute_dtype: float32
    qkv_concat: %v
    tie_word_embeddings: %v
    qkv_has_bias: %v
    attn_proj_has_bias: %v
    mlp_has_bias: %v
    pet_config:
      pet_type: lora
      lora_rank: 2
      lora_alpha: 4
      lora_dropout: %v
      target_modules: '%s'
      init_lora_weights: %s
      use_dora: %s
      freeze_include: %s
      freeze_exclude: %s
`, size[0], size[1], f.layers, size[2], py(f.concat), py(f.tied), py(f.biases), py(f.biases), py(f.biases), f.dropout, f.targets, map[bool]string{true: "pissa", false: "True"}[f.start], py(f.dora), list(f.include), list(f.exclude))
}

func py(b bool) string { return map[bool]string{true: "True", false: "False"}[b] }

// load is nil where nothing trains, which the config says.
func (f frozen) load(t *testing.T) *config.Config {
	t.Helper()
	c, list := config.LoadBytes("frozen.yaml", []byte(f.yaml()), nil)
	if c == nil && !strings.Contains(list.Error(), "nothing trains") {
		t.Fatalf("%v\n%s", list, f.yaml())
	}
	return c
}

// randomFrozen draws a model, and which of its parameters train.
func randomFrozen(rng *rand.Rand) frozen {
	f := frozen{layers: 1 + rng.Intn(4), concat: rng.Intn(4) == 0, tied: rng.Intn(2) == 0, biases: rng.Intn(3) == 0}
	if rng.Intn(3) == 0 {
		f.dropout = 0.25
	}
	linears := strings.Fields("wq wk wv wo w1 w2 w3")
	if f.concat {
		linears = strings.Fields("w_qkv wo w_gate_hidden w2")
	}
	var targets []string
	for _, l := range linears {
		if rng.Intn(3) > 0 {
			targets = append(targets, l)
		}
	}
	if len(targets) == 0 || rng.Intn(3) == 0 {
		targets = linears
	}
	f.targets = strings.Join(targets, "|")
	pattern := func() string {
		leaf := linears[rng.Intn(len(linears))]
		if rng.Intn(2) == 0 {
			leaf = targets[rng.Intn(len(targets))]
		}
		layer := "*"
		if rng.Intn(3) == 0 {
			layer = fmt.Sprintf("*.%d.*", rng.Intn(f.layers))
		}
		switch rng.Intn(9) {
		case 0:
			return layer + leaf + ".weight"
		case 1:
			return layer + leaf + ".*_lora_a"
		case 2:
			return layer + leaf + ".*_lora_b"
		case 3:
			return layer + []string{"norm*", leaf + ".bias"}[rng.Intn(2)]
		case 4:
			return []string{"*embedding*", "*lm_head*", "*norm_out*", "*.weight", "*lora_a", "*lora_b", "*attention*", "*feed_forward*"}[rng.Intn(8)]
		}
		return layer + leaf + "*"
	}
	for range rng.Intn(5) {
		f.include = append(f.include, pattern())
	}
	for range rng.Intn(5) {
		f.exclude = append(f.exclude, pattern())
	}
	f.start = rng.Intn(4) == 0
	f.dora = !f.start && rng.Intn(3) == 0
	return f
}

var frozenEnv = ir.Env{"T": 7, "S": 4, "N": 2}

func frozenInputs(f *ir.Func) (out []*ir.Array) {
	byName := map[string]*ir.Array{
		"tokens":  {Shape: []int{7}, I: []int64{1, 5, 2, 9, 1, 3, 5}},
		"pos":     {Shape: []int{7}, I: []int64{0, 1, 2, 3, 0, 1, 2}},
		"starts":  {Shape: []int{2}, I: []int64{0, 4}},
		"seeds":   {Shape: []int{7}, I: []int64{11, 12, 13, 14, 15, 16, 17}},
		"rows":    {Shape: []int{4}, I: []int64{1, 2, 4, 6}},
		"targets": {Shape: []int{4}, I: []int64{2, 9, 3, 10}},
		"weights": {Shape: []int{4}, F: []float64{0.25, 0.125, 0.5, 0.125}},
	}
	for _, p := range f.Params {
		out = append(out, byName[p.Name])
	}
	return out
}

// gradients evaluates step in float64: the loss, and the gradient of every
// tensor that trains, by its name in checkpoints.
func gradients(m *ir.Module) map[string][]float64 {
	in := ir.NewInterp(m, frozenEnv)
	for _, s := range m.Storages {
		all := in.Storage[s.Name].F
		n := len(all) / s.Count()
		for i := range s.Count() {
			name := s.TensorName(i)
			if s.Kind == ir.Table {
				name = s.Name
			} else if s.Kind != ir.Param {
				continue
			}
			h := fnv.New64()
			h.Write([]byte(name))
			rng := rand.New(rand.NewSource(int64(h.Sum64())))
			for k := range n {
				all[i*n+k] = 0.5 * rng.NormFloat64()
			}
		}
	}
	out := map[string][]float64{}
	step := m.Func("step")
	if step == nil {
		return nil
	}
	out["loss"] = in.Call("step", frozenInputs(step)...)[0].F
	for _, s := range m.Storages {
		of := m.Storage(s.Attrs.Str("of"))
		if s.Kind != ir.Grad || !of.Trainable {
			continue
		}
		all := in.Storage[s.Name].F
		n := len(all) / s.Count()
		for i := range s.Count() {
			out[of.TensorName(i)] = all[i*n : (i+1)*n]
		}
	}
	return out
}

// programs makes modules into programs and checks these.
type programs struct {
	*testing.T
	*goTypes
	rng      *rand.Rand
	accepted int // of what may be refused
}

// TestPrograms: what the compiler accepts, at random, is a program.
func TestPrograms(t *testing.T) {
	for _, kind := range programKinds {
		t.Run(kind.name, func(t *testing.T) { kind.run(t, 1, kind.quick) })
	}
}

// TestManyPrograms is TestPrograms many times over.
func TestManyPrograms(t *testing.T) {
	testkit.Slow(t, "programs")
	for _, kind := range programKinds {
		t.Run(kind.name, func(t *testing.T) { kind.run(t, 2, kind.slow) })
	}
}

type programKind struct {
	name        string
	one         func(p *programs)
	quick, slow int
}

var programKinds = []programKind{
	{"freeze patterns", (*programs).freeze, 5, 300},
	{"freeze patterns on a card", (*programs).onCard, 6, 200},
	{"passes", (*programs).steer, 6, 300},
	{"configs", (*programs).config, 8, 400},
	{"edited dumps", (*programs).edited, 20, 3000},
}

func (k programKind) run(t *testing.T, seed int64, n int) {
	p := &programs{T: t, goTypes: typesOfGo(t), rng: rand.New(rand.NewSource(seed))}
	for range n {
		k.one(p)
	}
	t.Logf("%d: %d of those that may be refused are taken", n, p.accepted)
}

// compile compiles a config for a target and has Go check the types of the program;
// what is refused must be refused with its place in the config.
func (p *programs) compile(what string, c *config.Config, target *compiler.Target) *ir.Module {
	p.Helper()
	r, err := compiler.Compile(c, target)
	var refused diag.List
	if errors.As(err, &refused) && target.Ascend != nil {
		return nil
	}
	var files map[string][]byte
	if err == nil {
		files, err = codegen.Emit(r.Module)
	}
	if err == nil {
		err = p.check(files)
	}
	if err != nil {
		p.Errorf("%s: %v", what, err)
		return nil
	}
	return r.Module
}

// freeze draws a model and patterns: whatever trains, the program compiles, and the
// gradients are those of the same parameters where all train and no optional pass
// ran.
func (p *programs) freeze() {
	f := randomFrozen(p.rng)
	c := f.load(p.T)
	if c == nil {
		return
	}
	what := fmt.Sprintf("%+v", f)
	m := p.compile(what, c, &compiler.Target{})
	if m == nil {
		return
	}
	adapters, base := c.Trainable()
	if n := trainable(m); n != adapters+base {
		p.Errorf("%s: %d parameters train, the config counts %d", what, n, adapters+base)
	}
	all := f
	all.include, all.exclude = nil, []string{"*.weight", "*.bias", "*embedding_weight"}
	off := passes.Options{Disable: map[string]bool{}}
	for _, name := range passes.Optional() {
		off.Disable[name] = true
	}
	ref := p.compile(what+" and all train", all.load(p.T), &compiler.Target{Passes: off})
	if ref == nil {
		return
	}
	want, got := gradients(ref), gradients(m)
	for name, g := range got {
		for i := range g {
			if d := math.Abs(g[i]-want[name][i]) / math.Max(1, math.Abs(g[i])); !(d < 1e-11) {
				p.Errorf("%s: %s[%d] is %g, want %g", what, name, i, g[i], want[name][i])
				break
			}
		}
	}
}

func trainable(m *ir.Module) (n int) {
	for _, s := range m.Storages {
		if s.Kind == ir.Param && s.Trainable {
			n += s.Count() * s.Type.Elems(nil)
		}
	}
	return n
}

// steer draws a model and passes that are switched off or limited: the program
// compiles all the same.
func (p *programs) steer() {
	f := randomFrozen(p.rng)
	if p.rng.Intn(2) == 0 { // for a card, which takes less
		for f.concat {
			f = randomFrozen(p.rng)
		}
		f.wide, f.include, f.exclude = true, nil, nil
	}
	c := f.load(p.T)
	if c == nil {
		return
	}
	o := passes.Options{Disable: map[string]bool{}, Fuel: map[string]int{}}
	for _, name := range passes.Optional() {
		switch p.rng.Intn(4) {
		case 0:
			o.Disable[name] = true
		case 1:
			o.Fuel[name] = p.rng.Intn(8)
		}
	}
	target := &compiler.Target{Passes: o}
	if f.wide {
		target.Ascend = &passes.Ascend{SoC: "910b3"}
	}
	m := p.compile(fmt.Sprintf("%+v without %v, fuel %v, Ascend %v", f, o.Disable, o.Fuel, target.Ascend), c, target)
	if f.wide && m != nil {
		p.accepted++
	}
}

// onCard draws a model and patterns: a card takes them, or they are refused with
// their place in the config.
func (p *programs) onCard() {
	f := randomFrozen(p.rng)
	for f.concat {
		f = randomFrozen(p.rng)
	}
	f.wide = true
	if p.rng.Intn(2) == 0 { // what a card takes
		half := func(pattern string) bool { return strings.Contains(pattern, "lora_") }
		f.include, f.exclude = slices.DeleteFunc(f.include, half), nil
	}
	if c := f.load(p.T); c != nil && p.compile(fmt.Sprintf("%+v for a card", f), c, &compiler.Target{Ascend: &passes.Ascend{SoC: "910b3"}}) != nil {
		p.accepted++
	}
}
