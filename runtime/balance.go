package rt

import (
	"fmt"

	"lorac/runtime/comm"
	"lorac/runtime/microbatch"
	"lorac/runtime/sys/human"
)

// shares says which units of a step each process computes.
func shares(j *Job, processes int) comm.Ranges {
	return comm.Even(microbatch.Units(max(j.Devices.Count, 1)), processes, 1)
}

// SumWires is what each of so many processes sends and receives for the gradient of a
// step, of a job that trains so many numbers.
func SumWires(j *Job, trained, processes int) []comm.Wire {
	return comm.AdderWires(shares(j, processes), trained)
}

// BalanceOf is how even the loads of processes are over an epoch of a job's data, as a
// run under the same arguments divides them. Its errors are those the trainer would end
// with. The job is not changed.
func BalanceOf(shared *Job, args []string, processes int) (b microbatch.Balance, err error) {
	err = reading(shared, args, func(j *Job, opts *Options, in *inputs) {
		if in.batches != nil {
			b = balance(j, in, opts, processes)
		}
	})
	return b, err
}

// balance is that of the first epoch, or of fewer steps where a run has no more.
func balance(j *Job, in *inputs, opts *Options, processes int) (b microbatch.Balance) {
	steps := min(in.batches.StepsPerEpoch(), in.plan.Steps)
	if opts.Steps > 0 {
		steps = min(steps, opts.Steps)
	}
	owns := shares(j, processes)
	for step := range steps {
		b.Add(in.batches, divide(j, in.batches, step), owns)
	}
	return b
}

// Even says how even loads are, for people.
func Even(b *microbatch.Balance) string {
	return fmt.Sprintf("mean load %.2f of the largest (mean of %s; the least is %.2f)", b.Mean(), human.Count(b.Steps, "step"), b.Least)
}
