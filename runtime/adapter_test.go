package rt

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/exit"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

var (
	after  = regexp.MustCompile(`evaluation after training: (loss [0-9.]+, perplexity [0-9.]+) \(before: (loss [0-9.]+, perplexity [0-9.]+)\)`)
	evalOf = regexp.MustCompile(`(?m)^evaluation: (loss .*)$`)
)

// outcomes are the losses that a training run says after it and before.
func outcomes(t *testing.T, said string) (trained, untrained string) {
	t.Helper()
	m := after.FindStringSubmatch(said)
	if m == nil || m[1] == m[2] {
		t.Fatalf("training changed nothing, or does not say what:\n%s", said)
	}
	return m[1], m[2]
}

// evaluated is the loss that an evaluation says.
func evaluated(t *testing.T, said string) string {
	t.Helper()
	m := evalOf.FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("no evaluation:\n%s", said)
	}
	return m[1]
}

// An adapter is written as PEFT has it, and with its base gives the loss that
// training ended with, by whatever file both come from.
func TestAdapter(t *testing.T) {
	j, model := adaptedJob(t), shapeOf{}
	said := must(t, j, model.body)
	wordsIn(t, said, "trainable: 128 of 1,568 parameters", "mindpet_delta_lora_a ", "adapter written to "+filepath.Join(j.Output, "adapter"))
	trained, untrained := outcomes(t, said)
	dir := filepath.Join(j.Output, "adapter")
	a, err := peft.Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	if c := a.Config; c.Rank != rank || c.Alpha != 4 || c.Base != j.LoadCheckpoint || len(c.Targets) != 1 || c.Targets[0] != "q_proj" {
		t.Errorf("adapter_config.json says %+v", c)
	}
	last, err := safetensors.Open(filepath.Join(j.Output, "checkpoint", "toy-15.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer last.Close()
	for _, name := range []string{factorA, factorB} {
		kept, ok := last.Tensor("param." + name)
		if have := a.Tensors[name]; !ok || string(kept.Data[:4*len(have.Data)]) != string(peft.Bytes(have.Data)) || have.Rows*have.Cols != rank*width {
			t.Errorf("%s is %d×%d and other than in the checkpoint", name, have.Rows, have.Cols)
		}
	}

	eval := []string{"--run_mode", "eval", "--output_dir", t.TempDir()}
	said = must(t, j, model.body, eval...)
	wordsIn(t, said, "no --load_adapter: the adapter is as before training")
	if got := evaluated(t, said); got != untrained {
		t.Errorf("the base alone has %s, before training it had %s", got, untrained)
	}
	eval = append(eval, "--load_adapter", dir)
	for _, alpha := range []float64{4, 16} { // the scale that the adapter was made with counts
		j.LoRA.Alpha = alpha
		said := must(t, j, model.body, eval...)
		if got := evaluated(t, said); got != trained {
			t.Errorf("alpha %g: the adapter gives %s, training ended with %s", alpha, got, trained)
		}
		const winner = "it scales q_proj of layer 0 by 2 in its adapter_config.json (lora_alpha, r, use_rslora, alpha_pattern), and the trainer by 8 (lora_alpha 16, lora_rank 2 in "
		if strings.Contains(said, winner) != (alpha == 16) || strings.Contains(said, "the adapter counts") != (alpha == 16) {
			t.Errorf("alpha %g: the winner is not named, or there is none:\n%s", alpha, said)
		}
	}
	j.LoRA.Alpha = 0
	refused(t, j, model.body, exit.Input, "which would switch it off", eval...)
	j.LoRA.Alpha = 4
	if err := peft.MarkUnfinished(dir, "step 3 of 15"); err != nil {
		t.Fatal(err)
	}
	again := *j
	again.Output = t.TempDir()
	for _, mode := range []string{"eval", "finetune"} {
		wordsIn(t, must(t, &again, model.body, "--run_mode", mode, "--load_adapter", dir), "is of a run that has not ended: step 3 of 15")
	}
	if err := os.Remove(filepath.Join(dir, "adapter_config.json")); err != nil {
		t.Fatal(err)
	}
	said = must(t, j, model.body, eval...)
	wordsIn(t, said, "has no adapter_config.json beside it: lora_alpha 4 of the config is used")
	if got := evaluated(t, said); got != trained {
		t.Errorf("the bare adapter gives %s, training ended with %s", got, trained)
	}

	fixed := *j
	fixed.Output = t.TempDir()
	said = must(t, &fixed, shapeOf{fixed: true}.body)
	wordsIn(t, said, "trainable: 64 of 1,568 parameters")
	trained, _ = outcomes(t, said)
	eval[len(eval)-1] = filepath.Join(fixed.Output, "adapter")
	if got := evaluated(t, must(t, &fixed, shapeOf{fixed: true}.body, eval...)); got != trained {
		t.Errorf("with A as it was drawn: %s, training ended with %s", got, trained)
	}
}

// Where parts of the base train beside an adapter, they are written, too: as the base
// that the adapter belongs to.
func TestAdapterAndBase(t *testing.T) {
	j, shape := adaptedJob(t), shapeOf{norm: true}
	said := must(t, j, shape.body)
	adapter, model := filepath.Join(j.Output, "adapter"), filepath.Join(j.Output, "model")
	wordsIn(t, said, "trainable: 160 of 1,568 parameters", "model written to "+model, "adapter written to "+adapter+" for "+model)
	trained, _ := outcomes(t, said)
	a, err := peft.Load(adapter)
	if err != nil || a.Config.Base != model {
		t.Errorf("the adapter is for %q (%v), want %s", a.Config.Base, err, model)
	}
	eval := []string{"--run_mode", "eval", "--output_dir", t.TempDir(), "--load_adapter", adapter}
	if said := must(t, j, shapeOf{}.body, eval...); evaluated(t, said) == trained {
		t.Error("the norm that trained changes nothing")
	}
	if got := evaluated(t, must(t, j, shapeOf{}.body, append(eval, "--load_checkpoint", model)...)); got != trained {
		t.Errorf("adapter and model give %s, training ended with %s", got, trained)
	}
}

// An adapter inside the base, under PEFT's names, is where the adapter starts, which is
// said with the scale that counts.
func TestAdapterInBase(t *testing.T) {
	j := adaptedJob(t)
	x := map[string]blob{}
	for name, b := range tensors() {
		x["base_model.model."+strings.ReplaceAll(name, "q_proj.", "q_proj.base_layer.")] = b
	}
	const q = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
	x[q+"A.default.weight"], x[q+"B.default.weight"] = f32(factorA, rank, width), f32(factorB, width, rank)
	dir := t.TempDir()
	j.LoadCheckpoint = write(t, filepath.Join(dir, "model.safetensors"), x)
	wordsIn(t, must(t, j, shapeOf{}.body), "holds an adapter, 2 of the 2 matrices that the config adapts: the adapter starts from it; no adapter_config.json beside it says its scale, so lora_alpha 4 / lora_rank 2 of ")
	config := func(alpha string) {
		text := `{"peft_type": "LORA", "r": 2, "target_modules": ["q_proj"], "lora_alpha": ` + alpha + "}"
		if err := os.WriteFile(filepath.Join(dir, "adapter_config.json"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config("4")
	said := must(t, j, shapeOf{}.body, "--run_mode", "eval")
	wordsIn(t, said, "as its adapter_config.json says: lora_alpha 4")
	if strings.Contains(said, "the base model alone answers") {
		t.Error("an adapter in the base does not answer")
	}
	config("16")
	refused(t, j, shapeOf{}.body, exit.Input, "scales by 8 (rank 2), and the config by 2 (lora_alpha 4, lora_rank 2 in ")
}

// An adapter that is not the config's is refused.
func TestAdapterRefused(t *testing.T) {
	j := adaptedJob(t)
	pair := func(linear string, r int) []peft.Tensor {
		return []peft.Tensor{{Name: linear + ".mindpet_delta_lora_a", Rows: r, Cols: width, Data: make([]float32, r*width)},
			{Name: linear + ".mindpet_delta_lora_b", Rows: width, Cols: r, Data: make([]float32, r*width)}}
	}
	const wq, wk = "model.layers.0.attention.wq", "model.layers.0.attention.wk"
	for words, tensors := range map[string][]peft.Tensor{
		"self_attn.q_proj.lora_A.weight is 3×32, the config makes it 2×32":                   pair(wq, 3),
		"does not fit the config: the adapter has no model.layers.0.self_attn.q_proj.lora_A": pair(wk, rank),
		"adapts model.layers.0.self_attn.k_proj.lora_":                                       append(pair(wq, rank), pair(wk, rank)...),
	} {
		dir := t.TempDir()
		if err := peft.Save(dir, peft.Config{Rank: tensors[0].Rows, Alpha: 4}, tensors); err != nil {
			t.Fatal(err)
		}
		refused(t, j, shapeOf{}.body, exit.Input, words, "--load_adapter", dir)
	}
}

// An adapter of a lower rank than the config's is filled up with zeros, which stay: training
// continues it as it is.
func TestAdapterOfLowerRank(t *testing.T) {
	j := adaptedJob(t)
	a, b := make([]float32, width), make([]float32, width)
	for i := range a {
		a[i], b[i] = float32(i%5)/9-0.2, float32(i%3)/50
	}
	given := t.TempDir()
	if err := peft.Save(given, peft.Config{Rank: 1, Alpha: 4}, []peft.Tensor{{Name: factorA, Rows: 1, Cols: width, Data: a}, {Name: factorB, Rows: width, Cols: 1, Data: b}}); err != nil {
		t.Fatal(err)
	}
	said := must(t, j, shapeOf{}.body, "--load_adapter", given)
	wordsIn(t, said, "model.layers.0.self_attn.q_proj has rank 1, the config lora_rank 2: zeros fill them up")
	trained, untrained := outcomes(t, said)
	got, err := peft.Load(filepath.Join(j.Output, "adapter"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range width {
		if x, y := got.Tensors[factorA].Data[width+i], got.Tensors[factorB].Data[2*i+1]; x != 0 || y != 0 {
			t.Fatalf("what was filled is %v and %v at %d after training", x, y, i)
		}
	}
	wideA, wideB := append(slices.Clone(a), make([]float32, width)...), make([]float32, 2*width)
	for i, x := range b {
		wideB[2*i] = x
	}
	spelled, again := t.TempDir(), *j
	again.Output = t.TempDir()
	if err := peft.Save(spelled, peft.Config{Rank: 2, Alpha: 8}, []peft.Tensor{{Name: factorA, Rows: 2, Cols: width, Data: wideA}, {Name: factorB, Rows: width, Cols: 2, Data: wideB}}); err != nil {
		t.Fatal(err)
	}
	if one, before := outcomes(t, must(t, &again, shapeOf{}.body, "--load_adapter", spelled)); before != untrained || one != trained {
		t.Errorf("filled up %s and %s, with its zeros spelled out %s and %s", untrained, trained, before, one)
	}
}

// What an adapter of some layers lacks is known from what it has in others.
func TestAdapterOfSomeLayers(t *testing.T) {
	a := &peft.Adapter{Tensors: map[string]peft.Tensor{}}
	for _, name := range []string{"model.layers.1.attention.wq.mindpet_delta_lora_a", "model.layers.1.attention.wq.mindpet_delta_lora_b"} {
		a.Tensors[name] = peft.Tensor{Name: name}
	}
	for name, want := range map[string]bool{factorA: true, factorB: true, "model.layers.1.attention.wq.mindpet_delta_lora_a": false,
		"model.layers.12.attention.wq.mindpet_delta_lora_b": true, "model.layers.0.attention.wk.mindpet_delta_lora_a": false} {
		if a.Lacks(name) != want {
			t.Errorf("lacks %s: %v", name, !want)
		}
	}
}
