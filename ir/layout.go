package ir

import "slices"

// Align is the alignment of every buffer in the arena, in bytes.
const Align = 64

// deviceLine is what a device copies at full speed: rows that begin elsewhere take
// a third longer.
const deviceLine = 512

// Align is the alignment of every buffer in the arena of the module.
func (m *Module) Align() int {
	if m.Low() != 0 {
		return deviceLine
	}
	return Align
}

// AlignUp rounds a size up to an alignment.
func AlignUp(n, align int) int { return (n + align - 1) / align * align }

// Layout is how one entry function uses the arena, once values are placed: the
// records of the functions it repeats, then its frame, then the frame of the
// function it calls.
type Layout struct {
	Records []Record
	Frame   int // where the frame of the entry begins
	Callee  int // where the frames of the called functions begin
	Size    int
}

// Record is the memory one repeated function fills, layer by layer: the
// activations it saves and the value it carries to the next layer. Where nobody
// reads the saved activations later, two records take turns; a value that is
// only carried always takes turns. A repeat that continues where another ended
// carries in the same two places.
type Record struct {
	Func   *Func
	Base   int
	Stride int
	Count  int
	Lo     int // the layer of the first record, when there is one per layer
	After  int // the record in whose places this one carries, -1 for none

	Carry       int // where the values begin that are carried and not saved
	CarryStride int
	CarryCount  int
}

// Layout computes where everything lies. It needs placed values.
func (m *Module) Layout(entry *Func) *Layout {
	env, align := m.MaxEnv(), m.Align()
	l := &Layout{}
	callee := 0
	for _, s := range entry.Body {
		f := s.Callee
		if f == nil {
			continue
		}
		callee = max(callee, f.End("frame", env, align))
		lo, hi := min(s.Range.Lo, s.Range.Hi), max(s.Range.Lo, s.Range.Hi)
		r := l.Record(f)
		if r == nil {
			l.Records = append(l.Records, Record{Func: f, Stride: f.End("keep", env, align), CarryStride: f.End("hand", env, align), Lo: -1, After: -1})
			r = &l.Records[len(l.Records)-1]
		}
		r.CarryCount = max(r.CarryCount, min(2, hi-lo+1))
		switch {
		case !entry.ReadsKept(s) && r.Lo < 0:
			r.Count = max(r.Count, min(2, hi-lo+1))
		case r.Lo < 0:
			r.Lo, r.Count = lo, hi-lo+1
		default:
			end := max(r.Lo+r.Count, hi+1)
			r.Lo = min(r.Lo, lo)
			r.Count = end - r.Lo
		}
	}
	for _, s := range entry.Body {
		l.shareCarry(entry, s)
	}
	for i := range l.Records {
		r := &l.Records[i]
		r.Base = l.Size
		r.Carry = r.Base + r.Stride*r.Count
		switch {
		case r.After < 0:
			l.Size = r.Carry + r.CarryStride*r.CarryCount
		case r.CarryStride > 0:
			l.Size, r.Carry = r.Carry, l.Records[r.After].Carry
		default:
			r.Base = l.Records[r.After].Base
			r.Carry = r.Base
		}
	}
	l.Frame = l.Size
	l.Callee = l.Frame + entry.End("frame", env, align)
	l.Size = l.Callee + callee
	return l
}

// shareCarry lets s carry in the places of the repeat it continues: one of a
// function of the same signature, over the layers before, whose result nobody
// else reads. Layers take turns by their numbers, so that the first layer of s
// reads one place and writes the other.
func (l *Layout) shareCarry(entry *Func, s *Stmt) {
	if s.Callee == nil || len(s.Args) == 0 || s.Args[0].Value == nil || len(s.Callee.Results) != 1 {
		return
	}
	t := s.Args[0].Value.Def
	if t == nil || t.Callee == nil || t.Callee == s.Callee || !sameSignature(t.Callee, s.Callee) || entry.Uses()[t.Results[0]] > 1 {
		return
	}
	if step := s.Range.Lo - t.Range.Hi; step != 1 && step != -1 {
		return
	}
	at := slices.IndexFunc(l.Records, func(r Record) bool { return r.Func == t.Callee })
	i := slices.IndexFunc(l.Records, func(r Record) bool { return r.Func == s.Callee })
	if i < at {
		return
	}
	before, r := &l.Records[at], &l.Records[i]
	hand := before.CarryStride > 0 && before.CarryStride == r.CarryStride
	turns := before.Stride > 0 && before.Stride == r.Stride && before.CarryStride+r.CarryStride == 0 &&
		before.Lo < 0 && r.Lo < 0 && len(t.Callee.Keep)+len(s.Callee.Keep) == 0
	if r.After >= 0 || !hand && !turns {
		return
	}
	r.After = at
	if turns {
		before.Count, r.Count = 2, 2
	} else {
		before.CarryCount, r.CarryCount = 2, 2
	}
}

// sameSignature reports whether two functions take and return the same types.
func sameSignature(f, g *Func) bool {
	same := func(a, b *Value) bool { return a.Type.Equal(b.Type) }
	return slices.EqualFunc(f.Params, g.Params, same) && slices.EqualFunc(f.Results, g.Results, same)
}

// Record returns the record of a repeated function, or nil.
func (l *Layout) Record(f *Func) *Record {
	for i := range l.Records {
		if l.Records[i].Func == f {
			return &l.Records[i]
		}
	}
	return nil
}

// Arena is the memory of the largest entry function, in bytes.
func (m *Module) Arena() int {
	n := 0
	for _, f := range m.Funcs {
		if f.Entry {
			n = max(n, m.Layout(f).Size)
		}
	}
	return n
}

// End is the size of a region of the function.
func (f *Func) End(region string, env Env, align int) int {
	n := 0
	f.EachValue(func(v *Value) {
		if v.Place != nil && v.Place.Region == region {
			n = max(n, AlignUp(v.Place.Offset+v.Type.Bytes(env), align))
		}
	})
	return n
}

// ReadsKept reports whether the handle of what a repeat kept is used.
func (f *Func) ReadsKept(s *Stmt) bool {
	if len(s.Callee.Keep) == 0 {
		return false
	}
	handle := s.Results[len(s.Results)-1]
	for _, t := range f.Body {
		for _, a := range t.Args {
			if a.Value == handle {
				return true
			}
		}
	}
	return false
}
