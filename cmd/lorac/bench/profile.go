package bench

import (
	"fmt"
	"os"
	"slices"
	"sort"
	"strings"

	"lorac/compiler/cost"
	"lorac/ir"
)

// opShare is where a part of the step's time went.
type opShare struct {
	Name   string  `json:"name"`
	Share  float64 `json:"share"`            // of the step's time
	GFLOPS float64 `json:"gflops,omitempty"` // useful ones, while it ran; left out where there are few samples of it
}

// enoughSamples of the profile say how long an op took: of 50, a seventh is chance.
const enoughSamples = 50

// leastSamples are those of a run whose shares say something: of 20, one or two
// of ten are chance.
const leastSamples = 20

// attribute splits the time of the steps by kernel. The trainer's own
// goroutine works on every kernel and spins when it waits, so its samples are
// the step's time: the kernel called from the emitted program names the op,
// and what is outside the pool is done by one thread alone.
func (s *stepRate) attribute(path string, m *ir.Module, env ir.Env) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	samples, err := readSamples(f)
	if err != nil {
		return fmt.Errorf("the trainer's profile: %w", err)
	}
	byOp, serial := map[string]float64{}, map[string]float64{}
	var total, waiting, others, idle float64
	for _, sample := range samples {
		n, stack := float64(sample.count), sample.stack
		switch {
		case slices.Contains(stack, "main.main"):
			total += n
			byOp[kernelOf(stack)] += n
			if !slices.Contains(stack, poolRun) {
				serial[aloneIn(stack)] += n
			} else if !slices.Contains(stack, jobWork) && !slices.ContainsFunc(stack, serialLoop) {
				waiting += n
			}
		case slices.Contains(stack, poolWorker):
			others += n
			if !slices.Contains(stack, jobWork) {
				idle += n
			}
		}
	}
	s.Samples = int(total)
	s.Ops, s.Serial = []opShare{}, []opShare{} // none is a list, too
	if s.Samples < leastSamples {
		return nil
	}
	flops := flopsByKernel(m, env)
	for name, n := range byOp {
		o := opShare{Name: name, Share: n / total}
		if n >= enoughSamples {
			o.GFLOPS = flops[name] / (o.Share * s.Seconds) / 1e9
		}
		s.Ops = append(s.Ops, o)
	}
	for name, n := range serial {
		s.Serial = append(s.Serial, opShare{Name: name, Share: n / total})
	}
	for _, list := range [][]opShare{s.Ops, s.Serial} {
		sort.Slice(list, func(i, j int) bool {
			return list[i].Share > list[j].Share || list[i].Share == list[j].Share && list[i].Name < list[j].Name
		})
	}
	s.Waiting = waiting / total
	if others > 0 {
		s.Idle = idle / others
	}
	return nil
}

const (
	kernelPath = "lorac/kernels."
	poolRun    = kernelPath + "(*pool).run"
	poolWorker = kernelPath + "(*pool).worker"
	jobWork    = kernelPath + "(*job).work"
)

// serialLoop matches the closures pool.run calls itself on one thread.
func serialLoop(name string) bool {
	return strings.HasPrefix(name, kernelPath) && strings.Contains(name, ".func")
}

// kernelOf is the kernel the emitted program called, or what else it did.
func kernelOf(stack []string) string {
	for i := len(stack) - 1; i >= 0; i-- {
		if name, ok := strings.CutPrefix(stack[i], kernelPath); ok {
			if i+1 < len(stack) && strings.HasPrefix(stack[i+1], "main.") {
				name = name[:min(len(name), strings.IndexAny(name+".", ".["))] // of a closure, or of a function of any type
				return strings.Replace(name, "AddMatMul", "MatMul", 1)         // AddMatMulNT and MatMulNT are one op
			}
		}
		if strings.HasPrefix(stack[i], "lorac/runtime.") {
			return "runtime: " + shortName(stack[i])
		}
	}
	return "the emitted program"
}

// aloneIn names the innermost of our functions that runs outside the pool.
func aloneIn(stack []string) string {
	for _, name := range stack {
		if strings.HasPrefix(name, "lorac/") {
			return shortName(name)
		}
	}
	return "the emitted program"
}

func shortName(name string) string {
	name = name[strings.LastIndexByte(name, '/')+1:]
	return strings.TrimPrefix(name, "runtime.")
}

// flopsByKernel is the useful work of a step by the name of the kernel.
func flopsByKernel(m *ir.Module, env ir.Env) map[string]float64 {
	out := map[string]float64{}
	cost.Each(cost.Root(m), func(s *ir.Stmt, times int) {
		name := strings.Replace(s.KernelName(), "AddMatMul", "MatMul", 1) // as kernelOf has it
		out[name] += float64(times) * costOf(s, env)
	})
	return out
}
