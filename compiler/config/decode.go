package config

import (
	"math"
	"sort"
	"strings"
)

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return out
}

// decode fills the typed config. Defaults are MindFormers' own for a missing
// key (r1.3 models/llama/llama_config.py, trainer/config_args.py), with three
// exceptions: prediction is greedy unless do_sample says otherwise, a batch
// size given nowhere is 8, and a partial config trains with the preset.
func (l *loader) decode() {
	c := l.c
	if !l.root.get("model.model_config").isMap() {
		at := Pos{File: c.Path, Line: 1, Col: 1}
		if model := l.root.get("model"); model != nil {
			at = model.keyPos
		}
		if !l.bad[l.root.get("model.model_config").valuePos()] {
			l.errorf(at, "no-model", "the config has no `model.model_config`").
				WithHelp("a minimal config has model.model_config (the shape), its pet_config (the adapter) and model.arch")
		}
		return
	}
	if n := l.root.get("base_config"); n != nil && n.value != "" {
		l.seen("base_config")
	}
	l.seen("model.arch.type")
	l.seen("model.model_config.type")
	c.RunMode = l.meaning("run_mode", "finetune", map[string]string{"train": "train", "finetune": "finetune", "eval": "eval", "predict": "predict"})
	if n := l.root.get("run_mode"); n != nil && n.value == "export" {
		l.diags[len(l.diags)-1].WithNote("MindFormers up to r1.0 exports MINDIR files for Ascend; `lorac convert` writes checkpoints for other programs")
	}
	l.device()
	l.task()
	c.Output = l.str("output_dir", "./output")
	l.weights()
	c.Seed = l.int("seed", 1)
	c.DoEval = l.bool("do_eval", false)
	c.CheckNaN = l.bool("check_for_nan_in_loss_and_grad", false)
	c.EvalSteps, c.EvalEpochs = l.int("eval_step_interval", 100), l.int("eval_epoch_interval", -1)
	c.Patience, c.Threshold = l.int("early_stopping_patience", 0), l.float("early_stopping_threshold", 0)
	c.LoadBest = l.bool("load_best_model_at_end", false)
	l.metrics()
	l.devices()
	c.Tokenizer = l.str("processor.tokenizer.vocab_file", "")
	c.AddBOS, c.AddEOS = l.said("processor.tokenizer.add_bos_token"), l.said("processor.tokenizer.add_eos_token")
	c.Special = l.meaning("processor.tokenizer.special_tokens", "ids", map[string]string{"ids": "", "text": "text"})
	l.model()
	l.lora()
	l.run()
	l.optimizer()
	l.schedule()
	c.Train = l.dataset("train_dataset", true)
	c.Eval = l.dataset("eval_dataset", false)
	l.wrapper()
	l.checkpoint()
	l.ranks()
	l.predict()
}

// valuePos is the position of a value; the zero Pos if absent.
func (n *node) valuePos() Pos {
	if n == nil {
		return Pos{}
	}
	return n.pos
}

// task checks the kind of training: causal language modelling.
func (l *loader) task() {
	v := l.str("trainer.type", "CausalLanguageModelingTrainer")
	if v.Set() && !l.bad[v.At] && v.V != "CausalLanguageModelingTrainer" && v.V != "" {
		l.errorf(v.At, "refused", "trainer `%s` is not supported", v.V).WithLabel("lorac trains causal language models").
			WithHelp("set trainer.type: CausalLanguageModelingTrainer")
	}
}

// deviceTargets are the values of context.device_target.
var deviceTargets = map[string]string{"Ascend": "ascend", "CPU": "cpu", "GPU": "gpu"}

// device reads what MindSpore would run on. --device decides what runs here, so
// neither has a default.
func (l *loader) device() {
	const target, id = "context.device_target", "context.device_id"
	if l.given(target) {
		l.c.Device = l.meaning(target, "Ascend", deviceTargets)
	}
	if l.given(id) {
		l.c.DeviceID = l.int(id, 0)
		if at := l.c.DeviceID; at.V < 0 && !l.bad[at.At] {
			l.errorf(at.At, "range", "`device_id` must not be negative, not %d", at.V)
		}
	}
}

// weights reads the path of the base model, and whether to resume.
func (l *loader) weights() {
	c := l.c
	const other = mc + "checkpoint_name_or_path"
	c.LoadCheckpoint = l.str("load_checkpoint", "")
	if n := l.root.get(other); c.LoadCheckpoint.V == "" && !n.empty() && strings.ContainsAny(n.raw, `/\.`) {
		c.LoadCheckpoint = l.str(other, "")
	}
	c.Quant = l.meaning("quant", "none", map[string]string{"none": "", "int8": "int8", "int4": "int4"})
	c.Compute = l.meaning("compute", "f32", map[string]string{"f32": "f32", "int8": "int8"})
	c.AutoTrans = l.bool("auto_trans_ckpt", false)
	c.SrcStrategy = l.str("src_strategy_path_or_dir", "")
	c.Resume = read(l, "resume_training", "", "True, False or a file name", func(n *node) (string, bool) {
		switch v := n.value.(type) {
		case bool:
			return map[bool]string{true: "true"}[v], true
		case string:
			return v, true
		}
		return "", false
	})
}

func (l *loader) run() {
	r := &l.c.Run
	r.Epochs = l.int("runner_config.epochs", 1)
	batch := batchSizes[0]
	if !l.given(batch) {
		if other := l.winner(batchSizes...); l.given(other) {
			batch = other
		}
	}
	r.BatchSize = l.int(batch, 8)
	r.GradAccum = l.int("runner_config.gradient_accumulation_steps", 1)
	r.SinkMode = l.bool("runner_config.sink_mode", false)
	r.SinkSize = Val[int]{1, r.SinkMode.At, "default"}
	if r.SinkMode.V {
		r.SinkSize = l.int("runner_config.sink_size", 1)
	}
	r.PerTokenLoss = l.bool("calculate_per_token_loss", false)
}

// batchSizes are the keys for the batch size of training, the winner first
// (r1.3 trainer/utils.py, check_dataset_config). The last one is for inference
// in MindFormers, which trains nothing without one of the others.
var batchSizes = []string{"runner_config.batch_size", "train_dataset.batch_size", mc + "batch_size"}

// winner is the first of the paths that has a value; the last one if none has,
// which is the preferred key.
func (l *loader) winner(paths ...string) string {
	for _, p := range paths {
		if l.given(p) {
			return p
		}
	}
	return paths[len(paths)-1]
}

// peek reads an integer without marking the key as used; 1 by default.
func (l *loader) peek(path string) Val[int] {
	if n := l.root.get(path); n != nil {
		if v, ok := asInt(n); ok {
			return Val[int]{v, n.pos, "file"}
		}
	}
	return Val[int]{1, l.place(path), "default"}
}

// wrapper reads runner_wrapper. MFPipelineWithLossScaleCell clips by default,
// MFTrainOneStepCell does not (r1.3 wrapper/wrapper.py). The first takes the
// place of the second where gradients are accumulated or layers are staged in
// a (semi-)automatic mode (r1.3 trainer/base_trainer.py).
func (l *loader) wrapper() {
	w := &l.c.Wrapper
	_, kind := l.choice("runner_wrapper.type", "MFTrainOneStepCell", map[string]string{
		"MFTrainOneStepCell": "step", "wrapper": "step", "MFPipelineWithLossScaleCell": "pipeline", "": "step"})
	if l.c.Devices.Parallel() && (l.c.Run.GradAccum.V > 1 || l.c.Parallel.Pipeline.V > 1) {
		kind = "pipeline"
	}
	w.UseClip = l.bool("runner_wrapper.use_clip_grad", kind == "pipeline")
	w.MaxNorm = Val[float64]{1, w.UseClip.At, "default"}
	if w.UseClip.V {
		w.MaxNorm = l.float("runner_wrapper.max_grad_norm", 1)
	}
	l.lossScale()
}

// checkpointFormats are those of MindFormers r1.5 core/callback/callback.py, and
// lorac's own, which a config that names none gets.
var checkpointFormats = map[string]string{"": "", "lorac": "", "ckpt": "ckpt", "safetensors": "safetensors"}

// checkpoint reads the CheckpointMonitor from the list of callbacks. Without
// one, checkpoints are not written (SaveSteps 0).
func (l *loader) checkpoint() {
	c := &l.c.Checkpoint
	list := l.root.get("callbacks")
	at := l.place("callbacks.type")
	c.Prefix, c.SaveSteps, c.KeepMax = Val[string]{"CKP", at, "default"}, Val[int]{0, at, "default"}, Val[int]{5, at, "default"}
	l.c.LogEvery = Val[int]{1, at, "default"}
	l.seen("callbacks")
	if list == nil {
		return
	}
	delete(l.unread, "callbacks[].type")
	for _, item := range list.items {
		if t := item.child("type"); t != nil && t.value == "MFLossMonitor" {
			sub := &loader{c: l.c, root: item, unread: l.unread, bad: l.bad, prefix: "callbacks[].", home: item.pos}
			l.c.LogEvery = sub.int("per_print_times", 1)
			l.diags = append(l.diags, sub.diags...)
		}
		if t := item.child("type"); t == nil || t.value != "CheckpointMonitor" && t.value != "CheckpointMointor" {
			continue // the misspelt name is MindFormers' own, up to r1.1
		}
		sub := &loader{c: l.c, root: item, unread: l.unread, bad: l.bad, prefix: "callbacks[].", home: item.pos}
		c.Prefix = sub.str("prefix", "CKP")
		c.SaveSteps = sub.int("save_checkpoint_steps", 1)
		if c.SaveSteps.V == 0 {
			c.SaveSeconds = sub.int("save_checkpoint_seconds", 0)
		}
		c.KeepMax = sub.int("keep_checkpoint_max", 5)
		c.Format, _ = sub.choice("checkpoint_format", "", checkpointFormats)
		// Without a format here, --checkpoint_format may give one.
		if c.Format.V != "" || sub.given("save_network_params") {
			c.Network = sub.bool("save_network_params", true)
		}
		if c.Format.V != "" || sub.given("save_trainable_params") {
			c.Trainable = sub.bool("save_trainable_params", false)
		}
		l.diags = append(l.diags, sub.diags...)
	}
}

// predict reads the settings of generation. The same keys at the top level win.
func (l *loader) predict() {
	p := &l.c.Predict
	p.MaxLength = l.int(l.winner("max_length", mc+"max_length", mc+"max_decode_length"), 1024)
	p.TopK, p.TopP = l.int(l.winner("top_k", mc+"top_k"), 5), l.float(l.winner("top_p", mc+"top_p"), 1)
	p.Temperature = l.float(l.winner("temperature", mc+"temperature"), 1)
	p.RepetitionPenalty = l.float(l.winner("repetition_penalty", mc+"repetition_penalty"), 1)
	p.DoSample = l.bool(l.winner("do_sample", mc+"do_sample"), false)
	p.MaxNew, p.MinLength, p.MinNew = l.int(mc+"max_new_tokens", 0), l.int(mc+"min_length", 0), l.int(mc+"min_new_tokens", 0)
	p.Input = l.strs("input_data")
	if n := l.seen(mc + "num_beams"); !n.empty() && n.value != 1 {
		l.errorf(n.pos, "refused", "beam search is not supported").WithLabel("must be 1").WithHelp("set num_beams: 1; do_sample, top_k and top_p vary the text")
	}
	if math.Abs(p.Temperature.V) < 1e-9 {
		p.DoSample.V = false
	}
}
