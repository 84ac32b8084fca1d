package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// shared is the directory of real inputs next to the repository, if present.
const shared = "../../../shared/data/mindformers-configs"

// Every file of MindFormers loads unchanged, or is refused with a reason and a
// position.
func TestMindFormersFiles(t *testing.T) {
	files, _ := filepath.Glob(filepath.Join(shared, "*.yaml"))
	if len(files) == 0 {
		t.Skip("no MindFormers files beside the repository; configs/ is tested without them")
	}
	refused := map[string]struct {
		code, part string
		line       int
	}{
		"r1.1.0__finetune_baichuan2_7b_lora":      {"other-model", "Baichuan7BV2ForCausalLM", 179},
		"r1.2.0__finetune_llama2_7b_prefixtuning": {"other-pet", "prefixtuning", 163},
		"r1.2.0__finetune_llama2_7b_ptuning2":     {"other-pet", "ptuning2", 163},
		"r1.3.0__predict_llama2_7b_slora":         {"other-pet", "slora", 170},
		"r1.4.0-beta2__finetune_internlm2_7b":     {"merge-conflict", "conflict", 20},
	}
	type facts struct {
		mode                    string
		hidden, layers, kv, ffn int
		seq                     int
		targets                 string
		rank                    int
		rate                    float64
		schedule                string
		batch                   int
	}
	// Read independently, with PyYAML and the formulas of MindFormers.
	accepted := map[string]facts{
		"dev__finetune_llama3_1_8b":                 {"train", 4096, 32, 8, 14336, 8192, "", 0, 1e-5, "cosine", 1},
		"r0.8__run_llama2_13b_lora_910b":            {"train", 5120, 40, 40, 13824, 2048, "wq wv", 8, 3e-4, "cosine", 4},
		"r1.0__run_llama2_7b_lora_910b":             {"finetune", 4096, 32, 32, 11008, 2048, "wq wk wv wo", 16, 1e-4, "cosine", 2},
		"r1.2.0__finetune_internlm_7b_lora":         {"finetune", 4096, 32, 32, 11008, 2048, "wq wk wv wo", 8, 5e-5, "cosine", 4},
		"r1.2.0__finetune_llama2_70b_bf16_64p":      {"train", 8192, 80, 8, 28672, 4096, "", 0, 1e-5, "cosine", 1},
		"r1.2.0__finetune_llama2_7b":                {"finetune", 4096, 32, 32, 11008, 4096, "", 0, 1e-6, "cosine", 1},
		"r1.2.0__finetune_llama2_7b_bf16":           {"finetune", 4096, 32, 32, 11008, 4096, "", 0, 1e-5, "cosine", 1},
		"r1.2.0__lora_llama2_13b":                   {"train", 5120, 40, 40, 13824, 4096, "wq wv", 8, 1e-5, "cosine", 4},
		"r1.2.0__lora_llama2_7b":                    {"finetune", 4096, 32, 32, 11008, 4096, "wq wk wv wo", 16, 1e-5, "cosine", 2},
		"r1.2.0__predict_llama2_7b":                 {"predict", 4096, 32, 32, 11008, 4096, "", 0, 5e-5, "cosine", 1},
		"r1.2.0__pretrain_llama2_70b_auto_parallel": {"train", 8192, 80, 8, 28672, 4096, "", 0, 1e-5, "cosine", 1},
		"r1.2.0__pretrain_llama2_7b":                {"train", 4096, 32, 32, 11008, 4096, "", 0, 5e-5, "cosine", 1},
		"r1.2.0__run_llama_7b_lora":                 {"finetune", 4096, 32, 32, 11008, 2048, "wq wk wv wo", 16, 1e-4, "cosine", 2},
	}
	for _, f := range files {
		name := strings.TrimSuffix(filepath.Base(f), ".yaml")
		c, l := Check(f, nil)
		if want, ok := refused[name]; ok {
			d := has(l, want.code, want.part)
			if len(l) != 1 || d == nil || d.Pos.Line != want.line || d.Help == "" {
				t.Errorf("%s: want %s at line %d alone, got\n%s", name, want.code, want.line, render(c, l))
			}
			continue
		}
		if len(l) > 0 {
			t.Errorf("%s: not clean:\n%s", name, render(c, l))
			continue
		}
		for _, k := range c.Keys {
			if !k.At.Known() || k.Status == Unknown || k.Status == Refused || k.Status == Ignored && k.Why == "" {
				t.Errorf("%s: %+v", name, k)
			}
		}
		got := facts{c.RunMode.V, c.Model.Hidden.V, c.Model.Layers.V, c.Model.KVHeads.V, c.Model.FFN.V, c.Model.SeqLength.V,
			strings.Join(c.Targets(), " "), 0, c.Schedule.LR.V, c.Schedule.Type.V, c.Run.BatchSize.V}
		if c.LoRA != nil {
			got.rank = c.LoRA.Rank.V
		}
		if want, ok := accepted[name]; !ok {
			t.Errorf("%s is in neither table; it reads as %+v", name, got)
		} else if got != want {
			t.Errorf("%s reads as\n%+v, want\n%+v", name, got, want)
		}
	}
}

// The configs of this repository are clean: no warning, nothing refused.
func TestOwnConfigs(t *testing.T) {
	var files []string
	for _, pattern := range []string{"*.yaml", "*/*.yaml"} {
		f, _ := filepath.Glob(filepath.Join("../../configs", pattern))
		files = append(files, f...)
	}
	counts := map[string][2]int{ // parameters of the base, of the adapters
		"lora_llama2_7b":       {6_738_415_616, 16_777_216},
		"lora_llama2_13b":      {13_015_864_320, 6_553_600},
		"lora_llama2_70b":      {68_976_648_192, 16_384_000},
		"lora_tinyllama_1b":    {1_100_048_384, 4_505_600},
		"lora_135m":            {134_515_008, 921_600},
		"lora_stories260K":     {260_032, 17_920},
		"finetune_stories260K": {260_032, 0},
	}
	if len(files) <= len(counts) {
		t.Fatalf("only %d configs found", len(files))
	}
	for _, f := range files {
		c, l := Check(f, nil)
		if len(l) > 0 {
			t.Errorf("%s: not clean:\n%s", f, render(c, l))
			continue
		}
		if want, ok := counts[c.Name]; ok {
			same(t, f, [2]int{c.Parameters(), c.TrainableAdapters()}, want)
		}
		text, err := os.ReadFile(f)
		if err != nil || !strings.HasPrefix(string(text), "# ") {
			t.Errorf("%s does not begin by saying what it is for", f)
		}
		for _, k := range c.Keys {
			if k.Path == "model.model_config.hidden_size" && k.Status != Used {
				t.Errorf("%s: %+v", f, k)
			}
		}
	}
}

// lorac's 7B file trains the same as MindFormers' file of the same name.
func TestOwn7BTrainsTheSame(t *testing.T) {
	path := filepath.Join(shared, "r1.2.0__lora_llama2_7b.yaml")
	if _, err := os.Stat(path); err != nil {
		t.Skip("no MindFormers files beside the repository")
	}
	theirs, l1 := Load(path, nil)
	ours, l2 := Load("../../configs/llama2/lora_llama2_7b.yaml", nil)
	if theirs == nil || ours == nil {
		t.Fatal(l1, l2)
	}
	for _, x := range []struct {
		what string
		a, b any
	}{
		{"hidden", theirs.Model.Hidden.V, ours.Model.Hidden.V}, {"layers", theirs.Model.Layers.V, ours.Model.Layers.V},
		{"sequence", theirs.Model.SeqLength.V, ours.Model.SeqLength.V}, {"compute", theirs.Model.ComputeDType.V, ours.Model.ComputeDType.V},
		{"weights", theirs.Model.ParamDType.V, ours.Model.ParamDType.V}, {"rank", theirs.LoRA.Rank.V, ours.LoRA.Rank.V},
		{"alpha", theirs.LoRA.Alpha.V, ours.LoRA.Alpha.V}, {"dropout", theirs.LoRA.Dropout.V, ours.LoRA.Dropout.V},
		{"pattern", theirs.LoRA.TargetModules.V, ours.LoRA.TargetModules.V}, {"optimizer", theirs.Optimizer.Type.V, ours.Optimizer.Type.V},
		{"beta1", theirs.Optimizer.Beta1.V, ours.Optimizer.Beta1.V}, {"beta2", theirs.Optimizer.Beta2.V, ours.Optimizer.Beta2.V},
		{"eps", theirs.Optimizer.Eps.V, ours.Optimizer.Eps.V}, {"decay", theirs.Optimizer.WeightDecay.V, ours.Optimizer.WeightDecay.V},
		{"schedule", theirs.Schedule.Type.V, ours.Schedule.Type.V}, {"rate", theirs.Schedule.LR.V, ours.Schedule.LR.V},
		{"end", theirs.Schedule.LREnd.V, ours.Schedule.LREnd.V}, {"warm-up", theirs.Schedule.WarmupRatio.V, ours.Schedule.WarmupRatio.V},
		{"steps", theirs.Schedule.TotalSteps.V, ours.Schedule.TotalSteps.V}, {"epochs", theirs.Run.Epochs.V, ours.Run.Epochs.V},
		{"batch", theirs.Run.BatchSize.V, ours.Run.BatchSize.V}, {"sink", theirs.Run.SinkMode.V, ours.Run.SinkMode.V},
		{"sink size", theirs.Run.SinkSize.V, ours.Run.SinkSize.V}, {"clip", theirs.Wrapper.UseClip.V, ours.Wrapper.UseClip.V},
		{"norm", theirs.Wrapper.MaxNorm.V, ours.Wrapper.MaxNorm.V}, {"seed", theirs.Seed.V, ours.Seed.V},
	} {
		if x.a != x.b {
			t.Errorf("%s: MindFormers' file says %v, ours %v", x.what, x.a, x.b)
		}
	}
}
