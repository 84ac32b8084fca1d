package ir

// Align is the alignment of every buffer in the arena, in bytes.
const Align = 64

// AlignUp rounds a size up to the alignment.
func AlignUp(n int) int { return (n + Align - 1) / Align * Align }

// Layout is how one entry function uses the arena, once values are placed:
// the records of the functions it repeats, then its own frame, then the frame
// of whichever function it calls.
type Layout struct {
	Records []Record
	Frame   int // where the entry's own frame begins
	Callee  int // where the frames of the called functions begin
	Size    int
}

// Record is the memory one repeated function fills, layer by layer: what it
// keeps and what it hands on. Where nobody reads the kept values later, two
// records take turns; what is only handed on always does.
type Record struct {
	Func   *Func
	Base   int
	Stride int
	Count  int
	Lo     int // the layer of the first record, when there is one per layer

	Hand       int // where the values begin that are handed on and not kept
	HandStride int
	HandCount  int
}

// Layout computes where everything lies. It needs placed values.
func (m *Module) Layout(entry *Func) *Layout {
	env := m.MaxEnv()
	l := &Layout{}
	callee := 0
	for _, s := range entry.Body {
		f := s.Callee
		if f == nil {
			continue
		}
		callee = max(callee, f.End("frame", env))
		lo, hi := min(s.Range.Lo, s.Range.Hi), max(s.Range.Lo, s.Range.Hi)
		r := l.Record(f)
		if r == nil {
			l.Records = append(l.Records, Record{Func: f, Stride: f.End("keep", env), HandStride: f.End("hand", env), Lo: -1})
			r = &l.Records[len(l.Records)-1]
		}
		r.HandCount = max(r.HandCount, min(2, hi-lo+1))
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
	for i := range l.Records {
		r := &l.Records[i]
		r.Base = l.Size
		r.Hand = r.Base + r.Stride*r.Count
		l.Size = r.Hand + r.HandStride*r.HandCount
	}
	l.Frame = l.Size
	l.Callee = l.Frame + entry.End("frame", env)
	l.Size = l.Callee + callee
	return l
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
func (f *Func) End(region string, env Env) int {
	n := 0
	f.EachValue(func(v *Value) {
		if v.Place != nil && v.Place.Region == region {
			n = max(n, AlignUp(v.Place.Offset+v.Type.Bytes(env)))
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
