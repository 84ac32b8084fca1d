package build

import (
	"fmt"
	"runtime"

	"lorac/compiler/cost"
	"lorac/ir"
	"lorac/kernels"
	rt "lorac/runtime"
	"lorac/runtime/sys/limits"
)

// device is what a trainer runs on: this machine, or one like it where it has
// huge pages, in which activations are then. Its memory is as runs of 5 to 32
// layers were seen to take it (docs/memory.md).
func device(here bool) *cost.Device {
	page := 2 << 20
	if here && (runtime.GOOS != "linux" || rt.HugePages(limits.Here()) != "") {
		page = smallPage
	}
	return &cost.Device{
		Page:      page,
		SmallPage: smallPage,
		Scratch:   func(z cost.KernelSizes) int { return kernels.ScratchBytes(kernels.Sizes(z)) },
		Procs:     runtime.GOMAXPROCS(0), // as many as the trainer will have
		PerProc:   rt.ProcBytes,
		Program:   47<<18 - 2*rt.ProcBytes,
		PerLayer:  52 << 10,
		Start:     23 << 19,
		Slack:     1 << 20,
	}
}

// smallPage is the size of a page that is not huge, in bytes.
const smallPage = 4 << 10

// FreeMemory is what a new process may take on this machine without swapping, as its
// control groups and ulimits leave it; 0 where the system does not say.
func FreeMemory() int { return limits.Here().Memory().Free.N }

// FreeHere is FreeMemory and what says so.
func FreeHere() (n int, from string) {
	b := limits.Here().Memory().Free
	return b.N, b.From
}

// ProcessAt is what a trainer of a module takes whose micro-batches are one sequence of
// so many tokens.
func ProcessAt(m *ir.Module, tokens, threads int) int {
	return cost.ProcessOf(m, cost.Use{Mode: "train", Env: ir.Env{"T": tokens, "S": tokens, "N": 1}, Threads: threads}, device(true)).Total
}

// there is the memory that bounds a job which starts here: what is free, but what
// there is where --mem_limit says that more will be free.
func (t *Target) there() limits.Bound {
	if !t.Here && !t.Bound {
		return limits.Bound{}
	}
	m := limits.Here().Memory()
	b := m.Free
	if t.Limit > 0 {
		b = m.Limit
	}
	if t.Local > 1 {
		b.N /= t.Local
		b.From += fmt.Sprintf(", for each of %d processes", t.Local)
	}
	return b
}

// DefaultThreads is how many threads a trainer has where no flag says it.
func DefaultThreads() int { return rt.DefaultThreads() }
