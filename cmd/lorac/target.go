package main

import (
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"lorac/codegen"
	"lorac/ir"
	rt "lorac/runtime"
)

// bytesFlag is a size on the command line: 16GiB, 500MB, 1024.
type bytesFlag int

// Decode reads it, and refuses in the words of a trainer.
func (b *bytesFlag) Decode(c *kong.DecodeContext) error {
	var text string
	if err := c.Scan.PopValueInto("size", &text); err != nil {
		return err
	}
	n, err := rt.ParseBytes(text)
	if err != nil {
		return usage("--%s %s: %v", c.Value.Name, text, err)
	}
	*b = bytesFlag(n)
	return nil
}

// target is what a job will run on and with, where that is known.
type target struct {
	weights string   // base weights; "" as the config says
	trans   *bool    // weights may lie spread over ranks; nil as the config says
	layout  string   // their strategy files; "" as the config says
	mode    string   // run mode; "" as the config says
	args    []string // of the trainer
	runs    bool     // with these args and their data; else with any data
	threads int      // of the trainer, 0 for one a core
	limit   int      // bytes of memory, 0 for none
	whole   bool     // texts are generated without caches
	here    bool     // it starts on this machine, at once: data must be there, and without a limit the memory that is free is one
}

// read takes from the trainer's flags what the compiler wants to know.
func (t *target) read(args []string) error {
	t.args, t.runs = args, true
	for i := 0; i+1 < len(args); i++ {
		name, value := strings.TrimPrefix(args[i], "--"), args[i+1]
		if rt.Switch(name) {
			continue
		}
		i++
		switch name {
		case "load_checkpoint":
			t.weights = value
		case "auto_trans_ckpt":
			trans := strings.EqualFold(value, "true")
			t.trans = &trans
		case "src_strategy_path_or_dir":
			t.layout = value
		case "run_mode":
			t.mode = value
		case "use_past", "model.model_config.use_past":
			t.whole = strings.EqualFold(value, "false")
		case "threads":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return usage("--threads %s: must be a whole number from 1 up", value)
			}
			t.threads = n
		case "mem_limit":
			n, err := rt.ParseBytes(value)
			if err != nil {
				return usage("--mem_limit %s: %v", value, err)
			}
			t.limit = int(n)
		}
	}
	return nil
}

// use is what a run makes of a module: its largest passes, the bytes of its
// data, and on how many threads.
type use struct {
	mode    string
	env     ir.Env
	data    int
	threads int
	prompt  int  // token rows of the largest pass that goes on with a text
	text    int  // ids of the longest one; 0 where none is generated
	whole   bool // it is computed anew for each id, without caches
	parsed  int  // bytes of a tokenizer while it is read
}

// anyUse is the most that a target can make of a module with any data.
func anyUse(m *ir.Module, t *target) use {
	u := use{mode: t.mode, env: m.MaxEnv(), threads: t.threads, whole: t.whole}
	if u.threads == 0 {
		u.threads = runtime.GOMAXPROCS(0)
	}
	return u
}

// usesOf finds what a run makes of a module: by its data, where they are known.
// A path of the config that is not there is left to the trainer, unless that
// would start at once: then reading the data says so, in the trainer's words,
// before it is built. Prediction reads none.
func usesOf(m *ir.Module, t *target) (use, error) {
	u := anyUse(m, t)
	job, err := codegen.Job(m)
	if err != nil {
		return u, err
	}
	if u.mode == "predict" || slices.Contains(job.Metrics, "EmF1Metric") {
		u.prompt, u.text = u.env["T"], u.env["T"]
	}
	if !t.runs {
		return u, nil
	}
	job.RunMode = t.mode
	data := job.TrainData.Path
	if t.mode == "eval" {
		data = job.EvalData.Path
	}
	given := data != ""
	for _, path := range strings.Split(data, ",") {
		_, err := os.Stat(strings.TrimSpace(path))
		given = given && err == nil
	}
	given = given || slices.Contains(t.args, "--train_dataset_dir") || slices.Contains(t.args, "--eval_dataset_dir")
	if !given && (!t.here || t.mode == "predict") {
		return u, nil
	}
	job.LoadCheckpoint = t.weights
	d, err := rt.DemandOf(job, t.args)
	if err != nil {
		return u, err
	}
	if d.Rows == 0 && d.Text > 0 { // an evaluation of nothing but texts
		u.mode, d.Rows, d.Sequences, d.Tokens = "predict", 1, 1, max(d.Tokens, d.Prompt)
	}
	if d.Tokens > 0 {
		u.env = ir.Env{"T": d.Tokens, "S": d.Rows, "N": d.Sequences}
		u.data, u.parsed, u.prompt, u.text, u.whole = d.Data, d.Parsed, d.Prompt, d.Text, d.Whole
	}
	return u, nil
}
