package compiler

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/ir/diag"
)

const onAscend = `
run_mode: finetune
trainer: {model_name: m}
optimizer: {type: AdamW}
lr_schedule: {type: ConstantWarmUpLR, learning_rate: 1.e-3}
model:
  arch: {type: LlamaForCausalLM}
  model_config:
    type: LlamaConfig
    seq_length: 32
    hidden_size: 64
    intermediate_size: 48
    num_layers: 2
    num_heads: 4
    vocab_size: 101
    compute_dtype: float16
    pet_config: {pet_type: lora, lora_rank: 3, lora_alpha: 6, lora_dropout: 0.1, target_modules: '.*wq|.*wo', freeze_include: [], freeze_exclude: []}
`

func parse(t *testing.T, text string) *config.Config {
	t.Helper()
	c, list := config.LoadBytes("m.yaml", []byte(text), nil)
	if c == nil {
		t.Fatal(list)
	}
	return c
}

// One job has one name on both, so that a run may resume on the other; what is
// fitted to data is fitted there, too.
func TestAscend(t *testing.T) {
	c := parse(t, onAscend)
	host := compile(t, c, nil)
	r := compile(t, c, &Target{Ascend: &passes.Ascend{SoC: "910b3"}, Fit: ir.Env{"T": 20, "S": 11, "N": 3}})
	m := r.Module
	if m.Low() != ir.F16 || m.Identity() != host.Module.Identity() || m.MaxEnv()["T"] != 20 {
		t.Errorf("it is %s of %v, job %s and %s", m.Low(), m.MaxEnv(), m.Identity(), host.Module.Identity())
	}
	if m.Func("next") != nil || m.Func("step") == nil || m.Arena() == 0 {
		t.Error("the functions are not those of a device")
	}
	if again := ir.MustParse(m.String()); again.String() != m.String() || again.Identity() != m.Identity() {
		t.Error("the text does not parse back")
	}
	if _, err := Resume(host.Module.Clone(), &Target{Ascend: &passes.Ascend{}}); err == nil || !strings.Contains(err.Error(), "resume a dump from before pass device-types") {
		t.Errorf("a dump for the CPU: %v", err)
	}
	if r, err := Resume(m.Clone(), &Target{Ascend: &passes.Ascend{}}); err != nil || r.Module.String() != m.String() {
		t.Errorf("resumed, it changes: %v", err)
	}
	if compile(t, c, nil).Module.String() != host.Module.String() || host.Module.Low() != 0 {
		t.Error("the module for the processor changed")
	}
}

// trained evaluates a step, with inputs that depend on nothing but their names.
func trained(m *ir.Module) map[string][]float64 {
	env := ir.Env{"T": 12, "S": 5, "N": 2}
	in := ir.NewInterp(m, env)
	rng := rand.New(rand.NewPCG(1, 2))
	for _, s := range m.Storages {
		if s.Kind == ir.Param || s.Kind == ir.Table {
			for i := range in.Storage[s.Name].F {
				in.Storage[s.Name].F[i] = rng.NormFloat64() / 4
			}
		}
	}
	in.Refresh()
	ints := func(x ...int64) *ir.Array { return &ir.Array{Shape: []int{len(x)}, I: x} }
	in.Call("step", ints(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12), ints(0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4), ints(0, 7), ints(9, 8, 7, 6, 5, 4, 3, 2, 1, 0, -1, -2),
		ints(0, 3, 4, 8, 11), ints(5, 6, 7, 8, 9), &ir.Array{Shape: []int{5}, F: []float64{0.2, 0.2, 0.1, 0.3, 0.2}})
	out := map[string][]float64{}
	for _, s := range m.Storages {
		if s.Kind == ir.Grad {
			out[s.Name] = in.Storage[s.Name].F
		}
	}
	return out
}

// What does not fit in the memory of a card is recomputed there, to the same bits.
func TestAscendMemory(t *testing.T) {
	c := parse(t, onAscend)
	scratch := func(z cost.KernelSizes) int { return 4096 + z.Hidden }
	card := func(bytes int) *Target { return &Target{Ascend: &passes.Ascend{HBM: bytes, Scratch: scratch}} }
	full := compile(t, c, card(0))
	parts, total := cost.MemoryOn(full.Module, scratch, 0)
	if last := parts[len(parts)-1]; last.Bytes != 4096+64 {
		t.Errorf("the workspace is %+v", last)
	}
	want := trained(full.Module)
	if roomy := compile(t, c, card(total*2)); roomy.Limit != 0 || roomy.Module.String() != full.Module.String() {
		t.Errorf("with room enough, %d of %d bytes", roomy.Limit, total)
	}
	for _, share := range []int{99, 97, 95} {
		target := card(0)
		target.Limit = total / 100 * share
		r := compile(t, c, target)
		if _, n := cost.MemoryOn(r.Module, scratch, 0); n > target.Limit || r.Limit != target.Limit || r.Wanted != total {
			t.Errorf("%d of %d bytes, limit %d of wanted %d", n, target.Limit, r.Limit, r.Wanted)
		}
		if choice, _ := r.Module.Setting("memory.choice").(string); !strings.Contains(choice, "saved as f16") || !strings.Contains(choice, "recomputed: ") {
			t.Errorf("the choice is %q", choice)
		}
		if r.Module.Identity() != full.Module.Identity() {
			t.Error("the job has another name")
		}
		for name, g := range trained(r.Module) {
			if len(g) == 0 || !slices.Equal(g, want[name]) {
				t.Errorf("%d %%: %s differs", share, name)
			}
		}
	}
	var large *TooLarge
	if _, err := Compile(c, card(total/4)); !errors.As(err, &large) || large.Limit >= large.Bytes || large.Fixed <= 0 || large.Fixed >= large.Bytes {
		t.Errorf("in a quarter: %v", err)
	}
}

// What no kernel runs is refused where the config says it, with a way out.
func TestAscendRefuses(t *testing.T) {
	for change, want := range map[string]string{
		"":                               "",
		"freeze_include: ['*wo*']":       "",
		"freeze_exclude: ['*norm_out*']": "m.yaml:17:147: adapters alone train on an Ascend device; model.norm_out.weight trains here",
		"freeze_include: ['*lora_a']":    "both halves of an adapter train on an Ascend device, or none; model.layers.0.attention.wq.mindpet_delta_lora_b and others train, the other half does not",
		"hidden_size: 72":                "`hidden_size` is 72; the Ascend kernels take multiples of 16; 72 = 4 × 16 + 8",
	} {
		text := onAscend
		if key, _, ok := strings.Cut(change, ":"); ok {
			at := strings.Index(text, key+":")
			end := at + strings.IndexAny(text[at:], ",\n}")
			text = text[:at] + change + text[end:]
		}
		c := parse(t, text)
		list, err := OnAscend(c)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, d := range list {
			got += d.Pos.String() + ": " + d.Message + "; " + d.Label + "; " + d.Help + "\n"
		}
		if !strings.Contains(got, want) || (want == "") != (got == "") || want != "" && !strings.Contains(got, "--device cpu") {
			t.Errorf("%s:\n%s", change, got)
		}
		var refused diag.List
		if _, err := Compile(c, &Target{Ascend: &passes.Ascend{}}); errors.As(err, &refused) != (want != "") {
			t.Errorf("%s: compiled all the same: %v", change, err)
		}
		if _, err := Compile(c, nil); err != nil {
			t.Errorf("%s: the processor takes it: %v", change, err)
		}
	}
}

// Passes that the kernels count on cannot be left out.
func TestAscendNeedsPasses(t *testing.T) {
	c := parse(t, onAscend)
	for pass, want := range map[string]string{
		"fuse-head":        "no Ascend kernel for `cross_entropy",
		"fuse-elementwise": "no Ascend kernel for `silu",
		"fuse-lora":        "no Ascend kernel for `matmul`, `scale`",
		"prune-frozen":     "pass `prune-frozen` cannot be switched off",
		"cse":              "",
	} {
		_, err := Compile(c, &Target{Ascend: &passes.Ascend{}, Passes: passes.Options{Disable: map[string]bool{pass: true}}})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("without %s: %v", pass, err)
		}
	}
}
