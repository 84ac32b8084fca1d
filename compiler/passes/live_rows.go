package passes

import (
	"fmt"
	"slices"
	"strings"

	"lorac/ir"
)

// liveRows computes only the rows somebody supervises: a gather of rows sinks
// upward through row-wise ops until it meets one that mixes rows, or a value
// whose other rows somebody reads.
//
//	%l = matmul %x, $head {trans=rhs} : f32[T,V]      %x.live = gather_rows %x, %rows : f32[S,D]
//	%live = gather_rows %l, %rows : f32[S,V]      →   %l = matmul %x.live, $head {trans=rhs} : f32[S,V]
//
// Where it meets a repeat, the last layer becomes a function of its own, in
// which the query, the attention output and the FFN run on the chosen rows,
// keys and values on all:
//
//	%y = repeat layer.forward[0..31] %x        %y = repeat layer.forward[0..30] %x
//	%live = gather_rows %y, %rows          →   %live = repeat layer.last.forward[31] %y, %rows
func liveRows(m *ir.Module, o *Options) int {
	l := &liveRowser{m: m, o: o, last: map[*ir.Func]*ir.Func{}}
	for _, f := range slices.Clone(m.Funcs) {
		l.sink(f)
	}
	return l.n
}

type liveRowser struct {
	m    *ir.Module
	o    *Options
	n    int
	last map[*ir.Func]*ir.Func // the specialised last layer of a function
}

// sink moves the gathers of one function up until none can move.
func (l *liveRowser) sink(f *ir.Func) {
	for moved := true; moved; {
		moved = false
		for i := len(f.Body) - 1; i >= 0 && !moved; i-- {
			if s := f.Body[i]; s.Op.Name == "gather_rows" && s.Args[0].Value != nil && s.Args[1].Value != nil {
				moved = l.move(f, s)
			}
		}
	}
}

// move takes one gather past the statement that makes its operand.
func (l *liveRowser) move(f *ir.Func, g *ir.Stmt) bool {
	d, rows := g.Args[0].Value.Def, g.Args[1].Value
	if d == nil || rows.Def != nil && f.IndexOf(rows.Def) > f.IndexOf(d) {
		return false
	}
	gathers := onlyGathers(f, d, g.Args[1])
	if gathers == nil {
		return false // somebody needs the other rows
	}
	if d.Callee != nil {
		return len(gathers) == 1 && l.peel(f, g, d)
	}
	if d.Op.Rowwise == nil || d.Attrs.Str("trans") == "lhs" || d.Op.AddRows && len(d.Args) == len(d.Op.Args) {
		return false
	}
	// Try the types first: stand-ins for the row-wise operands at the chosen rows.
	args := slices.Clone(d.Args)
	for _, i := range d.Op.Rowwise {
		if args[i].Value == nil {
			return false
		}
		t := args[i].Value.Type
		args[i] = ir.Val(&ir.Value{Type: t.With(0, rows.Type.Shape[0])})
	}
	if d.Op.AddRows {
		args = append(args, g.Args[1])
	}
	if _, err := d.Op.Infer(&ir.Stmt{Op: d.Op, Args: args, Attrs: d.Attrs, Pos: d.Pos}); err != nil || !l.o.spend() {
		return false
	}
	l.n++
	for _, i := range d.Op.Rowwise {
		args[i] = ir.Val(gather(f, d.Args[i].Value, g))
	}
	f.Body[f.IndexOf(d)] = mustStmt(d.Op, d.Results, args, d.Attrs, d)
	dead := map[*ir.Stmt]bool{}
	for _, s := range gathers {
		f.Replace(s.Results[0], s.Args[0].Value)
		dead[s] = true
	}
	f.Remove(dead)
	return true
}

// onlyGathers returns the readers of the results of d when all of them take
// the same rows, else nil.
func onlyGathers(f *ir.Func, d *ir.Stmt, rows ir.Operand) []*ir.Stmt {
	var out []*ir.Stmt
	for _, r := range d.Results {
		for _, s := range readers(f, r) {
			if s == nil || s.Op.Name != "gather_rows" || s.Args[0].Value != r || s.Args[1] != rows {
				return nil
			}
			out = append(out, s)
		}
	}
	return out
}

// gather returns x at the rows that like takes, made as early as they can be; a
// value is gathered once.
func gather(f *ir.Func, x *ir.Value, like *ir.Stmt) *ir.Value {
	at := 0
	for _, v := range []*ir.Value{x, like.Args[1].Value} {
		if v.Def != nil {
			at = max(at, f.IndexOf(v.Def)+1)
		}
	}
	for _, s := range f.Body[at:] {
		if s.Op == like.Op && s.Args[0].Value == x && s.Args[1] == like.Args[1] {
			i := f.IndexOf(s)
			f.Body = slices.Insert(slices.Delete(f.Body, i, i+1), at, s)
			return s.Results[0]
		}
	}
	name := f.Fresh(strings.TrimSuffix(x.Name, ".live") + ".live")
	s, err := ir.NewStmt(like.Op, []string{name}, []ir.Operand{ir.Val(x), like.Args[1]}, nil, like.Pos)
	if err != nil {
		panic(fmt.Sprintf("BUG: live-rows: %v", err))
	}
	f.Body = slices.Insert(f.Body, at, s)
	return s.Results[0]
}

// peel runs the last layer of a repeat in a function that returns the chosen
// rows only.
func (l *liveRowser) peel(f *ir.Func, g, rep *ir.Stmt) bool {
	callee := rep.Callee
	if len(callee.Results) != 1 || len(callee.Keep) > 0 || callee.Results[0].Def == nil || rep.Range.Lo > rep.Range.Hi {
		return false
	}
	if last := l.last[callee]; last != nil && !last.Params[len(last.Params)-1].Type.Equal(g.Args[1].Type()) {
		return false
	}
	if !l.o.spend() {
		return false
	}
	l.n++
	last := l.lastOf(callee, g)
	args := slices.Clone(rep.Args)
	at, hi := f.IndexOf(rep), rep.Range.Hi
	if rep.Range.Lo < hi {
		rep.Range.Hi--
		args[0] = ir.Val(rep.Results[0])
		at++
	} else {
		f.Remove(map[*ir.Stmt]bool{rep: true})
	}
	live := g.Results[0]
	s, err := ir.NewRepeat(last, ir.Range{Lo: hi, Hi: hi}, []string{live.Name}, append(args, g.Args[1]), rep.Pos)
	if err != nil {
		panic(fmt.Sprintf("BUG: live-rows: %v", err))
	}
	live.Def, s.Results[0] = s, live
	f.Body = slices.Insert(f.Body, at, s)
	f.Remove(map[*ir.Stmt]bool{g: true})
	return true
}

// lastOf makes (once) the variant of a layer function that returns chosen rows.
func (l *liveRowser) lastOf(f *ir.Func, g *ir.Stmt) *ir.Func {
	if last := l.last[f]; last != nil {
		return last
	}
	last, _ := f.Clone(freshFunc(l.m, variant(f.Name, "last")))
	b := ir.NewBuilder(last)
	rows := b.Param("rows", g.Args[1].Type())
	out := last.Results[0]
	last.Results[0] = b.Op1(g.Pos, "gather_rows", out.Name+".live", nil, ir.Val(out), ir.Val(rows))
	l.last[f] = last
	insertFunc(l.m, f, last)
	l.sink(last)
	last.Doc = extend(f.Doc, "; the last: after attention, the chosen rows only")
	for _, s := range last.Body {
		if s.Op.AddRows && len(s.Args) == len(s.Op.Args) {
			last.Doc = extend(f.Doc, "; the last: keys and values of all rows, the rest for the chosen rows only")
		}
	}
	return last
}
