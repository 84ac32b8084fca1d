package rt

import (
	"fmt"
	"os"
	"runtime"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/sys/limits"
	"lorac/runtime/sys/mmap"
)

// Slow is a fast path that this machine lacks.
type Slow struct {
	What  string  // what is missing, and what runs in its place
	Times float64 // how many times as long it takes, about
	Of    string  // what takes so long
	Help  string  // the way out
	Free  bool    // there is another way to the same end: plain f32
}

func (s Slow) String() string {
	if s.Times == 0 {
		return fmt.Sprintf("slow: %s\n  = help: %s", s.What, s.Help)
	}
	return fmt.Sprintf("slow: %s: %s takes about %s times as long\n  = help: %s", s.What, s.Of, about(s.Times), s.Help)
}

// useless is from how many times on the way is worse than plain f32 without it.
const useless = 3

// Refused reports whether a run that goes this way is refused.
func (s Slow) Refused() bool { return s.Free && s.Times > useless }

// What missing things cost, as measured (docs/performance.md).
const (
	timesPlainGo    = 20  // of the products, against AVX2
	timesSmallPages = 1.1 // of a step
)

// SlowPaths lists what a job would use and this machine lacks, on so many threads;
// what a type costs is measured with k.
func SlowPaths(j *Job, threads int, k *kernels.Context) []Slow {
	if j.Device != "" {
		return nil
	}
	return slowPaths(j, threads, limits.Here(), HugePages(limits.Here()), kernels.Lacks(), k.TimesF32)
}

func slowPaths(j *Job, threads int, s limits.System, pages, lacks string, times func(kernels.DType) float64) (list []Slow) {
	if lacks != "" {
		list = append(list, Slow{What: lacks + ": plain Go runs in their place", Times: timesPlainGo, Of: "a product",
			Help: "leave LORAC_CPU unset; run it on a processor with AVX2 and FMA (or AVX-512, or arm64); a virtual machine may hide what its host has (`-cpu host`)"})
	}
	if j.Compute == "int8" {
		if n := times(kernels.I8); n > 1.1 {
			list = append(list, Slow{What: "compute int8 multiplies with AVX2 or AVX-512 VNNI (on arm64 with the dot product), which are missing here, and a plain loop takes their place", Times: n, Of: "a product", Free: true,
				Help: "leave compute: int8 out (quant: int8 saves nearly as much memory), or run it on a processor with AVX2"})
		}
	}
	for name, d := range map[string]kernels.DType{"int4": kernels.Q4_0, "int8": kernels.Q8_0} {
		if j.Quant.Kind == name && j.Compute != "int8" {
			if n := times(d); n > 1.1 {
				list = append(list, Slow{What: "quant " + name + " is decoded with AVX2, AVX-512 or NEON, which are missing here, and a plain loop takes their place", Times: n, Of: "a product of 512 rows",
					Help: "larger micro-batches decode less often; without quant: nothing is decoded, for more memory"})
			}
		}
	}
	if pages != "" {
		list = append(list, Slow{What: pages, Times: timesSmallPages, Of: "a step", Help: "as root, echo madvise > /sys/kernel/mm/transparent_hugepage/enabled; and start it from a process that may have them"})
	}
	return append(list, slowThreads(threads, s)...)
}

// slowThreads are processors that the machine has and a run may not use, and threads
// that share one.
func slowThreads(threads int, s limits.System) (list []Slow) {
	may, online := s.Processors(), s.Online()
	if may.N == 0 {
		return nil
	}
	if may.N < online {
		list = append(list, Slow{What: fmt.Sprintf("%d of %d processors may be used (%s)", may.N, online, may.From), Times: float64(online) / float64(may.N), Of: "a step, against all of them,",
			Help: "start it without taskset, or in a control group with more processors"})
	}
	if procs := runtime.GOMAXPROCS(0); procs < may.N && os.Getenv("GOMAXPROCS") != "" {
		list = append(list, Slow{What: fmt.Sprintf("GOMAXPROCS=%d leaves %d processors unused", procs, may.N-procs), Times: float64(may.N) / float64(procs), Of: "a step", Help: "unset GOMAXPROCS"})
	}
	if threads > may.N {
		list = append(list, Slow{What: fmt.Sprintf("%d threads share %d processors (%s)", threads, may.N, may.From), Times: float64(threads) / float64(may.N), Of: "what waits for the last of them", Help: "leave --threads out"})
	}
	return list
}

// HugePages says why a process of this system gets none where it asks for them, ""
// where it does.
func HugePages(s limits.System) string {
	if runtime.GOOS != "linux" {
		return ""
	}
	switch mode, disabled := s.HugePages(); {
	case disabled:
		return "huge pages are turned off for this process (prctl PR_SET_THP_DISABLE)"
	case mode == "":
		return "the system has no huge pages"
	case mode == "never":
		return "huge pages are off (/sys/kernel/mm/transparent_hugepage/enabled says never)"
	}
	return ""
}

// saySlow says what will be slow.
func (r *Run) saySlow(list []Slow) {
	if paths, n := mmap.Copied(); len(paths) > 0 && runtime.GOOS != "windows" {
		list = append(list, NotMapped(paths[0], n))
	}
	for _, s := range list {
		r.out.Say("%s", s)
	}
}

// NotMapped is a file of weights that cannot be mapped, and its bytes, 0 for unknown.
func NotMapped(path string, n int) Slow {
	size := "all of it"
	if n > 0 {
		size = mib(n)
	}
	return Slow{What: fmt.Sprintf("the file system of %s cannot map files: %s is read into memory, which no other process shares, before the first step", path, size),
		Help: "copy the weights to a local disk, where they are read as they are needed"}
}

// refuseSlow is the error of the first way that is of no use.
func refuseSlow(list []Slow, allowed bool) error {
	for _, s := range list {
		if err := s.Refuse(allowed); err != nil {
			return err
		}
	}
	return nil
}

// Refuse is the error of a run on a way that is of no use, unless it is allowed.
func (s Slow) Refuse(allowed bool) error {
	if !s.Refused() || allowed {
		return nil
	}
	return exit.Inputf("%s: %s takes about %s times as long as with f32\n  = help: %s; --allow_slow True runs it all the same", s.What, s.Of, about(s.Times), s.Help)
}

// about writes a number in two digits, never as 1.5e+02.
func about(x float64) string {
	if x >= 10 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.2g", x)
}

// CheckCPU refuses a choice of instructions that cannot be followed: bits depend on it.
func CheckCPU() error {
	if wrong := kernels.WrongCPU(); wrong != "" {
		return exit.Inputf("%s\n  = help: unset LORAC_CPU: then the best that is there is used, here %s", wrong, kernels.Units())
	}
	return nil
}
