package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/synthetic"
	"lorac/codegen/filelock"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/ir"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/signals"
)

// stepRate is a run of the built trainer on synthetic weights and rows.
type stepRate struct {
	Tokens   int       `json:"live_tokens"` // of a step, one sequence, all supervised
	Layers   int       `json:"layers"`
	Of       int       `json:"layers_of_the_config"`
	Why      string    `json:"fewer_layers_because,omitempty"`
	DType    string    `json:"base_dtype"` // int8 and int4 are blocks of so many bits
	Compute  string    `json:"compute"`    // of products with the frozen base: f32 or int8
	Limit    int       `json:"mem_limit,omitempty"`
	Choice   string    `json:"mem_choice,omitempty"` // as plan says it
	Steps    int       `json:"steps_measured"`
	FLOPs    float64   `json:"useful_flops"` // of a step, as `plan` counts without a limit
	Seconds  float64   `json:"seconds_per_step"`
	TokensPS float64   `json:"tokens_per_second"`
	GFLOPS   float64   `json:"useful_gflops"`
	Peak     float64   `json:"fma_gflops"` // sampled before and after the run
	Share    float64   `json:"share"`
	ShareOf  string    `json:"share_of"`
	Samples  int       `json:"samples"` // of the profile the shares come from; they are left out where it has few
	Ops      []opShare `json:"by_op"`
	Serial   []opShare `json:"one_thread_alone"`
	Waiting  float64   `json:"waiting_for_the_last_task"` // share of the step's time
	Idle     float64   `json:"others_idle"`               // share of the other threads' time
}

// stepJob is a step that is to be measured: its config, with as many layers as it
// will have, and its graph without a limit.
type stepJob struct {
	*stepRate
	cfg  *config.Config
	full *build.Result
}

// prepare decides what the step is, and that the disk has space for it.
func (c *Options) prepare(r *Report, cfg *config.Config, m *ir.Module) (*stepJob, error) {
	s := &stepRate{Tokens: min(slices.Max(c.rows()), cfg.Model.SeqLength.V), Of: cfg.Model.Layers.V, Limit: c.Limit}
	if c.Layers != nil {
		s.Layers, s.Why = *c.Layers, "--layers"
	} else {
		s.Layers, s.Why = fitLayers(cfg, m, s.Tokens, r.peak(), build.FreeMemory())
	}
	if s.Layers == s.Of {
		s.Why = ""
	}
	cfg, err := c.loadAs(config.Override{Path: "model.model_config.num_layers", Value: strconv.Itoa(s.Layers), Origin: "bench"})
	if err != nil {
		return nil, err
	}
	s.DType, s.Compute = cfg.Model.ParamDType.V, cfg.Compute.V
	if cfg.Quant.V != "" {
		s.DType = cfg.Quant.V
	}
	full, err := build.Compile(cfg, build.Target{}, c.Compiler)
	if err != nil {
		return nil, err
	}
	s.FLOPs = cost.Total(cost.Root(full.Module), benchEnv(s.Tokens))
	s.Steps = int(min(max(10*r.peak()*1e9*0.6/s.FLOPs, 2), 500))
	if c.Steps != nil {
		s.Steps = *c.Steps
	}
	job := &stepJob{s, cfg, full}
	if err := job.fitsMemory(r.Threads); err != nil {
		return nil, err
	}
	return job, job.fits()
}

// free is the memory that a step may take here, and what says so.
var free = build.FreeHere

// fitsMemory refuses a step that the machine, or its container, has no memory for.
func (j *stepJob) fitsMemory(threads int) error {
	n, from := free()
	takes := build.ProcessAt(j.full.Module, j.Tokens, threads)
	if j.Limit > 0 || n == 0 || takes <= n { // a limit is what the step is compiled for
		return nil
	}
	return fmt.Errorf("a step of %s and %s takes about %s, and there are %s (%s)\n  = help: fewer --layers or --rows take less; --mem_limit %dMiB recomputes", human.Count(j.Layers, "layer"), human.Count(j.Tokens, "token"), human.Bytes(takes), human.Bytes(n), from, n>>20)
}

// fits checks that the disk has space for what the step writes.
func (j *stepJob) fits() error {
	need, err := j.bytes()
	if err != nil {
		return err
	}
	dir, err := tempDir()
	if err != nil {
		return err
	}
	removeKilled() // what they left may be all that is in the way
	return build.CheckSpace("a step of "+human.Count(j.Layers, "layer"), dir, need, disk.Free(dir),
		"TMPDIR says where its weights and data are written to; fewer --layers take less")
}

// step builds the trainer, makes weights and data for it, runs it and reads its
// metrics and profile.
func (c *Options) step(r *Report, job *stepJob) error {
	err := inBenchDir(func(ctx context.Context, dir string) error { return c.runStep(ctx, job, r, dir) })
	if err == nil {
		r.Step = job.stepRate
	}
	return err
}

// inBenchDir runs what needs a directory. A signal ends it with nothing left.
func inBenchDir(do func(ctx context.Context, dir string) error) error {
	ctx, stop := signal.NotifyContext(context.Background(), signals.Ends()...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal need not wait
	dir, held, err := benchDir()
	if err != nil {
		return err
	}
	remove := func() { held.Unlock(); os.RemoveAll(dir) }
	defer remove()
	err = do(ctx, dir)
	if ctx.Err() != nil {
		remove() // first: who reads what is said may be gone, which ends this process
		fmt.Fprintf(os.Stderr, "error: %v; %s is removed\n", context.Cause(ctx), dir)
		return cli.Exit{Code: 3}
	}
	return err
}

// benchLock is the file in a directory of bench that is locked as long as its
// process lives.
const benchLock = ".lock"

// tempDir is where temporary files go: from the root on, as the trainer's build,
// which runs elsewhere, needs it, and such that files can be made there.
func tempDir() (string, error) {
	dir, err := filepath.Abs(os.TempDir())
	var try string
	if err == nil {
		try, err = os.MkdirTemp(dir, "lorac-try-")
	}
	if err != nil {
		var at *fs.PathError
		if errors.As(err, &at) {
			err = at.Err
		}
		return "", fmt.Errorf("cannot make files in the temporary directory, %s: %w\n  = help: TMPDIR says where it is; give one that is there and may be written to", dir, err)
	}
	return dir, os.Remove(try)
}

// removeKilled removes the directories of processes that were killed.
func removeKilled() {
	old, _ := filepath.Glob(filepath.Join(os.TempDir(), "lorac-bench-*", benchLock))
	for _, path := range old {
		f := filelock.New(path)
		if free, err := f.TryLock(); free && err == nil {
			os.RemoveAll(filepath.Dir(path))
		}
		f.Unlock()
	}
}

// benchDir makes a directory, which is this process's while it is locked.
func benchDir() (dir string, held *filelock.File, err error) {
	if dir, err = tempDir(); err == nil {
		dir, err = os.MkdirTemp(dir, "lorac-bench-")
	}
	if err != nil {
		return "", nil, err
	}
	held = filelock.New(filepath.Join(dir, benchLock))
	return dir, held, held.Lock()
}

func (c *Options) runStep(ctx context.Context, job *stepJob, r *Report, dir string) error {
	s, cfg := job.stepRate, job.cfg
	if err := synthetic.Rows(filepath.Join(dir, "rows.jsonl"), s.Steps+1, s.Tokens, cfg.Model.Vocab.V); err != nil {
		return err
	}
	args := stepArgs(dir, r.Threads)
	res, err := c.limited(s, cfg, job.full, args)
	if err != nil {
		return err
	}
	if err := writeBase(ctx, cfg, dir); err != nil {
		return err
	}
	here, _ := build.PlatformOf("")
	bin, _, err := build.In(filepath.Join(dir, "build"), res.Module, here)
	if err != nil {
		return err
	}
	peaks := samplePeaks(r.k, 5)
	if err := s.run(exec.CommandContext(ctx, bin, args...), dir); err != nil {
		return err
	}
	s.Peak = median(append(peaks, samplePeaks(r.k, 5)...))
	s.GFLOPS = s.FLOPs / s.Seconds / 1e9
	s.TokensPS = float64(s.Tokens) / s.Seconds
	s.Share, s.ShareOf = s.GFLOPS/s.Peak, ofPeak
	return s.attribute(filepath.Join(dir, "profile"), job.full.Module, benchEnv(s.Tokens)) // what a limit recomputes is not useful
}

// limited is the module compiled for --mem_limit and the rows, where that is given.
func (c *Options) limited(s *stepRate, cfg *config.Config, full *build.Result, args []string) (*build.Result, error) {
	if s.Limit == 0 {
		return full, nil
	}
	res, err := build.Compile(cfg, build.Target{Limit: s.Limit, Args: args, Runs: true}, c.Compiler)
	if err != nil {
		return nil, fmt.Errorf("a step of %s and %s: %w; bench takes fewer --rows and --layers", human.Count(s.Layers, "layer"), human.Count(s.Tokens, "token"), err)
	}
	s.Choice, _ = res.Module.Setting("memory.choice").(string)
	return res, nil
}

// stepArgs is how the trainer is called.
func stepArgs(dir string, threads int) []string {
	return append(trainerArgs(dir), "--threads", strconv.Itoa(threads), "--profile", filepath.Join(dir, "profile"))
}

// trainerArgs is how one of any device is called.
func trainerArgs(dir string) []string {
	return []string{"--load_checkpoint", dir, "--train_dataset_dir", filepath.Join(dir, "rows.jsonl"),
		"--output_dir", filepath.Join(dir, "out"), "--batch_size", "1", "--gradient_accumulation_steps", "1",
		"--sink_mode", "False", "--save_checkpoint_steps", "0", "--checkpoint_format", "lorac", "--epochs", "1", "--do_eval", "False", "--no_progress", "--allow_slow", "True"} // how slow is what bench measures
}

// run takes one step to warm up and the measured ones, and reads the metrics.
func (s *stepRate) run(cmd *exec.Cmd, dir string) error {
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the trainer failed: %w\n%s", err, text)
	}
	f, err := os.Open(filepath.Join(dir, "out", "metrics.jsonl"))
	if err != nil {
		return err
	}
	defer f.Close()
	var seconds []float64
	for in := bufio.NewScanner(f); in.Scan(); {
		var line struct {
			Step   int     `json:"step"`
			Tokens int     `json:"tokens"`
			Speed  float64 `json:"tokens_per_second"`
		}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		if line.Tokens != s.Tokens {
			return fmt.Errorf("BUG: bench: a step had %d live tokens, not %d", line.Tokens, s.Tokens)
		}
		if line.Step > 1 {
			seconds = append(seconds, float64(line.Tokens)/line.Speed)
		}
	}
	if len(seconds) == 0 {
		return fmt.Errorf("BUG: bench: the trainer measured no step")
	}
	s.Steps, s.Seconds = len(seconds), median(seconds)
	return nil
}

// fitLayers is how many layers leave half the memory free and let a step take
// no more than some ten seconds, and what forbade more.
func fitLayers(cfg *config.Config, m *ir.Module, tokens int, peak float64, memory int) (int, string) {
	layers := cfg.Model.Layers.V
	least := min(layers, 2)
	if memory == 0 { // the system does not say
		memory = 4 << 30
	}
	var weights, kept float64
	for _, s := range m.Storages {
		if s.Stack != nil && s.Kind != ir.Cache {
			weights += float64(s.Type.Bytes(nil)) // of a layer
		}
	}
	env := benchEnv(tokens)
	eachCallee(cost.Root(m), func(f *ir.Func) {
		n := 0
		for _, v := range f.Keep {
			n += v.Type.Bytes(env)
		}
		kept = math.Max(kept, float64(n))
	})
	flops := cost.Total(cost.Root(m), env)
	byMemory := int(float64(memory) / 2 / (weights + kept))
	byTime := int(12 * peak * 1e9 * 0.6 / (flops / float64(layers)))
	switch {
	case layers <= byMemory && layers <= byTime:
		return layers, ""
	case byMemory < byTime:
		return max(byMemory, least), "half of the free memory"
	}
	return max(byTime, least), "a step of all would take over ten seconds"
}

func eachCallee(f *ir.Func, visit func(*ir.Func)) {
	if f == nil {
		return
	}
	for _, s := range f.Body {
		if s.Callee != nil {
			visit(s.Callee)
			eachCallee(s.Callee, visit)
		}
	}
}

// procCPU is the model name in /proc/cpuinfo.
func procCPU() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func (r *Report) peak() float64 { return r.Machine[len(r.Machine)-1].Peak }
