package passes

import (
	"strings"

	"lorac/ir"
)

// liveRows computes only the rows somebody supervises: a gather of rows sinks
// upward through row-wise ops until it meets one that mixes rows.
//
//	%l = matmul %x, $head {trans=rhs} : f32[T,V]      %x.live = gather_rows %x, %rows : f32[S,D]
//	%live = gather_rows %l, %rows : f32[S,V]      →   %l = matmul %x.live, $head {trans=rhs} : f32[S,V]
//
// Where it meets a repeat, the last layer becomes a function of its own, in
// which the query, the attention output and the FFN run on the chosen rows,
// keys and values on all.
func liveRows(m *ir.Module, o *Options) int {
	l := &liveRowser{m: m, o: o, last: map[*ir.Func]*ir.Func{}}
	for _, f := range append([]*ir.Func(nil), m.Funcs...) {
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
		cseFunc(f, &Options{})
		for i := len(f.Body) - 1; i >= 0 && !moved; i-- {
			if s := f.Body[i]; s.Op.Name == "gather_rows" && s.Args[0].Value != nil {
				moved = l.move(f, s)
			}
		}
	}
}

// move takes one gather past the statement that makes its operand.
func (l *liveRowser) move(f *ir.Func, g *ir.Stmt) bool {
	y, rows := g.Args[0].Value, g.Args[1].Value
	d := y.Def
	if d == nil {
		return false
	}
	for _, r := range d.Results {
		for _, reader := range readers(f, r) {
			if reader != g {
				return false // somebody needs the other rows, or the other results
			}
		}
	}
	if d.Callee != nil {
		return l.peel(f, g, d)
	}
	if d.Op.Rowwise == nil || d.Attrs.Str("trans") == "lhs" || !l.o.spend() {
		return false
	}
	l.n++
	args := append([]ir.Operand(nil), d.Args...)
	var before []*ir.Stmt
	for _, i := range d.Op.Rowwise {
		x := args[i].Value
		if x == nil {
			continue
		}
		gather := newGather(f, x, rows, g)
		before = append(before, gather)
		args[i] = ir.Val(gather.Results[0])
	}
	if d.Op.AddRows {
		args = append(args, ir.Val(rows))
	}
	at := f.IndexOf(d)
	s := mustStmt(d.Op, d.Results, args, d.Attrs, d)
	f.Body = append(f.Body[:at:at], append(append(before, s), f.Body[at+1:]...)...)
	f.Replace(g.Results[0], y)
	f.Remove(map[*ir.Stmt]bool{g: true})
	return true
}

func newGather(f *ir.Func, x, rows *ir.Value, from *ir.Stmt) *ir.Stmt {
	s, err := ir.NewStmt(from.Op, []string{f.Fresh(strings.TrimSuffix(x.Name, ".live") + ".live")}, []ir.Operand{ir.Val(x), ir.Val(rows)}, nil, from.Pos)
	if err != nil {
		panic(err)
	}
	return s
}

// peel runs the last layer of a repeat in a function that returns the chosen
// rows only.
func (l *liveRowser) peel(f *ir.Func, g, rep *ir.Stmt) bool {
	if len(rep.Callee.Results) != 1 || len(rep.Callee.Keep) > 0 || rep.Range.Lo > rep.Range.Hi || !l.o.spend() {
		return false
	}
	l.n++
	last := l.lastOf(rep.Callee, g)
	b := ir.NewBuilder(f)
	var tail []*ir.Stmt
	b.Into = &tail
	args := append([]ir.Operand(nil), rep.Args...)
	at := f.IndexOf(rep)
	hi := rep.Range.Hi
	if rep.Range.Lo < hi {
		rep.Range.Hi--
		args[0] = ir.Val(rep.Results[0])
		at++
	}
	live := b.Repeat(rep.Pos, last, ir.Range{Lo: hi, Hi: hi}, []string{g.Results[0].Name + ".x"}, append(args, g.Args[1])...)[0]
	body := append([]*ir.Stmt(nil), f.Body[:at]...)
	body = append(body, tail...)
	if rep.Range.Hi < hi {
		body = append(body, f.Body[at:]...)
	} else {
		body = append(body, f.Body[at+1:]...)
	}
	f.Body = body
	name := g.Results[0].Name
	f.Replace(g.Results[0], live)
	f.Remove(map[*ir.Stmt]bool{g: true})
	live.Name = name
	return true
}

// lastOf makes (once) the variant of a layer function that returns chosen rows.
func (l *liveRowser) lastOf(f *ir.Func, g *ir.Stmt) *ir.Func {
	if last := l.last[f]; last != nil {
		return last
	}
	last, _ := f.Clone(variant(f.Name, "last"))
	b := ir.NewBuilder(last)
	rows := b.Param("rows", g.Args[1].Type())
	out := last.Results[0]
	last.Results[0] = b.Op1(g.Pos, "gather_rows", out.Name+".live", nil, ir.Val(out), ir.Val(rows))
	l.last[f] = last
	i := 0
	for l.m.Funcs[i] != f {
		i++
	}
	l.m.Funcs = append(l.m.Funcs[:i+1:i+1], append([]*ir.Func{last}, l.m.Funcs[i+1:]...)...)
	l.sink(last)
	return last
}

// variant names a specialised function: layer.forward → layer.last.forward.
func variant(name, kind string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 {
		return name[:i] + "." + kind + name[i:]
	}
	return name + "." + kind
}
