package rt

import (
	"runtime"

	"lorac/runtime/exit"
	"lorac/runtime/sys/limits"
)

// checkMachine refuses a run that takes more than the machine, the control groups or
// the ulimits allow it at all: it would be killed in the middle of a step. lorac
// compiles for them; a trainer may come from elsewhere, and be for any data. It takes
// what it may take at most but for the activations that micro-batches as small as
// these leave out; what is known of them is nearly proportional to their rows.
func (r *Run) checkMachine(memory limits.Memory) error {
	m := &r.job.Memory
	bound := memory.Limit
	bound.N /= r.world.local
	most := r.mayTake()
	if r.mode != Train || r.job.Device != "" || m.Resident == 0 || bound.N == 0 || most <= bound.N {
		return nil
	}
	rows := 0
	for step := range r.plan.Steps {
		for _, u := range divide(r.job, r.batches, step) {
			for _, b := range r.batches.Pack(u, r.job.MaxRows) {
				rows = max(rows, len(b.Tokens))
			}
		}
	}
	needs := most - r.Loader.arena/100*97*(r.job.MaxRows-rows)/r.job.MaxRows
	if needs <= bound.N {
		return nil
	}
	if bound.Nothing() {
		return exit.Inputf("this run takes about %s, and nothing is left of the limit (%s)\n  = help: raise that limit, or lift it: --mem_limit and control groups bound what a process uses, not what it reserves", mib(needs), bound.From)
	}
	return exit.Inputf("this run takes about %s, and it may have %s (%s)\n  = help: lorac finetune, or lorac compile --mem_limit %s, makes a trainer that recomputes activations to fit; shorter rows and a smaller --batch_size take less",
		mib(needs), mib(bound.N), bound.From, sizeFlag(int64(bound.N)>>20<<20))
}

// EngineBytes is what an MPI library takes of a process, with the threads and buffers
// that it starts: 14 to 22 MiB were measured of Open MPI 4 and 5, MPICH 4 and 5, Intel
// MPI.
const EngineBytes = 24 << 20

// mayTake is what this process may take at most, as it is one of so many.
func (r *Run) mayTake() int {
	m := &r.job.Memory
	n := m.Resident + r.k.Threads()*m.Thread + runtime.GOMAXPROCS(0)*ProcBytes
	if mode := modeOf(r.job.RunMode); mode == Train {
		n += SumBytes(r.job, m.Summed, r.world.lanes)
	}
	if !r.world.alone() {
		n += EngineBytes
	}
	return n
}

// keptAs is the type that saved activations are stored in.
func (c *checkpoints) keptAs() string {
	if c.job.Memory.Keep == "" {
		return "f32"
	}
	return c.job.Memory.Keep
}

// sayKept says that a checkpoint was written by a run that rounded its saved
// activations in another way: the numbers differ from those it would have had.
// Checkpoints of before do not say.
func (c *checkpoints) sayKept(stored string) {
	if ours := c.keptAs(); stored != "" && stored != ours {
		c.out.Say("note: up to the checkpoint, saved activations were stored as %s; from here on as %s, as --mem_limit has it", stored, ours)
	}
}
