package rt

import (
	"lorac/runtime/infer"
	"lorac/runtime/microbatch"
)

// Course is what a run will compute and write, as far as data and flags decide it.
type Course struct {
	Steps        int
	MicroBatches int
	Most         int             // tokens of the largest
	Load         microbatch.Load // of all steps
	Evaluations  int
	Evaluation   microbatch.Load // of one
	Saves        int             // checkpoints; those by time are not known
	Output       string
	Keep         int
}

// CourseOf opens the data of a job as its trainer would under the same arguments and
// follows the steps of the run. Its errors are those the trainer would end with. The job
// is not changed.
func CourseOf(shared *Job, args []string) (c Course, err error) {
	err = reading(shared, args, func(j *Job, opts *Options, in *inputs) {
		c.Output, c.Keep = j.Output, max(j.Checkpoint.KeepMax, 1)
		if modeOf(j.RunMode) != Train {
			return
		}
		if c.Steps = in.plan.Steps; opts.Steps > 0 {
			c.Steps = min(c.Steps, opts.Steps)
		}
		for step := range c.Steps {
			for _, u := range divide(j, in.batches, step) {
				c.Load.Rows += len(u.Items)
				for _, b := range in.batches.Pack(u, j.MaxRows) {
					c.MicroBatches++
					c.Most = max(c.Most, len(b.Tokens))
					c.Load.AddMicroBatch(b)
				}
			}
			if in.plan.SaveDue(&j.Checkpoint, step+1, 0) || step+1 == c.Steps {
				c.Saves++
			}
			if j.DoEval && in.eval != nil && in.plan.EvalDue(step+1, j.EvalSteps, j.EvalEpochs) {
				c.Evaluations++
			}
		}
		if in.eval != nil && c.Steps > 0 {
			c.Evaluations += 2 // before training and at its end
			e := &infer.Evaluator{Job: j, Set: in.eval}
			e.Demand(func(list []*microbatch.MicroBatch) {
				for _, b := range list {
					c.Evaluation.AddMicroBatch(b)
				}
			})
		}
	})
	return c, err
}
