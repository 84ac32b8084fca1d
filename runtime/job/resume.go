package job

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"strings"
)

// Fact is a key of a job that matters to a run that resumes: its name in the
// config and its value. Free says that a resumed run may have another value.
type Fact struct {
	Key, Value string
	Free       bool
}

// resumed is what each key of a job means to a run that resumes: its name in the
// config, after "=" where the result depends on it, after "~" where a resumed
// run may change it; "-" where it shapes nothing that is saved. A key that is not
// in the table must be the same.
var resumed = map[string]string{
	"norm_eps": "=model.model_config.rms_norm_eps",
	"seed":     "=seed", "compute": "=compute", "quant.kind": "=quant", "device": "~device", "device.low": "-", "device.id": "-",
	"seq_length": "=model.model_config.seq_length", "vocab": "=model.model_config.vocab_size",
	"add_bos": "=processor.tokenizer.add_bos_token", "add_eos": "-", // training rows end with it in any case
	"bos_id": "=model.model_config.bos_token_id", "eos_ids": "=model.model_config.eos_token_id",
	"pad_id": "=model.model_config.pad_token_id", "ignore_id": "=model.model_config.ignore_token_id",

	"epochs": "~runner_config.epochs", "batch_size": "~runner_config.batch_size", "grad_accum": "~runner_config.gradient_accumulation_steps",
	"devices.count": "~devices", "devices.mode": "~parallel.parallel_mode", "devices.full_batch": "=parallel.full_batch",
	"devices.replicas": "~parallel_config.data_parallel", "devices.micro": "~parallel_config.micro_batch_num",
	"devices.interleave": "~micro_batch_interleave_num", "devices.sum": "~devices.sum", "devices.shard": "~shard_by", "devices.units": "=units",
	"sink_size": "~runner_config.sink_size", "per_token_loss": "=calculate_per_token_loss",

	"train_data.shuffle": "=train_dataset.data_loader.shuffle", "train_data.drop_remainder": "=train_dataset.drop_remainder",
	"train_data.repeat": "=train_dataset.repeat", "train_data.format": "~train_dataset.data_loader.format", // the rows tell
	"train_data.prompt": "=train_dataset.data_loader.prompt", "train_data.train_on": "=train_dataset.data_loader.train_on", "chat_template": "=chat_template",
	"train_data.take": "=train_dataset.data_loader.handler.n", "train_data.samples": "=train_dataset.data_loader.num_samples",
	"train_data.seq_length": "=train_dataset.data_loader.handler.seq_length", "train_data.pack": "=train_dataset.data_loader.packing",
	"train_data.split": "=train_dataset.data_loader.split", "train_data.instruction_key": "=train_dataset.data_loader.handler.instruction_key",
	"train_data.input_key": "=train_dataset.data_loader.handler.input_key", "train_data.output_key": "=train_dataset.data_loader.handler.output_key",
	"train_data.order": "=train_dataset.data_loader.type", "train_data.no_labels": "=train_dataset.input_columns", "special_tokens": "=processor.tokenizer.special_tokens",
	"train_data.eod_reset": "=train_dataset.eod_reset", "train_data.eod": "=train_dataset.eod_token_id",

	"schedule.type": "~lr_schedule.type", "schedule.lr": "~lr_schedule.learning_rate", "schedule.lr_scale_factor": "~lr_scale_factor", "schedule.lr_end": "~lr_schedule.lr_end",
	"schedule.warmup_init": "~lr_schedule.warmup_lr_init", "schedule.warmup_ratio": "~lr_schedule.warmup_ratio",
	"schedule.warmup_steps": "~lr_schedule.warmup_steps", "schedule.warmup_epochs": "~lr_schedule.warmup_epochs",
	"schedule.total_steps": "~lr_schedule.total_steps", "schedule.decay_steps": "~lr_schedule.decay_steps",
	"schedule.num_cycles": "~lr_schedule.num_cycles", "schedule.power": "~lr_schedule.power", "schedule.eta_min": "~lr_schedule.eta_min",
	"schedule.decay_ratio": "~lr_schedule.decay_ratio", "schedule.decay_start_ratio": "~lr_schedule.decay_start_ratio",
	"schedule.keep_steps": "~lr_schedule.keep_steps", "schedule.final_steps": "~lr_schedule.final_steps", "schedule.lr_end2": "~lr_schedule.lr_end2",
	"schedule.decay_start": "~lr_schedule.decay_start_steps", "schedule.t_max": "~lr_schedule.t_max", "schedule.t_0": "~lr_schedule.t_0", "schedule.t_mult": "~lr_schedule.t_mult",

	"loss_scale.type": "=runner_wrapper.scale_sense.type", "loss_scale.value": "=runner_wrapper.scale_sense.loss_scale_value",
	"loss_scale.factor": "=runner_wrapper.scale_sense.scale_factor", "loss_scale.window": "=runner_wrapper.scale_sense.scale_window",
	"loss_scale.min_window": "=runner_wrapper.scale_sense.min_scale_window", "loss_scale.max_window": "=runner_wrapper.scale_sense.max_scale_window",

	"lora.rank": "=model.model_config.pet_config.lora_rank", "lora.alpha": "=model.model_config.pet_config.lora_alpha",
	"lora.ranks":        "=model.model_config.pet_config.rank_pattern",
	"lora.alphas":       "=model.model_config.pet_config.alpha_pattern",
	"lora.rslora":       "=model.model_config.pet_config.use_rslora",
	"lora.dora":         "=model.model_config.pet_config.use_dora",
	"lora.added_tokens": "=model.model_config.pet_config.added_tokens",
	"lora.modules":      "=model.model_config.pet_config.modules_to_save", "lora.tied": "=model.model_config.pet_config.ensure_weight_tying",
	"lora.dropout": "=model.model_config.pet_config.lora_dropout", "lora.targets": "-", // by layer, among Keys

	"memory.keep": "~saved_activations", // their type, where a limit has them stored in another

	"keys": "-", // compared one by one
}

// unset is how configs spell what is "" or 0 in a job.
var unset = map[string]string{"device": "cpu", "compute": "f32", "quant.kind": "none", "memory.keep": "f32", "train_data.prompt": "auto", "train_data.train_on": "turns", "chat_template": "none", "train_data.pack": "none", "train_data.order": "MindDataset",
	"loss_scale.type": "static", "devices.count": "1", "devices.mode": "stand-alone", "devices.shard": "none",
	"devices.units": "as many as devices"}

// silent are the groups of keys, and keys, that shape nothing a checkpoint holds:
// where things are and go, evaluation and what follows from it, generation, how often is saved and logged.
var silent = []string{"run_mode", "over", "output", "load_checkpoint", "resume", "auto_trans", "src_strategy", "tokenizer", "quant.", "train_data.path", "eval_data.",
	"do_eval", "eval_steps", "eval_epochs", "early_stopping.", "load_best", "metrics", "log_format", "log_every", "check_nan", "checkpoint.", "predict.", "pruned", "memory."}

// meaning is the row of a key in the tables above.
func meaning(key string) (row string, known bool) {
	if row, ok := resumed[key]; ok {
		return row, true
	}
	for _, s := range silent {
		if key == s || strings.HasSuffix(s, ".") && strings.HasPrefix(key, s) {
			return "-", true
		}
	}
	return "=" + key, false
}

// Facts lists what a checkpoint must know of a job, so that a run that resumes from
// it can be compared key by key: the keys of the config that shape the graph, and
// those of the job.
func (j *Job) Facts() (out []Fact) {
	for _, k := range j.Keys {
		key, value, _ := strings.Cut(k, "=")
		out = append(out, Fact{Key: key, Value: value})
	}
	v := reflect.ValueOf(j).Elem()
	for i := range fields {
		f := &fields[i]
		row, _ := meaning(f.key)
		if row == "-" || !holds(v, f) {
			continue
		}
		value := Spell(v.FieldByIndex(f.path).Interface())
		if f.key == "chat_template" && j.ChatTemplate != "" { // a digest of the text
			value = fmt.Sprintf("%.8x", sha256.Sum256([]byte(value)))
		}
		if none := unset[f.key]; none != "" && (value == `""` || value == "0") {
			value = none
		}
		out = append(out, Fact{row[1:], value, row[0] == '~'})
	}
	return out
}

// Spell writes a value of a key as a config would.
func Spell(v any) string {
	switch v := v.(type) {
	case bool:
		return map[bool]string{true: "True", false: "False"}[v]
	case []int, []string:
		return strings.ReplaceAll(fmt.Sprint(v), " ", ", ")
	case string:
		if v == "" {
			return `""`
		}
		return v
	}
	return fmt.Sprint(v)
}

// StepRows is how many rows a step of a job had, by its facts; 0 where they do not
// say it.
func StepRows(facts ...map[string]string) int {
	j := Default()
	v := reflect.ValueOf(j).Elem()
	for i := range fields {
		f := &fields[i]
		if f.key != "batch_size" && f.key != "grad_accum" && f.typ != "Devices" {
			continue
		}
		row, _ := meaning(f.key)
		text, ok := "", false
		for _, m := range facts {
			if value, has := m[row[1:]]; has {
				text, ok = value, true
			}
		}
		to := v.FieldByIndex(f.path)
		switch {
		case !ok && f.typ == "": // the facts of earlier releases have no devices
			return 0
		case !ok || text == unset[f.key]:
		case to.Kind() == reflect.Bool:
			to.SetBool(text == "True")
		default:
			val := parse(to.Type(), text)
			if n, is := val.(int); to.Kind() == reflect.Int && (!is || n < 0 || n > 1<<24) || set(to, val) != nil {
				return 0
			}
		}
	}
	if n := j.Batch().Rows(); j.BatchSize > 0 && j.GradAccum > 0 && n > 0 && n <= 1<<31 {
		return n
	}
	return 0
}

// shown are what keys mean whose value in a checkpoint is "".
var shown = map[string]string{"processor.tokenizer.special_tokens": "ids", "processor.tokenizer.add_bos_token": "True", "train_dataset.data_loader.format": "auto",
	"train_dataset.data_loader.split": "train", "train_dataset.data_loader.handler.instruction_key": "instruction",
	"train_dataset.data_loader.handler.input_key": "input", "train_dataset.data_loader.handler.output_key": "output"}

// Shown is the value of a fact for people.
func Shown(key, value string) string {
	if value != `""` {
		return value
	}
	if s, ok := shown[key]; ok {
		return s
	}
	return "not set"
}
