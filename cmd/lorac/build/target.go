package build

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"lorac/cmd/lorac/cli"
	"lorac/codegen"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/kernels"

	rt "lorac/runtime"
	"lorac/runtime/sys/limits"
)

// VectorUnits names the instructions that kernels use on this machine.
func VectorUnits() string { return kernels.Units() }

// Target is what a job will run on and with, where that is known.
type Target struct {
	Weights    string         // base weights; "" as the config says
	Trans      *bool          // weights may be spread over ranks; nil as the config says
	Layout     string         // their strategy files; "" as the config says
	IgnoreBase bool           // what the files of the base say of their model does not count
	Mode       string         // run mode; "" as the config says
	Args       []string       // of the trainer
	Runs       bool           // with these args and their data; else with any data
	Threads    int            // of the trainer, 0 for one a core
	Limit      int            // bytes of memory, 0 for none
	Whole      bool           // texts are generated without caches
	Ascend     *passes.Ascend // the card that computes; nil: the processor
	Over       string         // what processes that share the job meet over: mpi; "": there is one
	Mesh       Mesh           // how they share a step, where the user says it
	Processes  int            // how many there are; 0: one, or, with Over, not known
	Local      int            // how many of them share the memory of this machine; 0: one
	Assumed    bool           // it is none that was found or named
	Here       bool           // it starts on this machine now: data must be there, and the memory that there is bounds it

	Bound bool         // that memory bounds it, as if it started here
	bound limits.Bound // that memory, and what says so
	why   string       // a mesh was chosen
}

// For sets what computes.
func (t *Target) For(d *Device) { t.Ascend, t.Assumed = d.Card, d.assumed }

// complete takes from the config what the flags do not say.
func (t *Target) complete(c *config.Config) {
	if t.Weights == "" {
		t.Weights = c.LoadCheckpoint.V
	}
	if t.Mode == "" {
		t.Mode = c.RunMode.V
	}
	if t.Trans == nil {
		t.Trans = &c.AutoTrans.V
	}
	if t.Layout == "" {
		t.Layout = c.SrcStrategy.V
	}
}

// Read takes from the trainer's flags what the compiler wants to know.
func (t *Target) Read(args []string) error {
	t.Args, t.Runs = args, true
	for i := 0; i+1 < len(args); i++ {
		name, value := strings.TrimPrefix(args[i], "--"), args[i+1]
		if rt.Switch(name) {
			continue
		}
		i++
		switch name {
		case "load_checkpoint":
			t.Weights = value
		case "auto_trans_ckpt":
			trans := strings.EqualFold(value, "true")
			t.Trans = &trans
		case "src_strategy_path_or_dir":
			t.Layout = value
		case "base_config":
			ignore, err := ParseBaseConfig(value)
			if err != nil {
				return err
			}
			t.IgnoreBase = ignore
		case "run_mode":
			t.Mode = value
		case "use_past", "model.model_config.use_past":
			t.Whole = strings.EqualFold(value, "false")
		case "threads":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return cli.Usage("--threads %s: must be a whole number from 1 up", value)
			}
			t.Threads = n
		case "mem_limit":
			n, err := rt.ParseBytes(value)
			if err != nil {
				return cli.Usage("--mem_limit %s: %v", value, err)
			}
			t.Limit = int(n)
		}
	}
	return nil
}

// tell tells a job what the flags say. What they leave out is as the config or the dump
// says: the tokenizer of the base, above all.
func (t *Target) tell(j *rt.Job) {
	if t.Mode != "" {
		j.RunMode = t.Mode
	}
	if t.Weights != "" {
		j.LoadCheckpoint = t.Weights
	}
}

// use finds what a run makes of a module, and the extents of its data's largest
// micro-batches, nil where the data are not known. A path of the config that is
// not there is left to the trainer, unless that would start now: then reading
// the data says so, in the trainer's words, before it is built. Prediction reads
// none.
func (t *Target) use(m *ir.Module) (u cost.Use, fit ir.Env, err error) {
	u = cost.Use{Mode: t.Mode, Threads: t.Threads, Whole: t.Whole || t.Ascend != nil}
	if u.Threads == 0 {
		u.Threads = DefaultThreads()
	}
	job, err := codegen.Job(m)
	if err != nil {
		return u, nil, err
	}
	u.Sums = rt.SumBytes(job, trained(m), max(t.processes(job)/t.Mesh.wide(), 1))
	if t.Over == "mpi" {
		u.Engine = mpiBytes
	}
	if u.Mode == "predict" || slices.Contains(job.Metrics, "EmF1Metric") {
		most := m.MaxEnv()["T"]
		u.Prompt, u.Text, u.Texts = most, most, min(most, 8)
	}
	if !t.Runs || !t.hasData(job) {
		return u, nil, nil
	}
	t.tell(job)
	if t.Ascend != nil {
		job.Device = "ascend" // as it will be compiled
	}
	d, err := rt.DemandOf(job, t.Args)
	if err != nil {
		return u, nil, err
	}
	if d.Rows == 0 && d.Text > 0 { // an evaluation of nothing but texts
		u.Mode, d.Rows, d.Sequences, d.Tokens = "predict", 1, 1, max(d.Tokens, d.Prompt)
	}
	if d.Tokens > 0 {
		fit = ir.Env{"T": d.Tokens, "S": d.Rows, "N": d.Sequences}
		u.Env, u.Data, u.Parsed, u.Prompt, u.Text, u.Texts, u.Whole = fit, d.Data, d.Parsed, d.Prompt, d.Text, d.Texts, d.Whole
	}
	return u, fit, nil
}

// processes is how many share a job; of one on cards there is one a device, unless
// something else is said.
func (t *Target) processes(job *rt.Job) int {
	if t.Processes == 0 && t.Ascend != nil {
		return max(job.Devices.Count, 1)
	}
	return max(t.Processes, 1)
}

const mpiBytes = rt.EngineBytes

// trained is how many numbers of a module have a gradient.
func trained(m *ir.Module) int { return cost.Trained(m) }

// hasData reports whether data are given that can be read now.
func (t *Target) hasData(job *rt.Job) bool {
	if slices.Contains(t.Args, "--train_dataset_dir") || slices.Contains(t.Args, "--eval_dataset_dir") {
		return true
	}
	data := job.TrainData.Path
	if t.Mode == "eval" {
		data = job.EvalData.Path
	}
	there := data != ""
	for _, path := range strings.Split(data, ",") {
		_, err := os.Stat(strings.TrimSpace(path))
		there = there && err == nil
	}
	return there || t.Here && t.Mode != "predict"
}
