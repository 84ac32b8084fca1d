package build

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"lorac/codegen"
	"lorac/compiler/cost"
	"lorac/ir"
	rt "lorac/runtime"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/human"
)

// RunPlan is what all steps of a run take.
type RunPlan struct {
	Steps        int      `json:"steps"`
	Rows         int      `json:"rows"` // that are read, those of later epochs included
	Tokens       int      `json:"tokens"`
	Supervised   int      `json:"supervised"`
	MicroBatches int      `json:"micro_batches"`
	Mean         float64  `json:"micro_batch_mean"` // tokens
	Largest      int      `json:"micro_batch_largest"`
	FLOPs        float64  `json:"flops"`
	Evaluations  int      `json:"evaluations"`
	EvalFLOPs    float64  `json:"flops_evaluations"`
	Rate         float64  `json:"rate"` // FLOPs a second
	RateFrom     string   `json:"rate_from"`
	Seconds      float64  `json:"seconds"`
	Checkpoint   int      `json:"checkpoint_bytes"`
	Kept         int      `json:"checkpoints_kept"`
	Disk         int      `json:"disk_bytes"`
	Free         int      `json:"disk_free"` // below 0: not known
	Output       string   `json:"output_dir"`
	Fits         bool     `json:"fits"`
	Change       []string `json:"change,omitempty"` // what keeps it from fitting, and what to change

	Machines []Machine `json:"machines,omitempty"` // others that were asked for
}

// run plans the run where its data are known and it trains.
func (p *Plan) run(t Target, m *ir.Module) error {
	j, err := codegen.Job(m)
	if err != nil || !t.Runs || !t.hasData(j) || t.Mode != "finetune" && t.Mode != "train" {
		return err
	}
	t.tell(j)
	c, err := rt.CourseOf(j, t.Args)
	if err != nil {
		return err
	}
	r := &RunPlan{Steps: c.Steps, Rows: c.Load.Rows, Tokens: c.Load.Tokens, Supervised: c.Load.Targets, MicroBatches: c.MicroBatches, Largest: c.Most,
		Mean: float64(c.Load.Tokens) / float64(max(c.MicroBatches, 1)), Evaluations: c.Evaluations, Output: c.Output}
	r.FLOPs = cost.RowFLOPsOf(m).Of(rowsOf(c.Load))
	r.EvalFLOPs = float64(c.Evaluations) * cost.RowFLOPsIn(m.Func("loss")).Of(rowsOf(c.Evaluation))
	r.Checkpoint = 4*trained(m) + cost.StateBytes(m, 1)
	if j.Checkpoint.Network {
		for _, s := range m.Storages {
			if s.Kind == ir.Param && !s.Trainable {
				r.Checkpoint += s.Count() * s.Type.Bytes(nil)
			}
		}
	}
	r.Kept = min(c.Saves, c.Keep)
	r.Disk = r.Checkpoint*min(c.Saves, c.Keep+1) + 4*trained(m) // one is written before the oldest is removed; the adapter
	r.Free = disk.Free(existing(c.Output))
	p.Run = r
	p.fits()
	return nil
}

// existing is the nearest directory above a path that is there.
func existing(path string) string {
	path, err := filepath.Abs(path)
	for ; err == nil && !disk.Exists(path) && filepath.Dir(path) != path; path = filepath.Dir(path) {
	}
	return path
}

// fits says whether memory and disk of this machine suffice.
func (p *Plan) fits() {
	r := p.Run
	if p.Here != nil && p.Here.Refused != "" {
		r.Change = append(r.Change, "memory: "+p.Here.Refused)
	}
	if r.Free >= 0 && r.Disk > r.Free {
		r.Change = append(r.Change, fmt.Sprintf("disk: checkpoints and adapter need %s in %s, where %s is free\n  = help: a lower --keep_checkpoint_max, or another --output_dir", human.Bytes(r.Disk), r.Output, human.Bytes(r.Free)))
	}
	r.Fits = len(r.Change) == 0
}

// TimeRun adds the time of the run. rate is the FLOPs a second of the machine; 0: as many
// as this machine is measured to do, or a card does at best.
func (p *Plan) TimeRun(rate float64, threads int) {
	r := p.Run
	switch {
	case rate > 0:
		r.Rate, r.RateFrom = rate, "--gflops"
	case p.Ascend != nil:
		r.Rate, r.RateFrom = p.FLOPs/p.Ascend.Seconds, "the roofline of a step: at best"
	default:
		r.Rate, r.RateFrom = measureRate(threads)
	}
	r.Seconds = (r.FLOPs + r.EvalFLOPs) / r.Rate
}

// Print writes it for people.
func (r *RunPlan) Print(out io.Writer) {
	fmt.Fprintf(out, "\nthe run: %s in %s of %.0f tokens on average, %s in the largest; %s tokens, %s of them supervised\n", human.Count(r.Steps, "step"),
		microBatches(r.MicroBatches), r.Mean, human.Thousands(r.Largest), human.Thousands(r.Tokens), human.Thousands(r.Supervised))
	fmt.Fprintf(out, "  %s", cost.FLOPs(r.FLOPs))
	if r.Evaluations > 0 {
		fmt.Fprintf(out, ", and %s for %s of the loss (texts that it generates are not counted)", cost.FLOPs(r.EvalFLOPs), human.Count(r.Evaluations, "evaluation"))
	}
	fmt.Fprintf(out, "\n  at least %s at %.4g GFLOP/s (%s); a step reaches a part of it\n", lasting(r.Seconds), r.Rate/1e9, r.RateFrom)
	fmt.Fprintf(out, "  disk: %s a checkpoint, %d kept, %s with the adapter in %s", human.Bytes(r.Checkpoint), r.Kept, human.Bytes(r.Disk), human.Line(r.Output))
	if r.Free >= 0 {
		fmt.Fprintf(out, ", where %s is free", human.Bytes(r.Free))
	}
	fmt.Fprintln(out)
	if r.Fits {
		fmt.Fprintln(out, "  it fits here")
	}
	for _, c := range r.Change {
		fmt.Fprintf(out, "  it does not fit here: %s\n", c)
	}
	r.printMachines(out)
}

func microBatches(n int) string {
	if n == 1 {
		return "1 micro-batch"
	}
	return fmt.Sprintf("%d micro-batches", n)
}

// lasting writes a time as people say it.
func lasting(seconds float64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%.2g s", seconds)
	case seconds < 100*3600:
		return time.Duration(seconds * float64(time.Second)).Round(time.Second).String()
	}
	return fmt.Sprintf("%.1f days", seconds/86400)
}
