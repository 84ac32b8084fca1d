package ascend

import (
	"runtime"
	"strings"
)

// Call is a call of a method of Context, for messages: a launch fails long after the
// call that queued it returned.
type Call struct {
	Name       string // of the method
	Layer      int    // that the caller computes, −1 for none
	Func, File string // of the caller
	Line       int
}

// Describe sets what messages of faults say of a call.
func (c *Context) Describe(where func(Call) string) { c.where = where }

// Layer says which layer the function that calls it computes.
func (c *Context) Layer(i int) {
	var pc [1]uintptr
	runtime.Callers(2, pc[:])
	c.layer, c.layerOf = i, runtime.FuncForPC(pc[0])
}

// frames is how deep a launch is below the caller of a method, at most.
const frames = 6

// place is where a launch comes from, as it is known without looking up names.
type place struct {
	call    string
	pcs     [frames]uintptr
	n       int
	layer   int
	layerOf *runtime.Func
}

// place notes the callers of a launch.
func (c *Context) place(call string) *place {
	p := &place{call: call, layer: c.layer, layerOf: c.layerOf}
	p.n = runtime.Callers(3, p.pcs[:])
	return p
}

// here is the prefix of the functions of this package.
const here = "lorac/kernels/ascend."

// resolve looks the caller up: the first function outside of this package.
func (p *place) resolve() Call {
	out := Call{Name: p.call, Layer: -1}
	list := runtime.CallersFrames(p.pcs[:p.n])
	for more := p.n > 0; more; {
		var f runtime.Frame
		if f, more = list.Next(); strings.HasPrefix(f.Function, here) {
			continue
		}
		out.Func, out.File, out.Line = f.Function, f.File, f.Line
		if p.layerOf != nil && f.Func == p.layerOf {
			out.Layer = p.layer
		}
		break
	}
	return out
}
