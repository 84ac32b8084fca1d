package passes

import (
	"fmt"
	"slices"

	"lorac/ir"
)

// stages gives each stage an entry function of its own for every one that repeats
// layers. Repeats end where a stage's layers do, and what the next statement needs
// from another stage is sent there:
//
//	entry step                                      entry step.0
//	%x0 = embed %tokens, $embed                     %x0 = embed %tokens, $embed
//	%x, %kept = repeat layer.forward[0..3] %x0  →   %x.1, %kept.1 = repeat layer.forward[0..1] %x0
//	                                                send %x.1 {axis=stage, by=1}
//	                                                entry step.1
//	                                                %x.1 = recv {axis=stage, by=-1, shape=[T, hidden]}
//	                                                %x, %kept = repeat layer.forward[2..3] %x.1
//
// All stages get the rows that a function returns. A number that it returns is zero on
// the stages that do not compute it.
func (p *partitioner) stages() {
	n := p.m.Mesh.Axis(ir.Stage)
	if n == 1 {
		return
	}
	var out []*ir.Func
	for _, f := range p.m.Funcs {
		if !f.Entry || !slices.ContainsFunc(f.Body, func(s *ir.Stmt) bool { return s.Callee != nil }) {
			out = append(out, f)
			continue
		}
		p.cutRepeats(f)
		at := stagesOf(p.m, f)
		for stage := range n {
			out = append(out, p.stage(f, at, stage))
		}
		p.n++
	}
	p.m.Funcs = out
}

// cutRepeats makes several repeats of those that cross stages.
func (p *partitioner) cutRepeats(f *ir.Func) {
	handles := map[*ir.Value][]*ir.Value{} // of what was kept: its pieces
	var body []*ir.Stmt
	for _, s := range f.Body {
		if s.Callee == nil {
			body = append(body, s)
			continue
		}
		pieces := p.pieces(s.Range)
		args := slices.Clone(s.Args)
		for i, r := range pieces {
			var names []string
			last := i == len(pieces)-1
			for _, v := range s.Results {
				names = append(names, v.Name)
			}
			t := mustRepeat(s.Callee, r, names, p.withHandles(args, r, handles), s)
			for k, v := range s.Results {
				switch {
				case k >= len(s.Callee.Results):
					if !last {
						t.Results[k].Name = f.Fresh(fmt.Sprintf("%s.%d", v.Name, i))
					}
					handles[v] = append(handles[v], t.Results[k])
					if last {
						t.Results[k].Name = v.Name
					}
				case last:
					t.Results[k], v.Def = v, t
				default:
					t.Results[k].Name = f.Fresh(fmt.Sprintf("%s.%d", v.Name, i))
					args[k] = ir.Val(t.Results[k])
				}
			}
			body = append(body, t)
		}
	}
	f.Body = body
}

// withHandles replaces the handle of what was kept by the piece that has the layers.
func (p *partitioner) withHandles(args []ir.Operand, r ir.Range, handles map[*ir.Value][]*ir.Value) []ir.Operand {
	out := slices.Clone(args)
	for i, a := range out {
		for _, h := range handles[a.Value] {
			if h.Type.Kept.Range.Contains(r.Lo) {
				out[i] = ir.Val(h)
			}
		}
	}
	return out
}

// pieces are the parts of a range that one stage each has, in order.
func (p *partitioner) pieces(r ir.Range) (out []ir.Range) {
	r.Each(func(layer int) {
		if n := len(out); n > 0 && p.m.StageOf(out[n-1].Lo) == p.m.StageOf(layer) {
			out[n-1].Hi = layer
		} else {
			out = append(out, ir.Range{Lo: layer, Hi: layer})
		}
	})
	return out
}

// anywhere is the stage of what each can compute for itself.
const anywhere = -1

// stagesOf is the stage that runs each statement: that of its layers, or where its
// operands are.
func stagesOf(m *ir.Module, f *ir.Func) map[*ir.Stmt]int {
	at := map[*ir.Stmt]int{}
	for _, s := range f.Body {
		if s.Callee != nil {
			at[s] = m.StageOf(s.Range.Lo)
			continue
		}
		at[s] = anywhere
		for _, a := range s.Args {
			if a.Value != nil && a.Value.Def != nil && at[a.Value.Def] != anywhere {
				at[s] = at[a.Value.Def]
			}
		}
	}
	return at
}

// stage is what one stage does of a function.
func (p *partitioner) stage(f *ir.Func, at map[*ir.Stmt]int, stage int) *ir.Func {
	g, values := f.Clone(freshFunc(p.m, fmt.Sprintf("%s.%d", f.Name, stage)))
	g.Doc = extend(f.Doc, fmt.Sprintf("; stage %d of %d", stage, p.m.Mesh.Axis(ir.Stage)))
	here := func(s *ir.Stmt) bool { return at[s] == anywhere || at[s] == stage }
	sent := map[[2]int]bool{}
	var body []*ir.Stmt
	received := map[*ir.Value]bool{}
	for i, s := range f.Body {
		t := g.Body[i]
		if here(s) {
			for k, a := range s.Args {
				if v := a.Value; v != nil && v.Def != nil && !here(v.Def) && !received[v] {
					received[v] = true
					body = append(body, p.receive(t.Args[k].Value, at[v.Def]-stage, t))
				}
			}
			body = append(body, t)
		}
		if at[s] != stage {
			continue
		}
		for k, v := range s.Results { // to the other stages that read it
			for _, other := range p.readBy(f, v, at) {
				if key := [2]int{stage, other}; other != stage && !sent[key] {
					sent[key] = true
					send, err := ir.NewStmt(ir.Lookup("send"), nil, []ir.Operand{ir.Val(t.Results[k])}, ir.Attrs{"axis": ir.Stage, "by": other - stage}, s.Pos)
					if err != nil {
						panic(fmt.Sprintf("BUG: partition: %v", err))
					}
					body = append(body, send)
				} else if other != stage {
					panic(fmt.Sprintf("BUG: partition: stage %d sends stage %d two values of `%s`", stage, other, f.Name))
				}
			}
		}
	}
	g.Body = body
	for i, v := range f.Results {
		own := values[v]
		switch {
		case here(v.Def):
			continue
		case v.Type.Rank() > 0:
			g.Body = append(g.Body, p.receive(own, at[v.Def]-stage, v.Def))
		default:
			g.Body = append(g.Body, mustStmt(ir.Lookup("zeros"), []*ir.Value{own}, nil, ir.Attrs{"shape": shapeOf(v.Type)}, v.Def))
		}
		g.Results[i] = own
	}
	sweep(g, &Options{})
	return g
}

// receive is the statement by which a value comes from the stage so far away.
func (p *partitioner) receive(v *ir.Value, by int, before *ir.Stmt) *ir.Stmt {
	return mustStmt(ir.Lookup("recv"), []*ir.Value{v}, nil, ir.Attrs{"axis": ir.Stage, "by": by, "shape": shapeOf(v.Type)}, before)
}

func shapeOf(t ir.Type) (out []any) {
	out = []any{}
	for _, d := range t.Shape {
		out = append(out, d.Attr())
	}
	return out
}

// readBy lists the stages that read a value of another one.
func (p *partitioner) readBy(f *ir.Func, v *ir.Value, at map[*ir.Stmt]int) (out []int) {
	if v.Type.Rank() > 0 && slices.Contains(f.Results, v) {
		for stage := range p.m.Mesh.Axis(ir.Stage) {
			out = append(out, stage)
		}
		return out
	}
	for _, s := range f.Body {
		if stage := at[s]; stage != anywhere && readsValue(s, v) && !slices.Contains(out, stage) {
			out = append(out, stage)
		}
	}
	return out
}
