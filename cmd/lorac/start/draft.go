package start

import (
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"lorac/compiler/config"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights/claims"
)

// Draft is a config before it is written.
type Draft struct {
	Base string // load_checkpoint
	Name string
	File string   // that it is written to, for the commands that follow; "" if it is not
	From string   // what it was made of, in words
	Head []string // more lines of its header

	Model     config.Model
	SeqLength int
	Longest   int      // that the base was trained on
	unsaid    []string // keys that have the usual values, as nothing says them
	Tokenizer string   // found with the base; "": none
	tok       *tokenizer.Tokenizer
	Vocab     string // vocab_file, where it is named

	LoRA  *LoRA // nil: all of the base trains
	Quant string
	Seed  int
	Out   string

	Optimizer           string
	Beta1, Beta2, Eps   float64
	Decay               float64
	Schedule            string
	LR, LREnd           float64
	WarmupRatio         float64
	WarmupSteps         int // where WarmupRatio is below 0
	Cycles              float64
	noWarmup            bool
	Clip                float64 // 0: none
	Epochs, Batch       int
	Steps               int // that end the run; 0: all epochs
	Accumulation        int
	PerToken            bool
	Train, Eval         Data
	DoEval              bool
	EvalSteps, EvalEach int // −1: none
	Patience            int // early_stopping_patience; 0: it is not written
	LoadBest            bool
	SaveSteps, Keep     int

	NewTokens         int
	Sample            bool
	TopK              int
	TopP, Temperature float64
	Repetition        float64

	Notes []string // what the user should know of it
}

// LoRA is pet_config.
type LoRA struct {
	Rank    int
	Alpha   float64
	Dropout float64
	Targets []string
	Exclude []string // layers
	Root    bool     // use_rslora
	DoRA    bool     // use_dora
	Ratio   float64  // loraplus_lr_ratio; 0: it is not written
	Init    string   // init_lora_weights; "": it is not written
	Ranks   []Rule   // rank_pattern
	Alphas  []Rule   // alpha_pattern
	Modules []string // modules_to_save
	Tokens  []string // added_tokens
	Resize  bool     // the vocabulary is as large as the tokenizer
	Tying   bool     // ensure_weight_tying
}

// Rule is a number of the modules that a pattern matches.
type Rule struct {
	Name  string
	Value float64
}

// rules writes them as a mapping in a line.
func rules(list []Rule) word {
	var parts []string
	for _, r := range list {
		parts = append(parts, quote(r.Name)+": "+claims.Text(r.Value))
	}
	return word("{" + strings.Join(parts, ", ") + "}")
}

// Data is a data set.
type Data struct {
	Path, Format, Prompt, Pack string
	Parts                      string // train_on
	Shuffle, Drop              bool
	Take                       int
	Instruction, Input, Output string // names of columns of alpaca rows
}

// nameOf is what a model is called: as its file or directory, or, in the cache of Hugging
// Face's programs (models--ORG--NAME/snapshots/COMMIT), by its name there.
func nameOf(base string) string {
	if abs, err := filepath.Abs(base); err == nil {
		base = abs
	}
	if above := filepath.Dir(base); filepath.Base(above) == "snapshots" {
		if parts := strings.Split(filepath.Base(filepath.Dir(above)), "--"); len(parts) == 3 && parts[0] == "models" {
			return parts[2]
		}
	}
	return filepath.Base(base)
}

// Below finds models in the directories of one that has none itself, a few levels deep.
func Below(dir string) (found []string) {
	const levels, most = 3, 4
	filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error { //nolint:errcheck // what cannot be read holds none
		switch rel, _ := filepath.Rel(dir, path); {
		case err != nil || len(found) == most:
			return filepath.SkipDir
		case d.IsDir() && strings.Count(filepath.ToSlash(rel), "/") >= levels:
			return filepath.SkipDir
		case d.Name() == "config.json" || d.Name() == "params.json" || filepath.Ext(d.Name()) == ".gguf":
			model := filepath.Dir(path)
			if filepath.Ext(d.Name()) == ".gguf" {
				model = path
			}
			if model != dir {
				found = append(found, model)
			}
		}
		return nil
	})
	return found
}

// usual is where a fine-tuning begins.
func usual(base string) *Draft {
	name := nameOf(base)
	for _, ext := range []string{".safetensors.index.json", ".safetensors", ".ckpt", ".gguf", ".pth", ".pt", ".bin"} {
		name = strings.TrimSuffix(name, ext)
	}
	return &Draft{Base: base, Name: config.ProgramName(name), From: "`lorac init " + human.ShellWord(base) + "`", SeqLength: 2048,
		LoRA: &LoRA{Rank: 16, Alpha: 32, Dropout: 0.05, Targets: []string{"wq", "wk", "wv", "wo"}}, Out: "./output",
		Optimizer: "AdamW", Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Schedule: "CosineWithWarmUpLR", LR: 2e-4, WarmupRatio: 0.03, Cycles: 0.5, Clip: 1,
		Epochs: 3, Batch: 4, Accumulation: 1, Train: Data{Shuffle: true}, EvalSteps: 100, EvalEach: -1, SaveSteps: 100, Keep: 2,
		NewTokens: 256, TopK: 3, TopP: 1, Temperature: 1, Repetition: 1}
}

// OwnPrompt is the prompt of the tokenizer's own chat template.
const OwnPrompt = "tokenizer"

// Choice is what a drafted config chose, in a sentence.
func Choice(c *config.Config) string {
	what, prompt := "full fine-tuning", ""
	if c.Train.Prompt.V == OwnPrompt {
		prompt = ", questions by the tokenizer's chat template"
	}
	if c.LoRA != nil {
		what = fmt.Sprintf("LoRA of rank %d on %s", c.LoRA.Rank.V, strings.Join(c.Targets(), ", "))
	}
	return fmt.Sprintf("%s, learning rate %s, %s, %s a step of up to %d tokens%s", what, claims.Text(c.Schedule.LR.V), human.Count(c.Run.Epochs.V, "epoch"),
		human.Count(c.Run.BatchSize.V*c.Run.GradAccum.V, "row"), c.Model.SeqLength.V, prompt)
}

// page is a text of YAML lines with comments beside them.
type page struct{ strings.Builder }

// line writes key: value # comment.
func (p *page) line(depth int, key string, value any, comment string) {
	text := strings.Repeat("  ", depth) + key + ":"
	if s := scalar(value); s != "" {
		text += " " + s
	}
	if comment != "" {
		text = fmt.Sprintf("%-44s # %s", text, comment)
	}
	p.WriteString(strings.TrimRight(text, " ") + "\n")
}

func (p *page) section(title string) { p.WriteString("\n# " + title + "\n") }

// scalar writes a value as YAML 1.1 reads it back.
func scalar(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return quote(v)
	case []string:
		var list []string
		for _, s := range v {
			list = append(list, quote(s))
		}
		return "[" + strings.Join(list, ", ") + "]"
	case []int:
		if len(v) == 1 {
			return fmt.Sprint(v[0])
		}
		return strings.ReplaceAll(fmt.Sprint(v), " ", ", ")
	case word:
		return string(v)
	}
	return claims.Text(v)
}

// word is a value that needs no quotes.
type word string

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// YAML is the text of the config.
func (d *Draft) YAML() []byte {
	p := &page{}
	d.header(p)
	p.section("The base, which stays as it is, and where results go.")
	p.line(0, "load_checkpoint", d.Base, "")
	p.line(0, "output_dir", d.Out, "metrics, checkpoints and the adapter; --output_dir")
	p.line(0, "run_mode", "finetune", "or eval, predict; --run_mode")
	p.line(0, "seed", d.Seed, "of the order of rows, the adapter's start and dropout")
	if d.Quant != "" {
		p.line(0, "quant", d.Quant, "the frozen base in blocks of so many bits")
	}
	p.line(0, "trainer", nil, "")
	p.line(1, "type", word("CausalLanguageModelingTrainer"), "")
	p.line(1, "model_name", d.Name, "")
	d.schedule(p)
	d.data(p)
	d.model(p)
	p.section("The tokenizer.")
	p.line(0, "processor", nil, "")
	p.line(1, "type", word("LlamaProcessor"), "")
	p.line(1, "tokenizer", nil, "")
	p.line(2, "type", word("LlamaTokenizer"), "")
	found := d.Tokenizer
	if found == "" {
		found = "none was found; rows of ids need none"
	}
	p.line(2, "vocab_file", d.Vocab, "empty: the one of the base ("+found+")")
	return []byte(p.String())
}

func (d *Draft) header(p *page) {
	file := d.File
	if file == "" {
		file = "CONFIG"
	}
	fmt.Fprintf(p, "# %s, a config in MindFormers' keys, from %s.\n", d.Name, d.From)
	p.WriteString("# What the model is follows from the base; all else may be changed. `lorac check` explains each key.\n#\n")
	for _, c := range d.Next(file) {
		p.WriteString("#     " + c + "\n")
	}
	for _, line := range d.Head {
		p.WriteString("# " + line + "\n")
	}
}

// Next are the commands that follow.
func (d *Draft) Next(file string) []string {
	file = human.ShellWord(file)
	data := ""
	if d.Train.Path == "" {
		data = " --train_dataset_dir data.json"
	}
	steps := ""
	if d.Steps > 0 {
		steps = fmt.Sprintf(" --steps %d", d.Steps)
	}
	list := []string{
		"lorac check " + file,
		"lorac plan " + file + data,
		"lorac finetune " + file + data + steps,
	}
	if d.LoRA == nil {
		return list
	}
	return append(list,
		"lorac chat "+file,
		"lorac convert merge --base "+human.ShellWord(d.Base)+" --adapter "+human.ShellWord(filepath.Join(d.Out, "adapter"))+" -o merged")
}

func (d *Draft) schedule(p *page) {
	p.section("How long and how fast it learns.")
	p.line(0, "runner_config", nil, "")
	comment := "passes over the data; --epochs"
	if d.Steps > 0 {
		comment = fmt.Sprintf("more than --steps %d takes", d.Steps)
	}
	p.line(1, "epochs", d.Epochs, comment)
	p.line(1, "batch_size", d.Batch, "rows of a micro-batch; --batch_size")
	p.line(1, "gradient_accumulation_steps", d.Accumulation, "micro-batches of a step")
	if d.PerToken {
		p.line(0, "calculate_per_token_loss", true, "a step is the mean over its tokens")
	}
	p.line(0, "optimizer", nil, "")
	p.line(1, "type", word(d.Optimizer), "docs/training.md has the others")
	if d.Optimizer == "AdamW" || d.Optimizer == "FP32StateAdamWeightDecay" {
		p.line(1, "beta1", d.Beta1, "")
		p.line(1, "beta2", d.Beta2, "")
		p.line(1, "eps", d.Eps, "")
	}
	p.line(1, "weight_decay", d.Decay, "")
	if d.Optimizer == "AdaFactor" {
		p.line(1, "relative_step", false, "")
		p.line(1, "scale_parameter", false, "")
	}
	p.line(0, "lr_schedule", nil, "")
	p.line(1, "type", word(d.Schedule), "")
	p.line(1, "learning_rate", d.LR, "the highest; adapters take 1.e-5 to 1.e-3")
	if d.WarmupRatio >= 0 {
		p.line(1, "warmup_ratio", d.WarmupRatio, "the share of steps in which it rises to that")
	} else {
		p.line(1, "warmup_steps", d.WarmupSteps, "steps in which it rises to that")
	}
	if d.Steps > 0 {
		p.line(1, "total_steps", d.Steps, "")
	}
	if d.Schedule != "ConstantWarmUpLR" && d.Schedule != "LinearWithWarmUpLR" {
		p.line(1, "lr_end", d.LREnd, "")
		if d.Schedule != "PolynomialWithWarmUpLR" && d.Cycles != 0.5 {
			p.line(1, "num_cycles", d.Cycles, "")
		}
	}
	p.line(0, "runner_wrapper", nil, "")
	p.line(1, "type", word("MFTrainOneStepCell"), "")
	p.line(1, "use_clip_grad", d.Clip > 0, "")
	if d.Clip > 0 {
		p.line(1, "max_grad_norm", d.Clip, "longer gradients are scaled to this length")
	}
	p.line(0, "callbacks", nil, "")
	p.WriteString("  - type: MFLossMonitor\n  - type: CheckpointMonitor\n")
	p.line(2, "prefix", d.Name, "")
	p.line(2, "save_checkpoint_steps", d.SaveSteps, "a run resumes from there: --resume_training True")
	p.line(2, "keep_checkpoint_max", d.Keep, "")
}

func (d *Draft) data(p *page) {
	p.section("Rows: JSON, JSONL, CSV, Parquet, text or MindRecord; docs/data.md has their forms.")
	p.line(0, "train_dataset", word("&train_dataset"), "")
	d.Train.write(p, "train", d.SeqLength)
	p.line(0, "train_dataset_task", nil, "")
	p.line(1, "type", word("CausalLanguageModelDataset"), "")
	p.line(1, "dataset_config", word("*train_dataset"), "")
	p.line(0, "do_eval", d.DoEval, "True: evaluate during training; always before and after, where there are rows for it")
	if d.DoEval {
		p.line(0, "eval_step_interval", d.EvalSteps, "")
		p.line(0, "eval_epoch_interval", d.EvalEach, "")
	}
	if d.Patience > 0 {
		p.line(0, "early_stopping_patience", d.Patience, "evaluations without a lower loss that end the run")
	}
	if d.LoadBest {
		p.line(0, "load_best_model_at_end", true, "the adapter of the best evaluation stays")
	}
	p.line(0, "eval_dataset", word("&eval_dataset"), "")
	d.Eval.write(p, "eval", d.SeqLength)
	p.line(0, "eval_dataset_task", nil, "")
	p.line(1, "type", word("CausalLanguageModelDataset"), "")
	p.line(1, "dataset_config", word("*eval_dataset"), "")
	p.line(0, "metric", word("{type: PerplexityMetric}"), "")
}

func (x *Data) write(p *page, section string, seq int) {
	p.line(1, "data_loader", nil, "")
	p.line(2, "type", word("MindDataset"), "")
	p.line(2, "dataset_dir", x.Path, "a file or directory; --"+section+"_dataset_dir")
	p.line(2, "shuffle", x.Shuffle, "")
	if x.Format != "" {
		p.line(2, "format", x.Format, "")
	}
	if x.Prompt != "" {
		comment := "how questions are put"
		if x.Prompt == OwnPrompt {
			comment += ": by the tokenizer's own chat template; docs/chat.md has others"
		}
		p.line(2, "prompt", x.Prompt, comment)
	}
	if x.Parts != "" {
		p.line(2, "train_on", x.Parts, "what of a conversation is learned")
	}
	if x.Pack != "" {
		p.line(2, "packing", x.Pack, "several texts in a row")
	}
	var handlers []string
	if x.Take > 0 {
		handlers = append(handlers, fmt.Sprintf("{type: take, n: %d}", x.Take))
	}
	if x.Instruction+x.Input+x.Output != "" {
		h := fmt.Sprintf("{type: AlpacaInstructDataHandler, seq_length: %d", seq)
		for _, c := range [][2]string{{"instruction_key", x.Instruction}, {"input_key", x.Input}, {"output_key", x.Output}} {
			if c[1] != "" {
				h += ", " + c[0] + ": " + quote(c[1])
			}
		}
		handlers = append(handlers, h+"}")
	}
	if len(handlers) > 0 {
		p.line(2, "handler", nil, "")
		for _, h := range handlers {
			p.WriteString("      - " + h + "\n")
		}
	}
	p.line(1, "input_columns", word(`["input_ids", "labels"]`), "")
	p.line(1, "drop_remainder", x.Drop, "False: the last rows of an epoch are a smaller step")
}

// methods are the names of extend_method.
var methods = map[string]string{"pi": "PI", "ntk": "NTK", "yarn": "YARN", "llama3": "LLAMA3"}

func (d *Draft) model(p *page) {
	m := &d.Model
	p.section("The model. What an adapter learns with comes first; sizes, rope and ids are the base's.")
	p.line(0, "model", nil, "")
	p.line(1, "arch", nil, "")
	p.line(2, "type", word("LlamaForCausalLM"), "")
	p.line(1, "model_config", nil, "")
	p.line(2, "type", word("LlamaConfig"), "")
	longest := ""
	if d.Longest > 0 {
		longest = fmt.Sprintf("tokens of a row at most; the base knows up to %d", d.Longest)
	}
	p.line(2, "seq_length", d.SeqLength, longest)
	if l := d.LoRA; l != nil {
		p.line(2, "pet_config", nil, "without this section all of the base trains")
		p.line(3, "pet_type", word("lora"), "")
		p.line(3, "lora_rank", l.Rank, "more learns more, and takes more")
		p.line(3, "lora_alpha", l.Alpha, "the adapter counts lora_alpha/lora_rank times")
		p.line(3, "lora_dropout", l.Dropout, "")
		p.line(3, "target_modules", strings.Join(l.Targets, "|"), "of wq wk wv wo (attention), w1 w2 w3 (feed-forward)")
		if l.Root {
			p.line(3, "use_rslora", true, "it counts lora_alpha/√lora_rank times")
		}
		if l.DoRA {
			p.line(3, "use_dora", true, "rows of the adapted matrices have magnitudes that train")
		}
		if l.Ratio > 0 {
			p.line(3, "loraplus_lr_ratio", l.Ratio, "the factors B learn so many times as fast")
		}
		if l.Init != "" {
			p.line(3, "init_lora_weights", word(l.Init), "how the adapter starts")
		}
		if len(l.Ranks) > 0 {
			p.line(3, "rank_pattern", rules(l.Ranks), "other ranks, by the ends of names")
		}
		if len(l.Alphas) > 0 {
			p.line(3, "alpha_pattern", rules(l.Alphas), "")
		}
		if len(l.Modules) > 0 {
			p.line(3, "modules_to_save", l.Modules, "train whole and are saved with the adapter")
		}
		if l.Tying {
			p.line(3, "ensure_weight_tying", true, "embedding and head train as one")
		}
		if len(l.Tokens) > 0 {
			p.line(3, "added_tokens", l.Tokens, "control tokens, for which vocab_size has places")
		}
		if len(l.Exclude) > 0 {
			p.line(3, "exclude_layers", l.Exclude, "")
		}
	}
	p.line(2, "hidden_size", m.Hidden.V, "")
	p.line(2, "num_layers", m.Layers.V, "")
	p.line(2, "num_heads", m.Heads.V, "")
	p.line(2, "n_kv_heads", m.KVHeads.V, "")
	p.line(2, "intermediate_size", m.FFN.V, "")
	p.line(2, "vocab_size", m.Vocab.V, "")
	p.line(2, "max_position_embedding", max(d.Longest, d.SeqLength), "")
	p.line(2, "rms_norm_eps", m.RMSEps.V, d.unsure("rms_norm_eps", "the usual one: the base does not say it"))
	p.line(2, "theta", m.Theta.V, "of the rotary embedding"+d.unsure("theta", ": the usual one, the base does not say it"))
	if name := methods[m.RopeMethod.V]; name != "" {
		p.line(2, "extend_method", word(name), "its scaling")
		if m.RopeMethod.V == "pi" || m.RopeMethod.V == "ntk" {
			p.line(2, "scaling_factor", m.RopeFactors["factor"], "")
		} else {
			p.line(2, "scaling_factor", nil, "")
			for _, k := range slices.Sorted(maps.Keys(m.RopeFactors)) {
				p.line(3, k, m.RopeFactors[k], "")
			}
		}
	}
	p.line(2, "tie_word_embeddings", m.TieEmbeddings.V, "True: the head is the embedding")
	for _, b := range []struct {
		key string
		on  bool
	}{{"qkv_has_bias", m.QKVBias.V}, {"attn_proj_has_bias", m.ProjBias.V}, {"mlp_has_bias", m.MLPBias.V}} {
		if b.on {
			p.line(2, b.key, true, "")
		}
	}
	p.line(2, "bos_token_id", m.BosID.V, "begins a text")
	p.line(2, "eos_token_id", m.EosIDs.V, "ends it")
	comment := "nothing attends to this id; -1: none"
	if slices.Contains(m.EosIDs.V, m.PadID.V) {
		comment = "the base's, and an end of texts too: the ends inside a row are not attended to"
	}
	p.line(2, "pad_token_id", m.PadID.V, comment)
	p.line(2, "ignore_token_id", -100, "")
	p.line(2, "compute_dtype", "float32", "")
	p.line(2, "param_init_type", "float32", "")
	p.line(2, "max_new_tokens", d.NewTokens, "of an answer; this and what follows is for run_mode predict")
	p.line(2, "do_sample", d.Sample, "False: the likeliest token each time")
	p.line(2, "top_k", d.TopK, "")
	p.line(2, "top_p", d.TopP, "")
	p.line(2, "temperature", d.Temperature, "")
	p.line(2, "repetition_penalty", d.Repetition, "")
}

// unsure is a comment on a key that nothing says.
func (d *Draft) unsure(key, text string) string {
	if slices.Contains(d.unsaid, key) {
		return text
	}
	return ""
}
