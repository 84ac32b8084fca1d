package passes

import (
	"lorac/compiler/cost"
	"lorac/ir"
)

// planProcess states what the process takes in addition to its threads and processors,
// and each thread, in bytes: a trainer adds up what it will have of them and
// refuses to start above its own --mem_limit.
func planProcess(m *ir.Module, o *Options) int {
	p := cost.ProcessOf(m, *o.Facts.Use, o.Facts.Device)
	set(m, "memory.resident", p.Resident())
	set(m, "memory.thread", p.Thread)
	if p.Use.Sums+p.Use.Engine > 0 { // as every run of this program, or of others with as many units
		set(m, "memory.summed", cost.Trained(m))
	}
	return 1
}

// knowsProcess reports whether it is known what the process runs on. One that
// computes on a device has its memory there.
func knowsProcess(_ *ir.Module, o *Options) bool {
	return o.Facts.Use != nil && o.Facts.Device != nil && o.Facts.Ascend == nil
}
