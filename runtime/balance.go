package rt

import (
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
			steps := in.plan.Steps
			if opts.Steps > 0 {
				steps = min(steps, opts.Steps)
			}
			b = balance(j, in.batches, steps, processes)
		}
	})
	return b, err
}

// balance is that of the first epoch of a run, or of its steps where they are fewer.
func balance(j *Job, batches *microbatch.Batcher, steps, processes int) (b microbatch.Balance) {
	owns := shares(j, processes)
	for step := range min(steps, batches.StepsPerEpoch()) {
		b.Add(batches, divide(j, batches, step), owns)
	}
	return b
}

// sayBalance says how even the loads of the processes of a run are.
func (l *Loop) sayBalance() {
	if l.world.alone() || !l.world.first() || l.plan.Steps == 0 {
		return
	}
	b := balance(l.job, l.batches, l.plan.Steps, l.world.lanes)
	who := "processes"
	if l.world.lanes < l.world.size() {
		who = "groups of processes"
	}
	l.out.Say("%d %s: mean load %.2f of the largest (mean of the %s of an epoch; the least is %.2f)", b.Processes, who, b.Mean(), human.Count(b.Steps, "step"), b.Least)
}
