package main

import (
	"os"
	"runtime"
	"slices"
	"time"

	"lorac/compiler/config"
	"lorac/ir"
	"lorac/kernels"
)

type benchCmd struct {
	source
	Rows    []int  `help:"Token rows the kernels are measured at; the step takes the most of them (default 1024, the step no more than seq_length)." placeholder:"N,…"`
	Steps   *int   `help:"Steps of the whole-step run (default: about ten seconds of them)." placeholder:"N"`
	Layers  *int   `help:"Layers of the whole-step run (default: as many as memory and a minute allow)." placeholder:"N"`
	Threads *int   `help:"Threads (default: all)." placeholder:"N"`
	Only    string `help:"Measure this part alone: machine, kernels or step." enum:"machine,kernels,step," default:"" placeholder:"PART"`
	JSON    bool   `help:"For programs."`
}

// benchReport is what lorac bench measures. Rates are per second; every share
// is against a peak sampled just before and after, in the same process order.
type benchReport struct {
	Config  string       `json:"config"`
	CPU     string       `json:"cpu"`
	Units   string       `json:"vector_units"`
	Threads int          `json:"threads"`
	Machine []limits     `json:"machine"`
	Kernels []kernelRate `json:"kernels,omitempty"`
	Missing []string     `json:"ops_without_a_measurement,omitempty"`
	Step    *stepRate    `json:"step,omitempty"`

	k *kernels.Context
}

// limits is what the machine does at best on some threads.
type limits struct {
	Threads int     `json:"threads"`
	Peak    float64 `json:"fma_gflops"`
	Read    float64 `json:"memory_read_gb"`
	Copy    float64 `json:"memory_copy_gb"`
}

// Run measures and prints.
func (c *benchCmd) Run() error {
	if err := c.checkFlags(); err != nil {
		return err
	}
	k := kernels.New(c.threads())
	defer k.Close()
	r := &benchReport{CPU: cpuName(), Units: kernels.Units(), Threads: k.Threads(), k: k}
	if c.Only == "machine" && c.Config == "" && c.Flag == "" { // it is the same for all configs
		r.machine()
	} else if err := c.config(r); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(r)
	}
	r.print(os.Stdout)
	return nil
}

// config measures the machine and what a config has it do.
func (c *benchCmd) config(r *benchReport) error {
	cfg, err := c.loadAs()
	if err != nil {
		return err
	}
	if err := c.checkSizes(cfg); err != nil {
		return err
	}
	// Without a limit: that is for a trainer, and the step's is compiled for it.
	res, _, err := compileFor(cfg, target{}, c.options(), nil)
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
	return nil
}

func (c *benchCmd) measures(part string) bool { return c.Only == "" || c.Only == part }

func (c *benchCmd) rows() []int {
	if len(c.Rows) == 0 {
		return []int{1024}
	}
	return c.Rows
}

// loadAs reads the config as all parts are measured: training, on a base that
// bench makes; with more settings, silently, since what is wrong was said before.
func (c *benchCmd) loadAs(more ...config.Override) (*config.Config, error) {
	path, err := c.path()
	if err != nil {
		return nil, err
	}
	o := append(c.overrides(), config.Override{Path: "run_mode", Value: "finetune", Origin: "bench"})
	cfg, list := config.Load(path, append(o, more...))
	if cfg == nil || more == nil {
		if err := show(list, cfg == nil); err != nil {
			return nil, err
		}
	}
	cfg.LoadCheckpoint.V = ""
	return cfg, nil
}

// checkFlags refuses what no config makes right, and what would have no effect.
func (c *benchCmd) checkFlags() error {
	if c.From != "" {
		return usage("bench takes a config, not an IR dump: it makes weights and data of the config's shapes")
	}
	for _, f := range []struct {
		name string
		n    *int
	}{{"steps", c.Steps}, {"layers", c.Layers}, {"threads", c.Threads}} {
		if f.n != nil && *f.n < 1 {
			return usage("--%s %d: must be a whole number from 1 up", f.name, *f.n)
		}
	}
	for _, n := range c.Rows {
		if n < 1 {
			return usage("--rows %d: must be whole numbers from 1 up", n)
		}
	}
	// Each thread's share of the peak is taken by its own clock, so threads that
	// wait for each other's processor would seem to do more than there is.
	threads := c.threads()
	if cpus := min(runtime.NumCPU(), runtime.GOMAXPROCS(0)); threads > cpus {
		return usage("--threads %d: there are %s here, and threads that share one cannot be held against its peak", threads, countOf(cpus, "processor"))
	}
	for _, f := range []struct {
		name  string
		given bool
	}{{"steps", c.Steps != nil}, {"layers", c.Layers != nil}, {"mem_limit", c.Limit != 0}} {
		if f.given && !c.measures("step") {
			return usage("--%s is for the step, which --only %s leaves out", f.name, c.Only)
		}
	}
	if len(c.Rows) > 0 && c.Only == "machine" {
		return usage("--rows is for kernels and the step, which --only machine leaves out")
	}
	return nil
}

// threads is how many the kernels are measured on.
func (c *benchCmd) threads() int {
	if c.Threads != nil {
		return *c.Threads
	}
	return runtime.GOMAXPROCS(0)
}

// checkSizes refuses a step larger than the config's.
func (c *benchCmd) checkSizes(cfg *config.Config) error {
	if layers := cfg.Model.Layers.V; c.Layers != nil && *c.Layers > layers {
		return usage("--layers %d: the config has %d (num_layers)", *c.Layers, layers)
	}
	if most := cfg.Model.SeqLength.V; len(c.Rows) > 0 && c.measures("step") && slices.Max(c.Rows) > most {
		return usage("--rows %d: a step takes at most %s (seq_length)\n  = help: --only kernels measures kernels at any number of rows", slices.Max(c.Rows), countOf(most, "token"))
	}
	return nil
}

// machine samples the limits on one thread and on all.
func (r *benchReport) machine() {
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
func (r *benchReport) copyRate() float64 { return r.Machine[len(r.Machine)-1].Copy }

// benchEnv is one sequence of n rows, all supervised.
func benchEnv(n int) ir.Env { return ir.Env{"T": n, "S": n, "N": 1} }

// samplePeak is the peak of this moment, in GFLOP/s.
func (r *benchReport) samplePeak() float64 { return r.k.PeakFLOPS(10*time.Millisecond) / 1e9 }

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
