package rt

import (
	"fmt"
	"runtime/debug"

	"lorac/kernels"
	"lorac/runtime/sys/mmap"
)

// Weights and data are used from mapped files. Where such a file is shortened,
// or its disk fails, reading it is a fault in the middle of any kernel.

// watch makes faults panics, in this goroutine; in the threads of the kernels
// they are.
func watch() { debug.SetPanicOnFault(true) }

// newKernels is a context for the kernels of a run, whose caller meets faults in
// mapped files.
func newKernels(threads int) *kernels.Context {
	k := kernels.New(threads)
	k.MappedFault = func(addr uintptr) bool { _, ok := mmap.At(addr); return ok }
	return k
}

// lost ends the run with an error where what was recovered is a fault in a
// mapped file. Other panics go on.
func (r *Run) lost(recovered any) {
	if recovered == nil {
		return
	}
	if f, ok := recovered.(interface{ Addr() uintptr }); ok {
		if path, ok := mmap.At(f.Addr()); ok {
			r.unreadable(path, "")
		}
	}
	panic(recovered)
}

// whole ends the run where a file of frozen weights is shorter than it was: what
// it lacks of its last page reads as zeros, without a fault.
func (r *Run) whole() {
	if len(r.load.base) == 0 { // nothing is used from the file
		return
	}
	if path, ok := mmap.Shortened(); ok {
		r.unreadable(path, "")
	}
}

// unreadable ends the run, which cannot do without a file.
func (r *Run) unreadable(path, why string) {
	then := "start again"
	if r.mode == Train && r.metrics != nil && r.lastSaved() > 0 {
		then = fmt.Sprintf("go on with --resume_training True: checkpoints up to step %d are good", r.lastSaved())
	}
	r.fail(3, "%s was shortened or could not be read while it was in use%s\n  = help: put the file back as it was, leave it alone while a run uses it, and %s", path, why, then)
}
