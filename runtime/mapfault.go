package rt

import (
	"fmt"
	"runtime/debug"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/sys/mmap"
)

// Weights and data are used from mapped files. Where such a file is shortened,
// or its disk fails, reading it is a fault in the middle of any kernel. Faults
// come as panics, to the goroutine of the run and to those of the kernels, which
// pass theirs to the caller; mapFault makes an error of them.

// catchFaults has faults of the calling goroutine come as panics, until the
// function it returns is called.
func catchFaults() (restore func()) {
	before := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(before) }
}

// newKernels is a context for the kernels of a run, which pass faults in mapped
// files to it; below 1 thread it has one a processor.
func newKernels(threads int) *kernels.Context {
	k := kernels.New(threads)
	k.MappedFault = func(addr uintptr) bool { _, ok := mmap.At(addr); return ok }
	return k
}

// readFault is the panic of a row that cannot be read from its file. To the
// kernels it is a fault at the address where the row is mapped.
type readFault struct {
	addr  uintptr
	cause error
}

func (f readFault) Error() string { return f.cause.Error() }

// Addr is where the row is mapped.
func (f readFault) Addr() uintptr { return f.addr }

// fault is the error of a panic by a fault of the device or in a mapped file. Other
// panics continue.
func (r *Run) fault(recovered any) error {
	if r.dev == nil {
		return r.mapFault(recovered)
	}
	err := r.dev.Fault(recovered)
	if err == nil {
		return r.mapFault(recovered)
	}
	if good := r.good(); good > 0 {
		return exit.Failedf("%w\n  = help: resume with --resume_training True: checkpoints up to step %d are good", err, good)
	}
	return exit.Failedf("%w", err)
}

// good is the newest step with a good checkpoint of this run, 0 for none.
func (r *Run) good() int {
	if r.Loop != nil && r.out.Opened() {
		return r.ckpt.last()
	}
	return 0
}

// mapFault is the error of a panic by a fault in a mapped file. Other panics
// continue.
func (r *Run) mapFault(recovered any) error {
	if f, ok := recovered.(interface{ Addr() uintptr }); ok {
		if path, ok := mmap.At(f.Addr()); ok {
			why := ""
			if read, ok := recovered.(readFault); ok {
				why = fmt.Sprintf(" (%v)", read.cause)
			}
			return unreadable(path, why, r.good())
		}
	}
	panic(recovered)
}

// unreadable is the error of a file that the run cannot do without; checkpoints
// up to a step are good, 0 for none.
func unreadable(path, why string, good int) error {
	then := "start again"
	if good > 0 {
		then = fmt.Sprintf("resume with --resume_training True: checkpoints up to step %d are good", good)
	}
	return exit.Failedf("%s was shortened or could not be read while it was in use%s\n  = help: put the file back as it was, leave it alone while a run uses it, and %s", path, why, then)
}
