// Package bench measures: what a machine does at best, each kernel of a config
// against that, and a whole step of its trainer on synthetic weights and rows.
package bench

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"time"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/compiler/config"
	"lorac/ir"
	"lorac/kernels"
	"lorac/runtime/sys/human"
)

// Options are what is measured, and of what.
type Options struct {
	Config    string // "": none, which the machine alone does without
	Overrides []config.Override
	Compiler  build.Options
	Limit     int    // bytes the step's trainer may take, 0 for as many as there are
	Rows      []int  // token rows of the kernels; the step takes the most of them
	Steps     *int   // of the step's run; nil: about ten seconds of them
	Layers    *int   // of the step's run; nil: as many as memory and a minute allow
	Threads   *int   // nil: all
	Only      string // machine, kernels, step, decode or prompt; "": the first three
}

// Printer is a report.
type Printer interface{ Print(out io.Writer) }

// Report is what was measured. Rates are per second; every share
// is against a peak sampled just before and after, in the same process order.
type Report struct {
	Device  string       `json:"device,omitempty"` // what computes, and why
	Config  string       `json:"config"`
	CPU     string       `json:"cpu"`
	Units   string       `json:"vector_units"`
	Threads int          `json:"threads"`
	Machine []limits     `json:"machine"`
	Kernels []kernelRate `json:"kernels,omitempty"`
	Missing []string     `json:"ops_without_a_measurement,omitempty"`
	Step    *stepRate    `json:"step,omitempty"`
	Texts   []textRate   `json:"texts,omitempty"`

	k *kernels.Context
}

// limits is what the machine does at best on some threads.
type limits struct {
	Threads int     `json:"threads"`
	Peak    float64 `json:"fma_gflops"`
	Read    float64 `json:"memory_read_gb"`
	Copy    float64 `json:"memory_copy_gb"`
}

// Run measures, on a card or on the CPU; nil is the CPU, whose choice goes without
// saying.
func (c *Options) Run(d *build.Device) (Printer, error) {
	if err := c.checkFlags(); err != nil {
		return nil, err
	}
	if d != nil && d.Card != nil {
		return c.onAscend(d)
	}
	r, err := c.onCPU()
	if err == nil && d != nil {
		r.Device = d.String()
	}
	return r, err
}

func (c *Options) onCPU() (*Report, error) {
	k := kernels.New(c.threads())
	defer k.Close()
	r := &Report{CPU: cpuName(), Units: kernels.Units(), Threads: k.Threads(), k: k}
	if c.Only == "machine" && c.Config == "" { // it is the same for all configs
		r.machine()
		return r, nil
	}
	return r, c.config(r)
}

// config measures the machine and what a config has it do.
func (c *Options) config(r *Report) error {
	cfg, err := c.loadAs()
	if err != nil {
		return err
	}
	if err := c.checkSizes(cfg); err != nil {
		return err
	}
	for _, s := range build.SlowPaths(cfg, nil, &build.Target{Threads: c.threads()}) {
		fmt.Fprintln(os.Stderr, s)
	}
	// Without a limit: that is for a trainer, and the step's is compiled for it.
	res, err := build.Compile(cfg, build.Target{}, c.Compiler)
	if err != nil {
		return err
	}
	r.Config = cfg.Path
	r.machine()
	var job *stepJob
	if c.measures("step") { // what forbids it is said before the kernels take their time
		if job, err = c.prepare(r, cfg, res.Module); err != nil {
			return err
		}
	}
	if c.measures("kernels") {
		r.kernels(res.Module, c.rows())
	}
	if job != nil {
		return c.step(r, job)
	}
	return c.measureTexts(r)
}

func (c *Options) measures(part string) bool { return c.Only == "" || c.Only == part }

func (c *Options) rows() []int {
	if len(c.Rows) == 0 {
		return []int{1024}
	}
	return c.Rows
}

// loadAs reads the config as all parts are measured: training, on a base that
// bench makes; with more settings, silently, since what is wrong was said before.
func (c *Options) loadAs(more ...config.Override) (*config.Config, error) {
	if c.Config == "" {
		return nil, cli.Usage("no config is given")
	}
	o := append(slices.Clone(c.Overrides), config.Override{Path: "run_mode", Value: "finetune", Origin: "bench"})
	cfg, list := config.Load(c.Config, append(o, more...))
	if cfg == nil || more == nil {
		if err := build.Show(list, cfg == nil); err != nil {
			return nil, err
		}
	}
	cfg.LoadCheckpoint.V = ""
	return cfg, nil
}

// checkFlags refuses what no config makes right, and what would have no effect.
func (c *Options) checkFlags() error {
	for _, f := range []struct {
		name string
		n    *int
	}{{"steps", c.Steps}, {"layers", c.Layers}, {"threads", c.Threads}} {
		if f.n != nil && *f.n < 1 {
			return cli.Usage("--%s %d: must be a whole number from 1 up", f.name, *f.n)
		}
	}
	for _, n := range c.Rows {
		if n < 1 {
			return cli.Usage("--rows %d: must be whole numbers from 1 up", n)
		}
	}
	// Each thread's share of the peak is taken by its own clock, so threads that
	// wait for each other's processor would seem to do more than there is.
	threads := c.threads()
	if cpus := build.DefaultThreads(); threads > cpus {
		return cli.Usage("--threads %d: there are %s here, and threads that share one cannot be held against its peak", threads, human.Count(cpus, "processor"))
	}
	for _, f := range []struct {
		name  string
		given bool
	}{{"steps", c.Steps != nil}, {"layers", c.Layers != nil}, {"mem_limit", c.Limit != 0}} {
		if f.name == "layers" && (c.Only == "decode" || c.Only == "prompt") {
			continue
		}
		if f.given && !c.measures("step") {
			return cli.Usage("--%s is for the step, which --only %s leaves out", f.name, c.Only)
		}
	}
	if len(c.Rows) > 0 && c.Only == "machine" {
		return cli.Usage("--rows is for kernels and the step, which --only machine leaves out")
	}
	return nil
}

// threads is how many the kernels are measured on.
func (c *Options) threads() int {
	if c.Threads != nil {
		return *c.Threads
	}
	return build.DefaultThreads()
}

// checkSizes refuses a step larger than the config's.
func (c *Options) checkSizes(cfg *config.Config) error {
	if layers := cfg.Model.Layers.V; c.Layers != nil && *c.Layers > layers {
		return cli.Usage("--layers %d: the config has %d (num_layers)", *c.Layers, layers)
	}
	if most := cfg.Model.SeqLength.V; len(c.Rows) > 0 && c.measures("step") && slices.Max(c.Rows) > most {
		return cli.Usage("--rows %d: a step takes at most %s (seq_length)\n  = help: --only kernels measures kernels at any number of rows", slices.Max(c.Rows), human.Count(most, "token"))
	}
	return nil
}

// machine samples the limits on one thread and on all.
func (r *Report) machine() {
	list := []int{1}
	if r.Threads > 1 {
		list = append(list, r.Threads)
	}
	for _, n := range list {
		k := kernels.New(n)
		l := limits{Threads: n}
		l.Peak = median(samplePeaks(k, 5))
		read, copied := k.Bandwidth(200 * time.Millisecond)
		k.Close()
		l.Read, l.Copy = read/1e9, copied/1e9
		r.Machine = append(r.Machine, l)
	}
}

// copyRate is what the memory moves on all threads, in GB a second.
func (r *Report) copyRate() float64 { return r.Machine[len(r.Machine)-1].Copy }

// benchEnv is one sequence of n rows, all supervised.
func benchEnv(n int) ir.Env { return ir.Env{"T": n, "S": n, "N": 1} }

// samplePeak is the peak of this moment, in GFLOP/s.
func (r *Report) samplePeak() float64 { return r.k.PeakFLOPS(10*time.Millisecond) / 1e9 }

// samplePeaks spreads n longer samples over a third of a second or so.
func samplePeaks(k *kernels.Context, n int) (peaks []float64) {
	for range n {
		peaks = append(peaks, k.PeakFLOPS(60*time.Millisecond)/1e9)
	}
	return peaks
}

func cpuName() string {
	if name := procCPU(); name != "" {
		return name
	}
	return runtime.GOARCH
}
