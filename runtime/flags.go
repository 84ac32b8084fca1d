package rt

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"lorac/runtime/data/dataset"
	"lorac/runtime/exit"
)

// Options are the flags of one run that are no settings of the job.
type Options struct {
	Steps       int // stop after this many; 0 runs all
	Threads     int
	LoadAdapter string
	Prompts     []string
	NoPast      bool     // generate without caches
	Sampling    []string // flags of sampling that are given
	Texts       int      // most texts generated at once; 0: 8
	SaveFile    *string  // where Predict writes its list; nil for MindFormers' place, "" for nowhere
	NoProgress  bool
	Serve       bool  // answer requests instead of prompts
	IgnoreBase  bool  // what the files of the base say of their model does not count
	MemLimit    int64 // bytes; 0 for none
	Config      string
	Grace       *time.Duration // that a step has to end in, once the run is asked to stop; nil: ten seconds
	MaxTime     time.Duration  // of the run; 0 for none
	MaxTimeText string         // as it was given
	Profile     string         // where a CPU profile of the steps goes
	Kernels     string         // file of compiled kernels; "" for the one beside the trainer
	DeviceID    string         // of the card; "" for DEVICE_ID or the config's
	AllowSlow   bool           // what takes far longer than f32 runs all the same

	Mismatch   []string // keys that may differ from those of the checkpoint that is resumed
	VerifyBase bool     // checkpoints know, and resuming compares, every byte of the base
}

// flag is one flag: dotted name in the config (if any), what it sets.
type flag struct {
	name, key, help string
	set             func(j *Job, o *Options, v string) error
}

func str(f func(j *Job) *string) func(*Job, *Options, string) error {
	return func(j *Job, _ *Options, v string) error { *f(j) = v; return nil }
}

func num(f func(j *Job, o *Options) *int, least int) func(*Job, *Options, string) error {
	return func(j *Job, o *Options, v string) error {
		n, err := strconv.Atoi(v)
		if err != nil || n < least {
			return fmt.Errorf("must be a whole number from %d up", least)
		}
		*f(j, o) = n
		return nil
	}
}

func yes(f func(j *Job, o *Options) *bool) func(*Job, *Options, string) error {
	return func(j *Job, o *Options, v string) error {
		switch strings.ToLower(v) {
		case "true":
			*f(j, o) = true
		case "false":
			*f(j, o) = false
		default:
			return fmt.Errorf("must be True or False")
		}
		return nil
	}
}

// real is a number from least up, to most; with open, least itself is not allowed.
func real(f func(j *Job) *float64, least, most float64, open bool) func(*Job, *Options, string) error {
	return func(j *Job, _ *Options, v string) error {
		x, err := strconv.ParseFloat(v, 64)
		if err != nil || !(x >= least && x <= most) || math.IsInf(x, 0) || open && x == least {
			from, to := "from", ""
			if open {
				from = "above"
			}
			if !math.IsInf(most, 1) {
				to = fmt.Sprintf(" to %g", most)
			}
			return fmt.Errorf("must be a number %s %g%s", from, least, to)
		}
		*f(j) = x
		return nil
	}
}

func none(*Job, *Options, string) error { return nil }

// checkDevice refuses a device that a trainer was not compiled for. Of a call that
// has no trainer yet (a job without a name), any device may become true.
func checkDevice(j *Job, v string) error {
	switch {
	case v != "auto" && v != "cpu" && v != "ascend":
		return fmt.Errorf("must be auto, cpu or ascend")
	case v == "auto" || j.Name == "" || v == cmp.Or(j.Device, "cpu"):
		return nil
	case v == "ascend":
		return fmt.Errorf("this trainer was compiled for the CPU\n  = help: lorac compile --device ascend makes one for Ascend; lorac finetune with the same flag compiles and runs it")
	}
	return fmt.Errorf("this trainer was compiled for Ascend\n  = help: lorac compile --device cpu makes one for the CPU; lorac finetune with the same flag compiles and runs it")
}

// flags is every flag, with the key it stands for; a key with dots may be
// given itself (--runner_config.epochs 3).
var flags = []flag{
	{"config", "", "accepted; the config is compiled in", func(_ *Job, o *Options, v string) error { o.Config = v; return nil }},
	{"run_mode", "run_mode", "train, finetune, eval or predict", func(j *Job, _ *Options, v string) error {
		switch v {
		case "train", "finetune", "eval", "predict":
			j.RunMode = v
			return nil
		}
		return fmt.Errorf("must be train, finetune, eval or predict")
	}},
	{"train_dataset_dir", "train_dataset.data_loader.dataset_dir", "training data: file, directory or several with commas", str(func(j *Job) *string { return &j.TrainData.Path })},
	{"eval_dataset_dir", "eval_dataset.data_loader.dataset_dir", "evaluation data", str(func(j *Job) *string { return &j.EvalData.Path })},
	{"load_checkpoint", "load_checkpoint", "base weights: Hugging Face directory, .safetensors, .ckpt, a tree of rank_N, .gguf, torch files", str(func(j *Job) *string { return &j.LoadCheckpoint })},
	{"load_adapter", "", "adapter to start from: PEFT directory", func(_ *Job, o *Options, v string) error { o.LoadAdapter = v; return nil }},
	{"tokenizer", "processor.tokenizer.vocab_file", "tokenizer.model or tokenizer.json (default: beside the checkpoint)", str(func(j *Job) *string { return &j.Tokenizer })},
	{"special_tokens", "processor.tokenizer.special_tokens", "ids: control tokens that a text spells (<s>, [INST]) become their ids; text: they stay text", func(j *Job, _ *Options, v string) error {
		if v != "ids" && v != "text" {
			return fmt.Errorf("must be ids or text")
		}
		j.SpecialTokens = strings.TrimPrefix(v, "ids")
		return nil
	}},
	{"output_dir", "output_dir", "where adapter, checkpoints and metrics go", str(func(j *Job) *string { return &j.Output })},
	{"resume_training", "resume_training", "True: resume from the newest good checkpoint in output_dir; or the name of one", func(j *Job, _ *Options, v string) error {
		switch strings.ToLower(v) {
		case "true":
			j.Resume = "true"
		case "false":
			j.Resume = ""
		default:
			j.Resume = v
		}
		return nil
	}},
	{"resume_mismatch", "", "KEY,…: resume although these differ from the checkpoint's: keys of the config, base, rows, tokenizer, graph", func(_ *Job, o *Options, v string) error {
		for key := range strings.SplitSeq(v, ",") {
			if key = strings.TrimSpace(key); key == "" {
				return fmt.Errorf("must be keys, separated by commas")
			}
			o.Mismatch = append(o.Mismatch, key)
		}
		return nil
	}},
	{"verify_base", "", "True: checkpoints hold digests of every byte of the base, which resuming compares; False: of a sample of each tensor", yes(func(_ *Job, o *Options) *bool { return &o.VerifyBase })},
	{"epochs", "runner_config.epochs", "times the data are read", num(func(j *Job, _ *Options) *int { return &j.Epochs }, 1)},
	{"batch_size", "runner_config.batch_size", "rows of a micro-batch", num(func(j *Job, _ *Options) *int { return &j.BatchSize }, 1)},
	{"gradient_accumulation_steps", "runner_config.gradient_accumulation_steps", "micro-batches of a step", num(func(j *Job, _ *Options) *int { return &j.GradAccum }, 1)},
	{"sink_mode", "", "counts steps as MindFormers does with sink_size; False counts all", func(j *Job, _ *Options, v string) error {
		if strings.EqualFold(v, "false") {
			j.SinkSize = 0
		}
		return nil
	}},
	{"learning_rate", "lr_schedule.learning_rate", "peak learning rate", real(func(j *Job) *float64 { return &j.Schedule.LR }, 0, math.Inf(1), false)},
	{"seed", "seed", "of the order of rows, the adapter's start and dropout", num(func(j *Job, _ *Options) *int { return &j.Seed }, 0)},
	{"do_eval", "do_eval", "True: evaluate during training", yes(func(j *Job, _ *Options) *bool { return &j.DoEval })},
	{"eval_step_interval", "eval_step_interval", "steps between evaluations; -1: none by steps", num(func(j *Job, _ *Options) *int { return &j.EvalSteps }, -1)},
	{"eval_epoch_interval", "eval_epoch_interval", "epochs (in sink mode, rounds) between evaluations; -1: none by epochs", num(func(j *Job, _ *Options) *int { return &j.EvalEpochs }, -1)},
	{"early_stopping_patience", "early_stopping_patience", "evaluations in a row without a lower loss that end the run; 0: none do", num(func(j *Job, _ *Options) *int { return &j.EarlyStopping.Patience }, 0)},
	{"early_stopping_threshold", "early_stopping_threshold", "by how much a loss must be lower to count", real(func(j *Job) *float64 { return &j.EarlyStopping.Threshold }, 0, math.Inf(1), false)},
	{"load_best_model_at_end", "load_best_model_at_end", "True: the run leaves the adapter of the evaluation with the lowest loss", yes(func(j *Job, _ *Options) *bool { return &j.LoadBest })},
	{"log_format", "", "lorac, or mindformers: the lines of MFLossMonitor", func(j *Job, _ *Options, v string) error {
		switch v {
		case "lorac", "mindformers":
			j.LogFormat = strings.TrimSuffix(v, "lorac")
			return nil
		}
		return fmt.Errorf("must be lorac or mindformers")
	}},
	{"save_checkpoint_steps", "", "steps between checkpoints", num(func(j *Job, _ *Options) *int { return &j.Checkpoint.SaveSteps }, 0)},
	{"keep_checkpoint_max", "", "checkpoints to keep", num(func(j *Job, _ *Options) *int { return &j.Checkpoint.KeepMax }, 1)},
	{"checkpoint_format", "", "ckpt, safetensors: checkpoints as MindFormers writes them; lorac: its own", func(j *Job, _ *Options, v string) error {
		if v != "ckpt" && v != "safetensors" && v != "lorac" {
			return fmt.Errorf("must be ckpt, safetensors or lorac")
		}
		if v != "lorac" && j.Checkpoint.Format == "" {
			j.Checkpoint.Network = !j.Checkpoint.NoNetwork
		}
		j.Checkpoint.Format = strings.TrimPrefix(v, "lorac")
		return nil
	}},
	{"base_config", "", "compare: config.json and the like beside the base must say what the trainer is compiled for; ignore: they do not count, which is recorded with the adapter", func(_ *Job, o *Options, v string) error {
		if v != "compare" && v != "ignore" {
			return fmt.Errorf("must be compare or ignore")
		}
		o.IgnoreBase = v == "ignore"
		return nil
	}},
	{"steps", "", "stop after this many steps", num(func(_ *Job, o *Options) *int { return &o.Steps }, 1)},
	{"threads", "", "threads to use; results do not depend on it", num(func(_ *Job, o *Options) *int { return &o.Threads }, 1)},
	{"predict_data", "", "prompt to continue (may be given several times), or a file with one a line; in training before the first step and after the last, for the report", func(_ *Job, o *Options, v string) error {
		o.Prompts = append(o.Prompts, v)
		return nil
	}},
	{"use_past", "model.model_config.use_past", "False: generate each id from the whole text, without caches of keys and values", func(_ *Job, o *Options, v string) error {
		var past bool
		err := yes(func(*Job, *Options) *bool { return &past })(nil, o, v)
		o.NoPast = !past
		return err
	}},
	{"save_file", "", "where the list of predicted texts goes (default text_generation_result.txt); --save_file= writes none", func(_ *Job, o *Options, v string) error { o.SaveFile = &v; return nil }},
	{"max_length", "model.model_config.max_decode_length", "most ids of a generated text, prompt included", num(func(j *Job, _ *Options) *int { return &j.Predict.MaxLength }, 1)},
	{"max_new_tokens", "model.model_config.max_new_tokens", "most ids after the prompt; wins over max_length", num(func(j *Job, _ *Options) *int { return &j.Predict.MaxNew }, 1)},
	{"do_sample", "model.model_config.do_sample", "True: sample instead of taking the likeliest", yes(func(j *Job, _ *Options) *bool { return &j.Predict.DoSample })},
	{"top_k", "model.model_config.top_k", "sample among the k likeliest", num(func(j *Job, _ *Options) *int { return &j.Predict.TopK }, 0)},
	{"top_p", "model.model_config.top_p", "sample among the likeliest that sum to p", real(func(j *Job) *float64 { return &j.Predict.TopP }, 0, 1, true)},
	{"temperature", "model.model_config.temperature", "of sampling", real(func(j *Job) *float64 { return &j.Predict.Temperature }, 0, math.Inf(1), true)},
	{"repetition_penalty", "model.model_config.repetition_penalty", "above 1: ids that are there already become less likely", real(func(j *Job) *float64 { return &j.Predict.RepetitionPenalty }, 0, math.Inf(1), true)},
	{"prompt", "train_dataset.data_loader.prompt", "how questions are rendered, those of --predict_data too: vicuna, alpaca, plain; or a chat template: llama2, llama3, chatml, or tokenizer for the tokenizer's own, which is compiled in", func(j *Job, _ *Options, v string) error {
		if !slices.Contains(dataset.Prompts, v) {
			return fmt.Errorf("must be %s", strings.Join(dataset.Prompts, ", "))
		}
		j.TrainData.Prompt, j.EvalData.Prompt = v, v
		return nil
	}},
	{"train_on", "train_dataset.data_loader.train_on", "what of a conversation is learned: turns (each answer), last (the last one) or all (every token)", func(j *Job, _ *Options, v string) error {
		if !slices.Contains(dataset.TrainOns, v) {
			return fmt.Errorf("must be %s", strings.Join(dataset.TrainOns, ", "))
		}
		j.TrainData.TrainOn = strings.TrimPrefix(v, "turns")
		j.EvalData.TrainOn = j.TrainData.TrainOn
		return nil
	}},
	{"serve", "", "True, with run_mode predict: answer requests from standard input, a JSON object a line, as lorac chat and lorac serve send them", yes(func(_ *Job, o *Options) *bool { return &o.Serve })},
	{"shuffle", "train_dataset.data_loader.shuffle", "False: rows in the order of the file", yes(func(j *Job, _ *Options) *bool { return &j.TrainData.Shuffle })},
	{"no_progress", "", "plain lines even on a terminal", func(_ *Job, o *Options, _ string) error { o.NoProgress = true; return nil }},
	{"mem_limit", "", "most memory of the run, as 16GiB: lorac finetune compiles for it, and a trainer that needs more refuses to start", func(_ *Job, o *Options, v string) (err error) { o.MemLimit, err = ParseBytes(v); return err }},
	{"max_time", "", "TIME, as 3h30m or 90s: the longest that the run may take; then checkpoint and adapter are saved and it ends well", func(_ *Job, o *Options, v string) (err error) {
		o.MaxTimeText = v
		if o.MaxTime, err = parseTime(v); err == nil && o.MaxTime == 0 {
			err = errTime
		}
		return err
	}},
	{"grace", "", "TIME (default 10s): a step that takes longer to end after SIGINT, SIGTERM, SIGHUP or --max_time is given up, and the last finished one is saved", func(_ *Job, o *Options, v string) error {
		d, err := parseTime(v)
		o.Grace = &d
		return err
	}},
	{"timeout", "", "TIME (default 60s): a process of several that gives no sign of life for so long ends the run; a long step is no fault", func(_ *Job, _ *Options, v string) error {
		d, err := parseTime(v)
		if err == nil && d < time.Second {
			err = fmt.Errorf("must be at least 1s")
		}
		return err
	}},
	{"allow_slow", "", "True: run also what takes over three times as long here as plain f32 would (compute: int8 without AVX2)", yes(func(_ *Job, o *Options) *bool { return &o.AllowSlow })},
	{"profile", "", "FILE, or True for output_dir/profile/cpu.pprof: a CPU profile of all steps but the first (go tool pprof)", func(_ *Job, o *Options, v string) error { o.Profile = v; return nil }},
	{"use_parallel", "use_parallel", "accepted; the job is compiled for its devices, and any number of processes gives the same result", none},
	{"auto_trans_ckpt", "auto_trans_ckpt", "True: a checkpoint of several ranks is transformed to one, in output_dir", yes(func(j *Job, _ *Options) *bool { return &j.AutoTrans })},
	{"src_strategy_path_or_dir", "src_strategy_path_or_dir", "strategy of the job that saved it: file or directory (default: strategy beside the ranks)", str(func(j *Job) *string { return &j.SrcStrategy })},
	{"device", "", "cpu or ascend, as the trainer was compiled; auto takes what it is", func(j *Job, _ *Options, v string) error { return checkDevice(j, v) }},
	{"device_target", "context.device_target", "accepted; --device says what a trainer is compiled for", none},
	{"device_id", "context.device_id", "card of a trainer for Ascend (default: DEVICE_ID, then the config's)", func(_ *Job, o *Options, v string) error {
		if n, err := strconv.Atoi(v); err != nil || n < 0 {
			return fmt.Errorf("must be a whole number from 0 up")
		}
		o.DeviceID = v
		return nil
	}},
	{"kernels", "", "compiled kernels of a trainer for Ascend (default: LORAC_ASCEND_KERNELS, then the file beside it)", func(_ *Job, o *Options, v string) error { o.Kernels = v; return nil }},
	{"mode", "context.mode", "accepted; the graph is compiled", none},
	{"transform_process_num", "transform_process_num", "accepted; one process needs no other layout", none},
	{"only_save_strategy", "only_save_strategy", "accepted; one process has no strategy to save", none},
	{"strategy_load_checkpoint", "parallel.strategy_ckpt_load_file", "accepted; one process needs no other layout", none},
	{"predict_batch_size", "predict_batch_size", "most prompts that are answered at once (default: 8); texts do not depend on it", num(func(_ *Job, o *Options) *int { return &o.Texts }, 1)},
	{"register_path", "", "accepted; there is no Python to register", none},
}

// AtRunTime reports whether a flag, without its dashes, is for the trainer;
// others need compiling.
func AtRunTime(name string) bool { return findFlag(name) != nil }

func findFlag(name string) *flag {
	for i := range flags {
		if flags[i].name == name || strings.Contains(flags[i].key, ".") && flags[i].key == name {
			return &flags[i]
		}
	}
	return nil
}

// FlagOf finds the flag that stands for a key of the config.
func FlagOf(key string) (name string, ok bool) {
	for i := range flags {
		if key != "" && flags[i].key == key {
			return flags[i].name, true
		}
	}
	return "", false
}

// KeyOf is the key that a flag stands for; "" if there is none.
func KeyOf(name string) string {
	if f := findFlag(name); f != nil {
		return f.key
	}
	return ""
}

// FlagNames lists the flags, without their dashes.
func FlagNames() []string {
	var out []string
	for i := range flags {
		out = append(out, flags[i].name)
	}
	return out
}

// Switch reports whether a flag takes no value.
func Switch(name string) bool { return name == "no_progress" || name == "help" }

// errHelp is what parseFlags gives for --help.
var errHelp = errors.New("help is asked for")

// parseFlags applies the arguments to the job. Its errors, but for errHelp, are
// faults of the call.
func parseFlags(job *Job, args []string) (*Options, error) {
	o := &Options{}
	for i := 0; i < len(args); i++ {
		name, value, has := strings.Cut(strings.TrimLeft(args[i], "-"), "=")
		if !strings.HasPrefix(args[i], "-") || name == "" {
			return nil, exit.Usagef("unexpected argument %q; flags are given as --flag value or --flag=value", args[i])
		}
		if name == "help" || name == "h" {
			return nil, errHelp
		}
		f := findFlag(name)
		if f == nil {
			if strings.Contains(name, ".") && len(Nearest(name)) == 0 {
				return nil, exit.Usagef("--%s is compiled in; change it with: lorac finetune CONFIG --%s …", name, name)
			}
			return nil, exit.Usagef("unknown flag --%s%s", name, didYouMean(name))
		}
		if has && Switch(f.name) {
			return nil, exit.Usagef("--%s takes no value", name)
		}
		if !has && !Switch(f.name) {
			if i++; i >= len(args) {
				return nil, exit.Usagef("--%s needs a value", name)
			}
			value = args[i]
		}
		if err := f.set(job, o, value); err != nil {
			return nil, exit.Usagef("--%s %s: %v", name, value, err)
		}
		if slices.Contains([]string{"temperature", "top_p", "top_k"}, f.name) {
			o.Sampling = append(o.Sampling, "--"+f.name)
		}
	}
	if o.MaxTime > 0 && modeOf(job.RunMode) != Train {
		return nil, exit.Usagef("--max_time is of training; a run of mode %s ends when it is done", job.RunMode)
	}
	return o, nil
}

// CheckFlags finds the faults of a call before there is a trainer, of a config with
// this run_mode.
func CheckFlags(mode string, args []string) error {
	_, err := parseFlags(&Job{RunMode: mode}, args)
	return err
}

// FlagHelp lists the trainer's flags.
func FlagHelp() string {
	var b strings.Builder
	list := append([]flag(nil), flags...)
	sort.SliceStable(list, func(i, j int) bool { return list[i].name < list[j].name })
	for _, f := range list {
		fmt.Fprintf(&b, "  --%-28s %s\n", f.name, f.help)
	}
	return b.String()
}

func help(out io.Writer, job *Job) {
	fmt.Fprintf(out, "%s: the trainer lorac compiled from %s\n\n%s\nDotted keys of the config work where a flag stands for them (--runner_config.epochs 3).\n", job.Name, job.Source, FlagHelp())
}

// sizeFlag writes a size as ParseBytes reads it.
func sizeFlag(n int64) string {
	if n%(1<<20) == 0 {
		return fmt.Sprintf("%dMiB", n>>20)
	}
	return fmt.Sprint(n)
}

var errTime = errors.New("must be a time such as 90s, 45m or 3h30m; a number alone is seconds")

// parseTime reads 3h30m, 90s, 90; no time below zero.
func parseTime(s string) (time.Duration, error) {
	if n, err := strconv.ParseFloat(s, 64); err == nil && n >= 0 && n < 1<<32 {
		return time.Duration(n * float64(time.Second)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errTime
	}
	return d, nil
}

// ParseBytes reads 16GiB, 500MB, 1024. The bound is far above any machine, and
// keeps sums of sizes from overflowing.
func ParseBytes(s string) (int64, error) {
	units := []struct {
		name string
		n    float64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"B", 1}, {"", 1}}
	const most = 1 << 60
	for _, u := range units {
		if v, ok := strings.CutSuffix(s, u.name); ok {
			if x, err := strconv.ParseFloat(strings.TrimSpace(v), 64); err == nil && x*u.n >= 1 && x*u.n <= most {
				return int64(x * u.n), nil
			}
		}
	}
	return 0, fmt.Errorf("must be a size from 1B to 2^30 GiB, as 16GiB; the units are GiB, MiB, KiB, GB, MB, KB and B, which may be left out")
}
