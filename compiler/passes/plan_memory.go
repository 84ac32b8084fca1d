package passes

import (
	"cmp"
	"slices"

	"lorac/ir"
)

// planMemory gives every value its place: what a repeated function saves or
// carries is in its record, everything else in the frame of its function,
// where buffers that are never alive together share memory.
//
//	%q, %xa = lora_linear … : f32[T,128] in keep+0, f32[T,16] in frame+65536
//
// A parameter has no place: it is a view of what the caller passes, the input
// of layer i the output that layer i-1 left in its record.
func planMemory(m *ir.Module, o *Options) int {
	repeated := map[*ir.Func]bool{}
	for _, f := range m.Funcs {
		f.EachValue(func(v *ir.Value) { v.Place = nil })
		for _, s := range f.Body {
			repeated[s.Callee] = true
		}
	}
	n := 0
	viewed := viewsCarried(m)
	for _, f := range m.Funcs {
		p := &placer{f: f, env: m.MaxEnv(), align: m.Align(), viewed: viewed}
		if repeated[f] {
			n += p.record()
		}
		n += p.frame()
	}
	return n
}

// viewsCarried reports whether some function saves a view of what the layer
// before carries to it, which must then stay where it is.
func viewsCarried(m *ir.Module) bool {
	for _, f := range m.Funcs {
		for _, p := range f.Params[:min(len(f.Results), len(f.Params))] {
			if slices.Contains(f.Keep, p) {
				return true
			}
		}
	}
	return false
}

type placer struct {
	f      *ir.Func
	env    ir.Env
	align  int
	viewed bool
}

// placed reports whether a value needs memory: no scalars, handles, or what a
// repeat returns (that is in the record of the function it calls).
func placed(v *ir.Value) bool {
	return v.Def != nil && v.Def.Callee == nil && v.Type.Kept == nil && v.Type.Rank() > 0
}

// record places what outlives the call, in the order of the keep list. What
// is carried is there too, unless nothing would otherwise make it stay.
func (p *placer) record() int {
	n := 0
	place := func(region string, list []*ir.Value) {
		at := p.f.End(region, p.env, p.align)
		for _, v := range list {
			if v.Place == nil && placed(v) {
				v.Place = &ir.Place{Region: region, Offset: at}
				at += ir.AlignUp(v.Type.Bytes(p.env), p.align)
				n++
			}
		}
	}
	place("keep", p.f.Keep)
	if len(p.f.Keep) > 0 && !p.viewed {
		place("hand", p.f.Results)
	} else {
		place("keep", p.f.Results)
	}
	return n
}

// span is a buffer and the last statement that needs it.
type span struct {
	v          *ir.Value
	to         int
	size, base int
}

// frame places the other values first-fit in the order they are made.
func (p *placer) frame() int {
	last := p.lastUses()
	var live []*span
	n := 0
	for i, s := range p.f.Body {
		live = slices.DeleteFunc(live, func(b *span) bool { return b.to < i })
		// A result may take the place of an operand that is read here for the last time.
		taken := p.inPlace(s, i, last, live)
		for k, v := range s.Results {
			if v.Place != nil || !placed(v) {
				continue
			}
			b := &span{v: v, to: last[v], size: ir.AlignUp(v.Type.Bytes(p.env), p.align)}
			if old := taken[k]; old != nil {
				b.base = old.base
				live = slices.DeleteFunc(live, func(x *span) bool { return x == old })
			} else {
				b.base = firstFit(live, b.size)
			}
			v.Place = &ir.Place{Region: "frame", Offset: b.base}
			live = append(live, b)
			n++
		}
	}
	return n
}

// lastUses gives the index of the last statement that needs each value. What
// a function returns lives to its end, and so does what a repeat saved a view
// of: the value carried into it.
func (p *placer) lastUses() map[*ir.Value]int {
	end := len(p.f.Body)
	last := map[*ir.Value]int{}
	for i, s := range p.f.Body {
		for _, r := range s.Results {
			last[r] = i
		}
		for k, a := range s.Args {
			if a.Value == nil {
				continue
			}
			last[a.Value] = max(last[a.Value], i)
			if s.Callee != nil && k < len(s.Callee.Params) && slices.Contains(s.Callee.Keep, s.Callee.Params[k]) && p.f.ReadsKept(s) {
				last[a.Value] = end
			}
		}
	}
	for _, r := range p.f.Results {
		last[r] = end
	}
	return last
}

// inPlace finds, for each result, an operand it may overwrite.
func (p *placer) inPlace(s *ir.Stmt, at int, last map[*ir.Value]int, live []*span) map[int]*span {
	out := map[int]*span{}
	used := map[*span]bool{}
	for _, pair := range s.Op.InPlace {
		r, a := pair[0], pair[1]
		if r >= len(s.Results) || a >= len(s.Args) || out[r] != nil || s.Results[r].Place != nil || !placed(s.Results[r]) {
			continue
		}
		v := s.Args[a].Value
		if v == nil || last[v] != at || count(s, v) > 1 || v.Type.Bytes(p.env) != s.Results[r].Type.Bytes(p.env) {
			continue
		}
		for _, b := range live {
			if b.v == v && !used[b] {
				out[r], used[b] = b, true
			}
		}
	}
	return out
}

// count is how many operands of s are v.
func count(s *ir.Stmt, v *ir.Value) int {
	n := 0
	for _, a := range s.Args {
		if a.Value == v {
			n++
		}
	}
	return n
}

// firstFit returns the lowest offset where size bytes are free.
func firstFit(live []*span, size int) int {
	byBase := slices.SortedFunc(slices.Values(live), func(a, b *span) int { return cmp.Compare(a.base, b.base) })
	at := 0
	for _, b := range byBase {
		if at+size <= b.base {
			break
		}
		at = max(at, b.base+b.size)
	}
	return at
}
