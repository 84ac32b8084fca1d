package main

import (
	"runtime"
	"time"

	"lorac/compiler"
	"lorac/ir"
	"lorac/kernels"
)

type benchCmd struct {
	source
	Rows    []int  `help:"Token rows the kernels are measured at; the step takes the most (default 1024)." placeholder:"N,…"`
	Steps   int    `help:"Steps of the whole-step run (default: about ten seconds of them)." placeholder:"N"`
	Layers  int    `help:"Layers of the whole-step run (default: as many as memory and a minute allow)." placeholder:"N"`
	Threads int    `help:"Threads (default: all)." placeholder:"N"`
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
	if len(c.Rows) == 0 {
		c.Rows = []int{1024}
	}
	for _, n := range c.Rows {
		if n < 1 {
			return usage("--rows %d: a pass has at least one row", n)
		}
	}
	if c.Steps < 0 || c.Layers < 0 || c.Threads < 0 {
		return usage("--steps, --layers and --threads are numbers from 1 up")
	}
	if c.From != "" {
		return usage("bench takes a config, not an IR dump: it makes weights and data of the config's shapes")
	}
	cfg, err := c.load()
	if err != nil {
		return err
	}
	if c.Threads > 0 {
		kernels.SetThreads(c.Threads)
	}
	res, err := compiler.Compile(cfg, c.options(), nil)
	if err != nil {
		return err
	}
	r := &benchReport{Config: cfg.Path, CPU: cpuName(), Units: kernels.Units(), Threads: kernels.Threads()}
	r.machine()
	if c.Only == "" || c.Only == "kernels" {
		r.kernels(res.Module, c.Rows)
	}
	if c.Only == "" || c.Only == "step" {
		if err := c.step(r, cfg, res.Module); err != nil {
			return err
		}
	}
	if c.JSON {
		return printJSON(r)
	}
	r.print()
	return nil
}

// machine samples the limits on one thread and on all.
func (r *benchReport) machine() {
	list := []int{1}
	if r.Threads > 1 {
		list = append(list, r.Threads)
	}
	for _, n := range list {
		kernels.SetThreads(n)
		l := limits{Threads: n}
		l.Peak = median(samplePeaks(5))
		read, copied := kernels.Bandwidth(200 * time.Millisecond)
		l.Read, l.Copy = read/1e9, copied/1e9
		r.Machine = append(r.Machine, l)
	}
	kernels.SetThreads(r.Threads)
}

// copyRate is what the memory moves on all threads, in GB a second.
func (r *benchReport) copyRate() float64 { return r.Machine[len(r.Machine)-1].Copy }

// benchEnv is one sequence of n rows, all supervised.
func benchEnv(n int) ir.Env { return ir.Env{"T": n, "S": n, "N": 1} }

// samplePeak is the peak of this moment, in GFLOP/s.
func samplePeak() float64 { return kernels.PeakFLOPS(10*time.Millisecond) / 1e9 }

// samplePeaks spreads n longer samples over a third of a second or so.
func samplePeaks(n int) (peaks []float64) {
	for range n {
		peaks = append(peaks, kernels.PeakFLOPS(60*time.Millisecond)/1e9)
	}
	return peaks
}

func cpuName() string {
	if name := procCPU(); name != "" {
		return name
	}
	return runtime.GOARCH
}
