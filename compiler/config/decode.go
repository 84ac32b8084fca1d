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
// key (r1.3 models/llama/llama_config.py, trainer/config_args.py), except where
// there is none: a partial example from the documentation then trains with
// the settings of the shipped Llama2 LoRA file.
func (l *loader) decode() {
	if d := l.unsupported(); d {
		return
	}
	c := l.c
	if l.root.get("model.model_config") == nil {
		l.errorf(Pos{File: c.Path, Line: 1, Col: 1}, "no-model", "the config has no `model.model_config`").
			WithHelp("a minimal config has model.model_config (the shape), its pet_config (the adapter) and model.arch")
		return
	}
	c.RunMode = l.choice("run_mode", "finetune", map[string]string{"train": "train", "finetune": "finetune", "eval": "eval", "predict": "predict"})
	c.Output = l.str("output_dir", "./output")
	c.LoadCheckpoint = l.str("load_checkpoint", "")
	if c.LoadCheckpoint.V == "" {
		if v := l.str("model.model_config.checkpoint_name_or_path", ""); v.V != "" {
			c.LoadCheckpoint = v
		}
	}
	c.Resume = l.str("resume_training", "")
	if c.Resume.V == "false" {
		c.Resume.V = ""
	}
	c.Seed = l.int("seed", 1)
	c.DoEval = l.bool("do_eval", false)
	c.EvalSteps = l.int("eval_step_interval", 100)
	c.UseParallel = l.bool("use_parallel", false)
	c.Tokenizer = l.str("processor.tokenizer.vocab_file", "")
	l.model()
	l.lora()
	l.optimizer()
	l.schedule()
	l.run()
	c.Train = l.dataset("train_dataset", true)
	c.Eval = l.dataset("eval_dataset", false)
	c.Wrapper = Wrapper{UseClip: l.bool("runner_wrapper.use_clip_grad", false), MaxNorm: l.float("runner_wrapper.max_grad_norm", 1)}
	l.checkpoint()
	l.predict()
	c.Parallel = Parallel{l.int("parallel_config.data_parallel", 1), l.int("parallel_config.model_parallel", 1), l.int("parallel_config.pipeline_stage", 1)}
}

var dtypes = map[string]string{"float32": "f32", "float16": "f16", "bfloat16": "bf16"}

const mc = "model.model_config."

func (l *loader) model() {
	m := &l.c.Model
	m.Hidden = l.int(mc+"hidden_size", 4096)
	m.Layers = l.int(mc+"num_layers", 32)
	m.Heads = l.int(mc+"num_heads", 32)
	m.KVHeads = l.int(mc+"n_kv_heads", m.Heads.V)
	m.HeadDim = Val[int]{At: m.Heads.At, Origin: m.Heads.Origin}
	if m.Heads.V > 0 {
		m.HeadDim.V = m.Hidden.V / m.Heads.V
	}
	m.Vocab = l.int(mc+"vocab_size", 32000)
	m.SeqLength = l.int(mc+"seq_length", 2048)
	m.MaxPosition = l.int(mc+"max_position_embedding", m.SeqLength.V)
	m.RMSEps = l.float(mc+"rms_norm_eps", 1e-5)
	m.Theta = l.float(mc+"theta", 10000)
	m.QKVConcat = l.bool(mc+"qkv_concat", false)
	m.TieEmbeddings = l.bool(mc+"tie_word_embeddings", false)
	m.BosID = l.int(mc+"bos_token_id", 1)
	m.EosIDs = l.ints(mc+"eos_token_id", []int{2})
	m.PadID = l.int(mc+"pad_token_id", 0)
	m.IgnoreID = l.int(mc+"ignore_token_id", -100)
	m.ComputeDType = l.choice(mc+"compute_dtype", "float16", dtypes)
	m.ParamDType = l.choice(mc+"param_init_type", "float16", dtypes)
	m.FFN = l.ffn()
	l.rope()
}

// ffn is the hidden size of the feed-forward: intermediate_size, or
// MindFormers' rule with its +0.01 (r1.3 models/llama/llama_layer.py).
func (l *loader) ffn() Val[int] {
	m := &l.c.Model
	if l.root.get(mc+"intermediate_size") != nil {
		if v := l.int(mc+"intermediate_size", 0); v.V != 0 {
			return v
		}
	}
	h := 4 * m.Hidden.V
	multiple := l.int(mc+"multiple_of", 256)
	if mult := l.float(mc+"ffn_dim_multiplier", 0); mult.V != 0 {
		h = int((mult.V + 0.01) * float64(h))
	}
	h = 2 * h / 3
	if multiple.V <= 0 {
		l.errorf(multiple.At, "range", "`multiple_of` must be positive, not %d", multiple.V)
		return Val[int]{V: h, At: multiple.At}
	}
	return Val[int]{(h + multiple.V - 1) / multiple.V * multiple.V, multiple.At, "derived"}
}

// rope reads the extend method and its factors (r1.3 modules/layers.py, FreqsMgr).
func (l *loader) rope() {
	m := &l.c.Model
	m.RopeMethod = l.choice(mc+"extend_method", "None", map[string]string{
		"None": "none", "": "none", "PI": "pi", "NTK": "ntk", "YARN": "yarn", "LLAMA3": "llama3"})
	m.RopeFactors = map[string]float64{}
	sf := l.root.get(mc + "scaling_factor")
	need := map[string][]string{
		"pi": nil, "ntk": nil, "none": nil,
		"yarn":   {"factor", "beta_fast", "beta_slow", "original_max_position_embeddings", "mscale", "mscale_all_dim"},
		"llama3": {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"},
	}[m.RopeMethod.V]
	if need == nil {
		if sf.isMap() {
			l.errorf(sf.keyPos, "type", "`scaling_factor` of extend_method %s is a number, not a mapping", m.RopeMethod.V)
			return
		}
		f := l.float(mc+"scaling_factor", 1)
		if f.V <= 0 {
			l.errorf(f.At, "range", "`scaling_factor` must be positive, not %v", f.V)
		}
		if m.RopeMethod.V != "none" {
			m.RopeFactors["factor"] = f.V
		}
		return
	}
	for _, name := range need {
		if sf.get2(name) == nil {
			l.errorf(m.RopeMethod.At, "missing", "extend_method %s needs `scaling_factor.%s`", strings.ToUpper(m.RopeMethod.V), name).
				WithHelp("scaling_factor is a mapping with %s", strings.Join(need, ", "))
			continue
		}
		m.RopeFactors[name] = l.float(mc+"scaling_factor."+name, 1).V
	}
}

func (n *node) get2(name string) *node {
	if !n.isMap() {
		return nil
	}
	return n.fields[name]
}

func (l *loader) lora() {
	const p = mc + "pet_config."
	if n := l.root.get(mc + "pet_config"); n == nil || n.value == nil && !n.isMap() {
		return
	}
	l.c.LoRA = &LoRA{
		Rank: l.int(p+"lora_rank", 8), Alpha: l.float(p+"lora_alpha", 16), Dropout: l.float(p+"lora_dropout", 0.01),
		TargetModules: l.str(p+"target_modules", ""), ExcludeLayers: l.strs(p + "exclude_layers"),
		FreezeInclude: l.strs(p + "freeze_include"), FreezeExclude: l.strs(p + "freeze_exclude"),
	}
}

func (l *loader) optimizer() {
	o := &l.c.Optimizer
	o.Type = l.choice("optimizer.type", "FP32StateAdamWeightDecay", map[string]string{
		"FP32StateAdamWeightDecay": "mindformers", "fp32_adamw": "mindformers", "AdamWeightDecay": "mindformers", "adamw": "mindformers",
		"FusedAdamWeightDecay": "mindformers", "fused_adamw": "mindformers", "FusedCastAdamWeightDecay": "mindformers", "AdamWeightDecayX": "mindformers",
		"AdamW": "torch"})
	o.Rule = o.Type.V
	eps, wd := 1e-6, 0.0
	if o.Rule == "torch" {
		eps = 1e-8
	}
	o.LR = l.float("optimizer.learning_rate", 1e-3)
	o.Beta1, o.Beta2 = l.float("optimizer.beta1", 0.9), l.float("optimizer.beta2", 0.999)
	if betas := l.root.get("optimizer.betas"); betas != nil {
		if len(betas.items) != 2 {
			l.errorf(betas.pos, "type", "`optimizer.betas` must be two numbers")
		} else {
			for i, b := range []*Val[float64]{&o.Beta1, &o.Beta2} {
				switch v := betas.items[i].value.(type) {
				case float64:
					*b = Val[float64]{v, betas.items[i].pos, "file"}
				default:
					l.errorf(betas.items[i].pos, "type", "`optimizer.betas` must be two numbers")
				}
			}
		}
	}
	o.Eps, o.WeightDecay = l.float("optimizer.eps", eps), l.float("optimizer.weight_decay", wd)
}

var schedules = map[string]string{
	"ConstantWarmUpLR": "constant", "constant_with_warmup": "constant",
	"LinearWithWarmUpLR": "linear", "linear": "linear",
	"CosineWithWarmUpLR": "cosine", "cosine": "cosine",
	"CosineWithRestartsAndWarmUpLR": "cosine_restarts", "cosine_with_restarts": "cosine_restarts",
	"PolynomialWithWarmUpLR": "polynomial", "polynomial": "polynomial",
	"CosineAnnealingLR": "cosine_annealing", "cosine_annealing": "cosine_annealing",
	"CosineAnnealingWarmRestarts": "cosine_annealing_warm_restarts", "cosine_annealing_warm_restarts": "cosine_annealing_warm_restarts",
}

func (l *loader) schedule() {
	s := &l.c.Schedule
	const p = "lr_schedule."
	if n := l.root.get("lr_schedule"); n == nil || n.value == nil && !n.isMap() {
		// No schedule: the optimizer's rate, constant.
		s.Type = Val[string]{"constant", l.c.Optimizer.LR.At, "default"}
		s.LR = l.c.Optimizer.LR
		if l.root.get("optimizer") == nil {
			s.LR.V = 1e-4 // nothing is said at all: a rate LoRA is commonly trained with
		}
		return
	}
	s.Type = l.choice(p+"type", "CosineWithWarmUpLR", schedules)
	s.LR = l.float(p+"learning_rate", l.c.Optimizer.LR.V)
	if l.root.get(p+"learning_rate") == nil && l.root.get(p+"base_lr") != nil {
		s.LR = l.float(p+"base_lr", 0)
	}
	end := 0.0
	if s.Type.V == "polynomial" {
		end = 1e-7
	}
	s.LREnd = l.float(p+"lr_end", end)
	s.WarmupInit = l.float(p+"warmup_lr_init", 0)
	s.WarmupRatio = l.float(p+"warmup_ratio", -1)
	s.WarmupSteps = l.int(p+"warmup_steps", 0)
	s.WarmupEpochs = l.int(p+"warmup_epochs", 0)
	s.TotalSteps = l.int(p+"total_steps", -1)
	s.DecaySteps = l.int(p+"decay_steps", 0)
	cycles := 0.5
	if s.Type.V == "cosine_restarts" {
		cycles = 1
	}
	s.NumCycles = l.float(p+"num_cycles", cycles)
	s.Power = l.float(p+"power", 1)
	s.EtaMin = l.float(p+"eta_min", 0)
	s.TMax, s.T0, s.TMult = l.int(p+"t_max", 1), l.int(p+"t_0", 1), l.int(p+"t_mult", 1)
}

func (l *loader) run() {
	r := &l.c.Run
	r.Epochs = l.int("runner_config.epochs", 1)
	r.BatchSize = l.int("runner_config.batch_size", 0)
	if !r.BatchSize.Set() {
		if v := l.int("train_dataset.batch_size", 8); v.Set() {
			r.BatchSize = v
		} else {
			r.BatchSize.V = 8
		}
	}
	r.GradAccum = l.int("runner_config.gradient_accumulation_steps", 1)
	r.SinkMode = l.bool("runner_config.sink_mode", false)
	r.SinkSize = l.int("runner_config.sink_size", 1)
	r.PerTokenLoss = l.bool("calculate_per_token_loss", false)
}

func (l *loader) dataset(name string, train bool) Dataset {
	p := name + "."
	d := Dataset{
		Dir:     l.str(p+"data_loader.dataset_dir", ""),
		Shuffle: l.bool(p+"data_loader.shuffle", train), DropRemainder: l.bool(p+"drop_remainder", train),
		Repeat: l.int(p+"repeat", 1),
		Format: l.str(p+"data_loader.format", "auto"), Prompt: l.str(p+"data_loader.prompt", "vicuna"),
	}
	if d.Dir.V == "" {
		if files := l.strs(p + "data_loader.dataset_files"); len(files.V) > 0 {
			d.Dir = Val[string]{strings.Join(files.V, ","), files.At, files.Origin}
		}
	}
	return d
}

// checkpoint reads the CheckpointMonitor from the list of callbacks.
func (l *loader) checkpoint() {
	c := &l.c.Checkpoint
	at := Pos{File: l.c.Path, Line: 1, Col: 1}
	list := l.root.get("callbacks")
	if list != nil && list.keyPos.Line > 0 {
		at = list.keyPos
	}
	c.Prefix, c.SaveSteps, c.KeepMax = Val[string]{"CKP", at, "default"}, Val[int]{0, at, "default"}, Val[int]{5, at, "default"}
	if list == nil {
		return
	}
	for _, item := range list.items {
		if t := item.get2("type"); t == nil || t.value != "CheckpointMonitor" && t.value != "CheckpointMointor" {
			continue
		}
		sub := &loader{c: l.c, root: item}
		c.Prefix = sub.str("prefix", "CKP")
		c.SaveSteps = sub.int("save_checkpoint_steps", 1)
		c.KeepMax = sub.int("keep_checkpoint_max", 5)
		l.diags = append(l.diags, sub.diags...)
	}
}

func (l *loader) predict() {
	p := &l.c.Predict
	top := func(name string) string { // the same names stand at the top level too, and win there
		if l.root.get(name) != nil {
			return name
		}
		return mc + name
	}
	length := mc + "max_decode_length"
	if l.root.get(mc+"max_length") != nil {
		length = mc + "max_length"
	}
	if l.root.get("max_length") != nil {
		length = "max_length"
	}
	p.MaxLength = l.int(length, 1024)
	p.TopK, p.TopP = l.int(top("top_k"), 5), l.float(top("top_p"), 1)
	p.Temperature, p.RepetitionPenalty = l.float(top("temperature"), 1), l.float(top("repetition_penalty"), 1)
	p.DoSample = l.bool(top("do_sample"), false)
	if math.Abs(p.Temperature.V) < 1e-9 {
		p.DoSample.V = false
	}
}
