package model

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"lorac/compiler/config"
	"lorac/ir"
)

const small = `
run_mode: finetune
runner_config: {epochs: 1, batch_size: 2}
optimizer: {type: TYPE, weight_decay: 0.1}
lr_schedule: {type: ConstantWarmUpLR, learning_rate: 1.e-3}
runner_wrapper: {use_clip_grad: True, max_grad_norm: 0.5}
model:
  arch: {type: LlamaForCausalLM}
  model_config: {type: LlamaConfig, seq_length: 8, hidden_size: 16, intermediate_size: 24, num_layers: 2, num_heads: 4, vocab_size: 40, PET}
`

func build(t *testing.T, optimizer, pet string) *ir.Module {
	t.Helper()
	text := strings.ReplaceAll(strings.ReplaceAll(small, "TYPE", optimizer), "PET", pet)
	c, list := config.LoadBytes("small.yaml", []byte(text), nil)
	if c == nil {
		t.Fatal(list)
	}
	m, err := Build(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

const lora = "pet_config: {pet_type: lora, lora_rank: 4, lora_alpha: 8, lora_dropout: 0.0, target_modules: '.*wq|.*w2'FREEZE}"

// Matrices decay, norms do not, but under SGD and AdaFactor all do; the clip
// is MindFormers' with every optimizer; a state is as large as its rule says.
func TestUpdate(t *testing.T) {
	for optimizer, c := range map[string]struct {
		op, vectorOp string
		vectorDecay  float64
		states       string // of the embedding, 40 × 16
	}{
		"AdamW":                           {"adamw", "adamw", 0, "m 640 v 640"},
		"FP32StateAdamWeightDecay":        {"adamw", "adamw", 0, "m 640 v 640"},
		"Adam":                            {"adam", "adam", 0, "m 640 v 640"},
		"Lamb":                            {"lamb", "lamb", 0, "m 640 v 640"},
		"Adagrad":                         {"adagrad", "adagrad", 0, "h 640"},
		"SGD":                             {"sgd", "sgd", 0.1, ""},
		"SGD, momentum: 0.9":              {"momentum", "momentum", 0.1, "v 640"},
		"Momentum, momentum: 0.9":         {"momentum", "momentum", 0, "v 640"},
		"AdaFactor, relative_step: False": {"adafactor", "adafactor_vector", 0.1, "m 640 row 40 col 16"},
		"Came, relative_step: False":      {"came", "came_vector", 0.1, "m 640 row 40 col 16 drow 40 dcol 16"},
	} {
		m := build(t, optimizer, "multiple_of: 8")
		matrices, vectors := 0, 0
		for _, s := range m.Func("update").Body {
			if s.Op.Name == "clip" && s.Attrs.Str("rule") != "mindformers" {
				t.Errorf("%s clips by the rule %s", optimizer, s.Attrs.Str("rule"))
			}
			if _, ok := s.Attrs["weight_decay"]; !ok {
				continue
			}
			op, decay := c.op, 0.1
			if vectors++; s.Args[0].Storage.Type.Rank() == 1 {
				op, decay = c.vectorOp, c.vectorDecay
			} else {
				vectors--
				matrices++
			}
			if s.Op.Name != op || s.Attrs.Float("weight_decay") != decay {
				t.Errorf("%s: %s is updated by %s with decay %v, want %s and %v", optimizer, s.Args[0], s.Op.Name, s.Attrs.Float("weight_decay"), op, decay)
			}
		}
		if matrices != 9 || vectors != 3 { // embedding, head and seven linears; three norms
			t.Errorf("%s updates %d matrices and %d vectors", optimizer, matrices, vectors)
		}
		var states []string
		for _, s := range m.Storages {
			if s.Kind == ir.State && s.Attrs.Str("of") == "embed" {
				states = append(states, fmt.Sprint(s.Name[len("embed."):], " ", s.Type.Elems(nil)))
			}
		}
		if got := strings.Join(states, " "); got != c.states {
			t.Errorf("%s remembers %q of the embedding, want %q", optimizer, got, c.states)
		}
	}
}

// What trains: adapters alone; freeze_include takes away, freeze_exclude
// gives, a name in both stays; states and gradients exist for these only.
func TestFreezing(t *testing.T) {
	for freeze, want := range map[string]string{
		"":                                 "layer.w2.a layer.w2.b layer.wq.a layer.wq.b",
		", freeze_include: ['*wq*lora*']":  "layer.w2.a layer.w2.b",
		", freeze_exclude: ['*norm_out*']": "layer.w2.a layer.w2.b layer.wq.a layer.wq.b norm",
		", freeze_include: ['*lora_a'], freeze_exclude: ['*lora*']":         "layer.w2.a layer.w2.b layer.wq.a layer.wq.b",
		", freeze_include: ['*lora*'], freeze_exclude: ['lm_head.*']":       "head",
		", freeze_include: ['*layers.1.*'], freeze_exclude: ['*lora_b*.x']": "layer.0_0.w2.a layer.0_0.w2.b layer.0_0.wq.a layer.0_0.wq.b",
	} {
		m := build(t, "AdamW", strings.Replace(lora, "FREEZE", freeze, 1))
		var got []string
		for _, s := range m.Storages {
			if s.Kind == ir.Param && s.Trainable {
				got = append(got, s.Name)
			}
			if of := m.Storage(s.Attrs.Str("of")); s.Kind != ir.Param && of != nil && !of.Trainable {
				t.Errorf("%s exists, though %s is frozen", s.Name, of.Name)
			}
			if strings.HasSuffix(s.Name, "w2.a") && (s.Attrs.Str("init") != "uniform" || math.Abs(s.Attrs.Float("bound")-1/math.Sqrt(24)) > 1e-12) {
				t.Errorf("%s starts as %v, want uniform in ±1/√24", s.Name, s.Attrs)
			}
			if strings.HasSuffix(s.Name, "w2.b") && s.Attrs.Str("init") != "zeros" {
				t.Errorf("%s starts as %v", s.Name, s.Attrs)
			}
		}
		slices.Sort(got)
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v train, want %s", freeze, got, want)
		}
	}
}

// The rate that AdaFactor computes itself is what is reported.
func TestRelativeStep(t *testing.T) {
	for more, want := range map[string]string{"": "relative", ", warmup_init: True": "relative_warmup"} {
		text := strings.ReplaceAll(strings.ReplaceAll(small, "TYPE", "AdaFactor"+more), "PET", "multiple_of: 8")
		text = strings.ReplaceAll(text, "lr_schedule: {type: ConstantWarmUpLR, learning_rate: 1.e-3}\n", "")
		c, list := config.LoadBytes("small.yaml", []byte(text), nil)
		if c == nil {
			t.Fatal(list)
		}
		m, err := Build(c)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Setting("schedule.type"); got != want {
			t.Errorf("AdaFactor%s: %q, want %q", more, got, want)
		}
	}
}

// Where the first parameter that trains is a vector, MindFormers lets nothing decay.
func TestDecayOfNothing(t *testing.T) {
	for freeze, want := range map[string]float64{
		"":                                       0.1,
		", freeze_exclude: ['*attention_norm*']": 0,
		", freeze_exclude: ['*norm_out*']":       0.1, // after the adapters
	} {
		m := build(t, "AdamW", strings.ReplaceAll(lora, "FREEZE", freeze))
		most := 0.0
		for _, s := range m.Func("update").Body {
			if s.Op.Name == "adamw" {
				most = max(most, s.Attrs.Float("weight_decay"))
			}
		}
		if most != want {
			t.Errorf("%q: decay %v, want %v", freeze, most, want)
		}
	}
	if m := build(t, "SGD", strings.ReplaceAll(lora, "FREEZE", ", freeze_exclude: ['*norm*']")); m.Func("update") == nil {
		t.Error("no update")
	} else {
		for _, s := range m.Func("update").Body {
			if s.Op.Name == "sgd" && s.Attrs.Float("weight_decay") != 0.1 {
				t.Error("SGD, which has no groups, lost its decay")
			}
		}
	}
}
