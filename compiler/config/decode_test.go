package config

import (
	"slices"
	"strings"
	"testing"
)

// partial is the example of MindFormers' documentation.
const partial = `model:
  model_config:
    type: LlamaConfig
    batch_size: 1
    seq_length: 4096
    hidden_size: 4096
    num_layers: 32
    num_heads: 32
    vocab_size: 32000
    compute_dtype: "float16"
    pet_config:
      pet_type: lora
      lora_rank: 16
      lora_alpha: 16
      lora_dropout: 0.05
      target_modules: '.*wq|.*wk|.*wv|.*wo'
  arch:
    type: LlamaForCausalLM
`

func TestPartialConfig(t *testing.T) {
	c := load(t, partial)
	same(t, "batch size", c.Run.BatchSize.V, 1)
	same(t, "epochs", c.Run.Epochs.V, 1)
	same(t, "rule", c.Optimizer.Rule, "mindformers")
	same(t, "eps", c.Optimizer.Eps.V, 1e-8)
	same(t, "schedule", c.Schedule.Type.V, "cosine")
	same(t, "rate", c.Schedule.LR.V, 1e-4)
	same(t, "ratio", c.Schedule.WarmupRatio.V, 0.03)
	same(t, "ratio is no mere default", c.Schedule.WarmupRatio.Set(), true)
	same(t, "clip", c.Wrapper.UseClip.V, true)
	same(t, "parameters", c.Parameters(), 6_738_415_616)
	same(t, "trainable", c.TrainableAdapters(), 16_777_216)
	for _, d := range []Default{{"lr_schedule.learning_rate", "0.0001"}, {"optimizer.type", "FP32StateAdamWeightDecay"}, {"model.model_config.theta", "10000"}} {
		if !slices.Contains(c.Defaults, d) {
			t.Errorf("the default %v is not listed in %v", d, c.Defaults)
		}
	}
	if !strings.Contains(strings.Join(c.Winners, "\n"), "model.model_config.batch_size is the only one given") {
		t.Errorf("it is not said where the batch size comes from: %v", c.Winners)
	}
	// Without the adapter all parameters train, at a lower rate.
	full := load(t, partial[:strings.Index(partial, "    pet_config")]+partial[strings.Index(partial, "  arch"):])
	same(t, "full: rate", full.Schedule.LR.V, 1e-5)
	same(t, "full: adapter", full.LoRA == nil, true)
	// A flag fills in one value, the rest stays.
	flag := load(t, partial, Override{"runner_config.epochs", "4", "--epochs"})
	same(t, "flag: epochs", flag.Run.Epochs.V, 4)
	same(t, "flag: rate", flag.Schedule.LR.V, 1e-4)
	// A section of the file ends it: MindFormers' defaults of the classes hold.
	some := load(t, partial+"optimizer:\n  type: FP32StateAdamWeightDecay\n")
	same(t, "some: schedule", some.Schedule.Type.V, "constant")
	same(t, "some: rate", some.Schedule.LR.V, 1e-3)
	same(t, "some: eps", some.Optimizer.Eps.V, 1e-6)
	same(t, "some: clip", some.Wrapper.UseClip.V, false)
}

// However the example was flattened by copying, the config is the same.
func TestFlattenedConfig(t *testing.T) {
	want := load(t, partial)
	outdent := func(text string, by string) string {
		return strings.ReplaceAll("\n"+text, "\n"+by, "\n")[1:]
	}
	lost := strings.Builder{}
	for _, line := range strings.Split(partial, "\n") {
		lost.WriteString(strings.TrimLeft(line, " ") + "\n")
	}
	body := partial[len("model:\n"):]
	pet := body[strings.Index(body, "    pet_config"):strings.Index(body, "  arch")]
	for name, text := range map[string]string{
		"model_config and arch at the top":  outdent(body, "  "),
		"pet_config beside model_config":    strings.Replace(partial, pet, outdent(pet, "  "), 1),
		"pet_config at the top":             strings.Replace(partial, pet, "", 1) + outdent(pet, "    "),
		"all indentation lost":              lost.String(),
		"keys of the model below model":     "model:\n" + strings.Replace(outdent(body, "  "), "model_config:\n", "", 1),
		"lost, without the section headers": strings.NewReplacer("model:\n", "", "model_config:\n", "", "pet_config:\n", "", "arch:\n", "").Replace(lost.String()),
	} {
		if name == "keys of the model below model" {
			text = "model:\n" + strings.ReplaceAll(body[:strings.Index(body, "  arch")], "  model_config:\n", "") + "arch:\n  type: LlamaForCausalLM\n"
			text = strings.ReplaceAll(text, "      ", "    ")
		}
		c, l := CheckBytes("config.yaml", []byte(text), nil)
		if l.HasErrors() {
			t.Errorf("%s: not accepted:\n%s\n%s", name, text, render(c, l))
			continue
		}
		if has(l, "flattened", "moved:") == nil {
			t.Errorf("%s: read without a warning", name)
		}
		same(t, name+": parameters", c.Parameters(), want.Parameters())
		same(t, name+": trainable", c.TrainableAdapters(), want.TrainableAdapters())
		same(t, name+": rate", c.Schedule.LR.V, want.Schedule.LR.V)
		same(t, name+": keys", len(c.Keys), len(want.Keys))
	}
	// Two rates, one of them at its proper path: nothing is moved over it.
	l := refuse(t, partial+"lora_rank: 8\n")
	if has(l, "unknown-key", "model.model_config.pet_config.lora_rank") == nil {
		t.Errorf("a key beside its section is not explained: %v", l)
	}
}

// MindFormers r1.3 models/llama/llama_layer.py; the sizes are those of the
// published checkpoints.
func TestFeedForwardSize(t *testing.T) {
	for _, c := range []struct {
		keys string
		want int
	}{
		{"hidden_size: 4096\n    multiple_of: 256", 11008},
		{"hidden_size: 5120\n    multiple_of: 256\n    num_heads: 40", 13824},
		{"hidden_size: 8192\n    multiple_of: 4096\n    ffn_dim_multiplier: 1.3", 28672},
		{"hidden_size: 8192\n    multiple_of: 256\n    ffn_dim_multiplier: 1.3", 28672},
		{"hidden_size: 4096\n    multiple_of: 1024\n    ffn_dim_multiplier: 1.3", 14336},
		{"hidden_size: 64\n    intermediate_size: 172\n    ffn_dim_multiplier: 9.9", 172},
		{"hidden_size: 4096\n    intermediate_size: null", 11008},
	} {
		got := load(t, "model:\n  model_config:\n    "+c.keys+"\n")
		same(t, c.keys, got.Model.FFN.V, c.want)
	}
}

func TestSchedules(t *testing.T) {
	section := minimal[strings.Index(minimal, "lr_schedule:"):strings.Index(minimal, "train_dataset:")]
	try := func(keys string) *Config { return load(t, strings.Replace(minimal, section, keys, 1)) }

	c := try("")
	same(t, "no schedule: type", c.Schedule.Type.V, "constant")
	same(t, "no schedule: rate", c.Schedule.LR.V, 1e-3)
	same(t, "no schedule: ratio", c.Schedule.WarmupRatio.V, -1)

	for class, want := range schedules {
		if want == "warmup_stable_decay" {
			class += "\n  decay_start_ratio: 0.9"
		}
		c := try("lr_schedule:\n  type: " + class + "\n  learning_rate: 1.e-3\n")
		same(t, class, c.Schedule.Type.V, want)
	}
	c = try("lr_schedule:\n  type: CosineAnnealingLR\n  base_lr: 0.5\n  t_max: 7\n  eta_min: 0.1\n  lr_end: 3.0\n  warmup_ratio: 0.5\n")
	same(t, "annealing: rate", c.Schedule.LR.V, 0.5)
	same(t, "annealing: t_max", c.Schedule.TMax.V, 7)
	same(t, "annealing: eta_min", c.Schedule.EtaMin.V, 0.1)
	same(t, "annealing: lr_end", c.Schedule.LREnd.V, 0)
	same(t, "annealing: warm-up", c.Schedule.WarmupRatio.V, -1)
	for _, k := range c.Keys {
		if (k.Path == "lr_schedule.lr_end" || k.Path == "lr_schedule.warmup_ratio") && (k.Status != Ignored || k.Why == "") {
			t.Errorf("%s is %s (%s), though this schedule has none", k.Path, k.Status, k.Why)
		}
	}
	c = try("lr_schedule:\n  type: cosine_annealing_warm_restarts\n  base_lr: 0.5\n  t_0: 3\n  t_mult: 2\n")
	same(t, "restarts", [2]int{c.Schedule.T0.V, c.Schedule.TMult.V}, [2]int{3, 2})
	c = try("lr_schedule:\n  type: polynomial\n  learning_rate: 1.e-3\n  power: 2.0\n  warmup_steps: 9\n  warmup_lr_init: 1.e-6\n")
	same(t, "polynomial: power", c.Schedule.Power.V, 2)
	same(t, "polynomial: end", c.Schedule.LREnd.V, 1e-7)
	same(t, "polynomial: steps", c.Schedule.WarmupSteps.V, 9)
	same(t, "polynomial: ratio", c.Schedule.WarmupRatio.V, -1)
	same(t, "polynomial: init", c.Schedule.WarmupInit.V, 1e-6)
	c = try("lr_schedule:\n  type: linear\n  learning_rate: 1.e-3\n  warmup_epochs: 1\n  warmup_steps: 9\n  total_steps: 77\n")
	same(t, "linear: epochs win over steps", [2]int{c.Schedule.WarmupEpochs.V, c.Schedule.WarmupSteps.V}, [2]int{1, 0})
	same(t, "linear: total", c.Schedule.TotalSteps.V, 77)
	c = try("lr_schedule:\n  type: cosine_with_restarts\n  learning_rate: 1.e-3\n")
	same(t, "restarts: cycles", c.Schedule.NumCycles.V, 1)
	c = try("lr_schedule:\n  type: ConstantWithCoolDownLR\n  learning_rate: 1.e-3\n  keep_steps: 4\n  decay_ratio: 0.5\n  lr_end1: 1.e-5\n  final_steps: 3\n")
	same(t, "cool down", [2]int{c.Schedule.KeepSteps.V, c.Schedule.FinalSteps.V}, [2]int{4, 3})
	same(t, "cool down: ends", [2]float64{c.Schedule.LREnd.V, c.Schedule.LREnd2.V}, [2]float64{1e-5, 1e-5})
	same(t, "cool down: ratio", c.Schedule.DecayRatio.V, 0.5)
	stable := "lr_schedule:\n  type: WarmUpStableDecayLR\n  learning_rate: 1.e-3\n"
	same(t, "stable", try(stable+"  decay_start_steps: 8\n").Schedule.DecayStart.V, 8)
	if l := refuse(t, strings.Replace(minimal, section, stable, 1)); has(l, "missing", "decay_start_ratio") == nil {
		t.Errorf("a decay that begins nowhere is accepted: %v", l)
	}
	for class, why := range noSchedules {
		if l := refuse(t, strings.Replace(minimal, section, "lr_schedule:\n  type: "+class+"\n", 1)); len(l) != 1 || has(l, "refused", class) == nil || !strings.Contains(l[0].Help, why) {
			t.Errorf("%s is not refused with the way out: %v", class, l)
		}
	}
}

func TestWinners(t *testing.T) {
	c := load(t, edit(minimal, "  eps: 1.e-7", "  eps: 1.e-7\n  learning_rate: 3.e-3"))
	notes := strings.Join(c.Winners, "\n")
	for _, want := range []string{
		"batch size 5: runner_config.batch_size 5 (6:3) wins over train_dataset.batch_size 4 (23:3) and model.model_config.batch_size 1 (29:5)",
		"learning rate 0.0002: lr_schedule.learning_rate 2.e-4 (15:3) wins over optimizer.learning_rate 3.e-3 (11:3)",
	} {
		if !strings.Contains(notes, want) {
			t.Errorf("%q is not said in\n%s", want, notes)
		}
	}
	c = load(t, edit(minimal, "  batch_size: 5\n", ""))
	same(t, "second choice", c.Run.BatchSize.V, 4)
	c = load(t, edit(edit(edit(minimal, "  batch_size: 5\n", ""), "  batch_size: 4\n", ""), "    batch_size: 1\n", ""))
	same(t, "no choice", c.Run.BatchSize, Val[int]{8, at("config.yaml", 4, 1, 13), "default"})

	c = load(t, minimal+"use_parallel: True\nparallel_config:\n  data_parallel: 8\n")
	if notes := strings.Join(c.Winners, "\n"); !strings.Contains(notes, "8 devices: a step takes 5 · 8 = 40 rows, 5 a device; its loss is the token mean of the 40 rows") {
		t.Errorf("the global batch is not explained: %s", notes)
	}
}

func TestRope(t *testing.T) {
	with := func(keys string) string { return edit(minimal, "    vocab_size", keys+"    vocab_size") }
	c := load(t, with("    extend_method: \"NTK\"\n    scaling_factor: 2.0\n    theta: 500000.0\n"))
	same(t, "method", c.Model.RopeMethod.V, "ntk")
	same(t, "factor", c.Model.RopeFactors["factor"], 2)
	same(t, "theta", c.Model.Theta.V, 500000)
	llama3 := "    extend_method: LLAMA3\n    scaling_factor: {factor: 8.0, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 8192}\n"
	c = load(t, with(llama3))
	same(t, "low", c.Model.RopeFactors["low_freq_factor"], 1)
	same(t, "high", c.Model.RopeFactors["high_freq_factor"], 4)
	same(t, "fields", len(c.Model.RopeFactors), 4)
	if l := refuse(t, with(edit(llama3, "factor: 8.0, ", ""))); has(l, "missing", "scaling_factor.factor") == nil {
		t.Errorf("a missing field is not reported: %v", l)
	}
	if l := refuse(t, with("    extend_method: YARN\n    scaling_factor: 2.0\n")); has(l, "type", "beta_fast") == nil {
		t.Errorf("a number for a mapping is not reported: %v", l)
	}
	if l := refuse(t, with("    extend_method: linear\n")); has(l, "value", "LLAMA3") == nil {
		t.Errorf("an unknown method is not reported: %v", l)
	}
	if _, l := CheckBytes("c", []byte(with("    scaling_factor: 2.0\n")), nil); l.HasErrors() || has(l, "scaling", "no effect") == nil {
		t.Errorf("a factor without a method passes in silence: %v", l)
	}
}

func TestCheckpointMonitor(t *testing.T) {
	c := load(t, minimal)
	same(t, "none", c.Checkpoint.SaveSteps.V, 0)
	for _, name := range []string{"CheckpointMonitor", "CheckpointMointor"} {
		c = load(t, minimal+"callbacks:\n  - type: MFLossMonitor\n  - type: "+name+"\n    prefix: x\n    save_checkpoint_steps: 50\n    integrated_save: False\n")
		same(t, "prefix", c.Checkpoint.Prefix.V, "x")
		same(t, "steps", c.Checkpoint.SaveSteps.V, 50)
		same(t, "keep", c.Checkpoint.KeepMax.V, 5)
		same(t, "place of a default", c.Checkpoint.KeepMax.At.Line, 50)
	}
	c = load(t, minimal+"callbacks:\n  - type: CheckpointMonitor\n    checkpoint_format: ckpt\n    save_trainable_params: True\n")
	same(t, "format", c.Checkpoint.Format.V, "ckpt")
	same(t, "network", c.Checkpoint.Network.V, true)
	same(t, "trainable", c.Checkpoint.Trainable.V, true)
	if l := refuse(t, minimal+"callbacks:\n  - type: CheckpointMonitor\n    checkpoint_format: hdf5\n"); has(l, "value", "ckpt, lorac, safetensors") == nil {
		t.Errorf("a format nobody has passes: %v", l)
	}
	load(t, minimal+"callbacks:\n  - {type: CheckpointMonitor, enc_key: null, enc_mode: AES-GCM}\n")
	if l := refuse(t, minimal+"callbacks:\n  - {type: CheckpointMonitor, enc_key: secret}\n"); has(l, "refused", "encrypted") == nil {
		t.Errorf("a key to encrypt with passes: %v", l)
	}
	l := refuse(t, minimal+"callbacks:\n  - type: CheckpointMonitor\n    prefix: a/b\n    save_checkpoint_step: 3\n")
	if has(l, "value", "file name") == nil || has(l, "unknown-key", "save_checkpoint_steps") == nil {
		t.Errorf("a path as prefix and a misspelt key pass: %v", l)
	}
	load(t, minimal+"callbacks:\n  - type: SomeCallback\n    whatever: 1\n")
	refuse(t, minimal+"callbacks: MFLossMonitor\n")
	refuse(t, minimal+"callbacks: [MFLossMonitor]\n")
}

func TestWeightsAndResume(t *testing.T) {
	other := "    checkpoint_name_or_path: "
	with := func(v string) string { return edit(minimal, "    vocab_size", other+v+"\n    vocab_size") }
	same(t, "a path", load(t, with("ckpt/llama.safetensors")).LoadCheckpoint.V, "ckpt/llama.safetensors")
	same(t, "a name", load(t, with("llama2_7b")).LoadCheckpoint.V, "")
	same(t, "both", load(t, with("a/b")+"load_checkpoint: c\n").LoadCheckpoint.V, "c")
	for in, want := range map[string]string{"True": "true", "False": "", "''": "", "last.ckpt": "last.ckpt"} {
		same(t, "resume "+in, load(t, minimal+"resume_training: "+in+"\n").Resume.V, want)
	}
	refuse(t, minimal+"resume_training: 3\n")
}

func TestPredictSettings(t *testing.T) {
	with := func(keys, top string) string {
		return edit(minimal, "    vocab_size", keys+"    vocab_size") + top
	}
	p := load(t, with("    max_decode_length: 99\n    top_k: 7\n    do_sample: True\n", "")).Predict
	same(t, "length", p.MaxLength.V, 99)
	same(t, "top_k", p.TopK.V, 7)
	same(t, "sampling", p.DoSample.V, true)
	p = load(t, with("    max_decode_length: 99\n    top_k: 7\n", "top_k: 2\nmax_length: 11\n")).Predict
	same(t, "length at the top", p.MaxLength.V, 11)
	same(t, "top_k at the top", p.TopK.V, 2)
	same(t, "greedy unless asked", p.DoSample.V, false)
	p = load(t, with("    do_sample: True\n    temperature: 0\n", "")).Predict
	same(t, "temperature 0", p.DoSample.V, false)
}

func TestClippingDefaults(t *testing.T) {
	clip := minimal[strings.Index(minimal, "runner_wrapper:"):]
	for section, want := range map[string]bool{
		"": false, "runner_wrapper:\n  type: MFTrainOneStepCell\n": false,
		"runner_wrapper:\n  type: MFPipelineWithLossScaleCell\n":                                               true,
		"runner_wrapper:\n  use_clip_grad: True\n":                                                             true,
		"runner_wrapper:\n  scale_sense:\n    type: DynamicLossScaleUpdateCell\n    loss_scale_value: 65536\n": false,
	} {
		c := load(t, strings.Replace(minimal, clip, section, 1))
		same(t, section+"clips", c.Wrapper.UseClip.V, want)
		same(t, section+"norm", c.Wrapper.MaxNorm.V, 1.0)
	}
}
