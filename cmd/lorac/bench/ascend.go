package bench

import (
	"cmp"
	"encoding/binary"
	"slices"

	"lorac/cmd/lorac/ascend"
	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/compiler/cost"
	"lorac/ir"
	k "lorac/kernels/ascend"
	"lorac/kernels/ascend/formulas"
	"lorac/runtime/exit"
	"lorac/runtime/sys/human"
)

// AscendReport is what the kernels of a config do on an Ascend card. Times are measured
// where a card answers; all else follows from formulas.
type AscendReport struct {
	Device    string       `json:"device"` // what it is about, and why
	Config    string       `json:"config"`
	SoC       string       `json:"soc"`
	Cubes     int          `json:"cubes"`
	Vectors   int          `json:"vectors"`
	Peak      float64      `json:"peak_flops"` // a second
	Bandwidth float64      `json:"bandwidth"`  // bytes a second
	Measured  bool         `json:"measured"`
	Calls     []ascendCall `json:"calls,omitempty"`
	Missing   []string     `json:"ops_without_a_call,omitempty"`
	Step      *ascendStep  `json:"step,omitempty"`

	soc cost.SoC
}

// ascendCall is a call of the emitted program at one shape.
type ascendCall struct {
	Call  string `json:"call"`
	Shape string `json:"shape"`
	Rows  int    `json:"rows"`
	Runs  int    `json:"runs"` // in a step of one micro-batch, its optimizer included
	cost.Bound
	formulas.Work
	Useful  float64        `json:"useful_share"` // of what bounds it, what kernels do over what must be done
	Kernels []ascendKernel `json:"kernels"`
	Seconds float64        `json:"measured_seconds,omitempty"`
	Share   float64        `json:"share_of_roofline,omitempty"` // measured

	recording *k.Recording
}

// ascendKernel is the launches of one kernel that a call makes.
type ascendKernel struct {
	Kernel   string `json:"kernel"`
	Launches int    `json:"launches"`
	Blocks   int    `json:"blocks"` // cores that each takes, or groups of cores
	formulas.Work
	Seconds float64 `json:"measured_seconds,omitempty"`
}

// onAscend is Run for a card.
func (c *Options) onAscend(d *build.Device) (*AscendReport, error) {
	if err := c.checkAscend(d); err != nil {
		return nil, err
	}
	cfg, err := c.loadAs()
	if err != nil {
		return nil, err
	}
	if err := c.checkSizes(cfg); err != nil {
		return nil, err
	}
	soc, err := build.SpeedOf(d.Card)
	if err != nil {
		return nil, err
	}
	r := &AscendReport{Device: d.String(), Config: cfg.Path, SoC: soc.Name, Cubes: soc.Cubes, Vectors: soc.Vectors,
		Peak: soc.Peak(), Bandwidth: soc.Bandwidth(), Measured: d.Here, soc: soc}
	t := build.Target{}
	t.For(d)
	res, err := build.Compile(cfg, t, c.Compiler)
	if err != nil {
		return nil, err
	}
	if c.measures("kernels") {
		envs := []ir.Env{cost.LargestMicroBatch(res.Module)}
		if len(c.Rows) > 0 {
			envs = nil
		}
		for _, n := range c.Rows {
			envs = append(envs, benchEnv(n))
		}
		for _, env := range envs {
			if err := r.calls(res.Module, env); err != nil {
				return nil, err
			}
		}
		if d.Here {
			if err := r.measure(d); err != nil {
				return nil, err
			}
		}
	}
	if d.Here && c.measures("step") {
		r.Step, err = c.ascendStep(r, cfg, d)
	}
	return r, err
}

// checkAscend refuses what is for the CPU, and for a card that is not there.
func (c *Options) checkAscend(d *build.Device) error {
	switch {
	case c.Only == "machine":
		return cli.Usage("--only machine is for the CPU: what a card does at best is known of its kind")
	case c.Threads != nil:
		return cli.Usage("--threads is for the CPU: the kernels use all cores of a card\n  = help: --device cpu measures the CPU")
	case c.Limit != 0:
		return cli.Usage("--mem_limit is for the CPU's step")
	case d.Here:
		return nil
	case c.Only == "step":
		return exit.Failedf("cannot measure a step: %s", d)
	case c.Steps != nil || c.Layers != nil:
		return cli.Usage("--steps and --layers are for the step, which no card is here to measure")
	}
	return nil
}

// calls lists the different calls of a step of a micro-batch, those that take longest
// first.
func (r *AscendReport) calls(m *ir.Module, env ir.Env) error {
	from, index := len(r.Calls), map[string]int{}
	var failed error
	cost.EachOn(m, func(f *ir.Func, s *ir.Stmt, times int) {
		shape := shapeOnCard(f, s, env)
		key := s.KernelName() + " " + shape
		if i, ok := index[key]; ok {
			r.Calls[i].Runs += times
			return
		}
		list := record(r.soc, f, s, env)
		if list == nil {
			if !slices.Contains(r.Missing, s.Op.Name) {
				r.Missing = append(r.Missing, s.Op.Name)
			}
			return
		}
		c := ascendCall{Call: s.KernelName(), Shape: shape, Rows: env["T"], Runs: times, Bound: cost.BoundOn(f, s, env, r.soc), recording: list}
		if err := c.count(); err != nil && failed == nil {
			failed = err
		}
		index[key] = len(r.Calls)
		r.Calls = append(r.Calls, c)
	})
	slices.SortStableFunc(r.Calls[from:], func(a, b ascendCall) int { return cmp.Compare(b.all(), a.all()) })
	return failed
}

// shapeOnCard is shapeOf, with the layers that a statement outside of them takes at once.
func shapeOnCard(f *ir.Func, s *ir.Stmt, env ir.Env) string {
	text := shapeOf(s, env)
	if len(s.Args) == 0 || s.Args[0].Storage == nil || s.Args[0].Storage.Stack == nil || f.Index != nil {
		return text
	}
	return text + ", each of " + human.Count(s.Args[0].Storage.Count(), "layer")
}

// all is the time of a step that goes there at best.
func (c *ascendCall) all() float64 { return float64(c.Runs) * c.Bound.Seconds }

// count adds up what the launches move and compute.
func (c *ascendCall) count() error {
	words := func(at uint64, n int) (out []int32) {
		for _, d := range c.recording.Data {
			if d.At == at && len(d.Bytes) >= 4*n {
				for i := range n {
					out = append(out, int32(binary.LittleEndian.Uint32(d.Bytes[4*i:])))
				}
			}
		}
		return out
	}
	for _, l := range c.recording.Launches {
		w, err := formulas.Of(formulas.Launch{Kernel: l.Kernel, Blocks: l.Blocks, Args: l.Args}, words)
		if err != nil {
			return err
		}
		c.Work = c.Work.Plus(w)
		k := c.kernel(l.Kernel)
		k.Work = k.Work.Plus(w)
		k.Launches++
		k.Blocks = max(k.Blocks, l.Blocks)
	}
	c.Useful = min(1, c.Bound.Bytes/float64(c.In+c.Out)) // indices, which the scalar unit reads, are operands too
	if c.By == "cube" {
		c.Useful = c.Bound.FLOPs / float64(c.Work.FLOPs)
	}
	return nil
}

func (c *ascendCall) kernel(name string) *ascendKernel {
	i := slices.IndexFunc(c.Kernels, func(k ascendKernel) bool { return k.Kernel == name })
	if i < 0 {
		i = len(c.Kernels)
		c.Kernels = append(c.Kernels, ascendKernel{Kernel: name})
	}
	return &c.Kernels[i]
}

// measure takes the times of all launches.
func (r *AscendReport) measure(d *build.Device) error {
	var list []*k.Recording
	for _, c := range r.Calls {
		list = append(list, c.recording)
	}
	seconds, err := ascend.Measure(d.ID, d.Chip, list)
	if err != nil {
		return exit.Failedf("cannot measure: %w", err)
	}
	for i := range r.Calls {
		c := &r.Calls[i]
		for j, l := range c.recording.Launches {
			c.kernel(l.Kernel).Seconds += seconds[i][j]
			c.Seconds += seconds[i][j]
		}
		c.Share = c.Bound.Seconds / c.Seconds
	}
	return nil
}
