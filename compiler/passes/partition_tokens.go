package passes

import (
	"slices"

	"lorac/ir"
)

// Where axis model divides tokens, too (sequence parallelism, Korthikanti et al. 2022),
// what stands between the linears that it cuts, norms and the residual stream, is computed
// of a part of the tokens on each rank: sums become a scatter and a gather of rows.
//
//	%attn = all_reduce %attn.part {axis=model}       %attn = reduce_scatter %attn.part {axis=model, dim=0, to=T/model}
//	%mid, %norm = add_rmsnorm %x, %attn, $n     →    %mid, %norm = add_rmsnorm %x, %attn, $n
//	%h = matmul %norm, $w1                           %norm.all = all_gather %norm {axis=model, dim=0}
//	                                                 %h = matmul %norm.all, $w1
//
// The same bytes are sent, but for what a backward needs of all tokens: that is saved in
// parts, and gathered again. Rows are ragged, so parts differ by one.

// tokenRows is the symbol of the tokens of a micro-batch.
const tokenRows = "T"

// part is the rows of one rank.
func (p *partitioner) part() ir.Dim {
	d, err := ir.Sym(tokenRows).Cut(ir.Model, p.m.Mesh.Axis(ir.Model))
	if err != nil {
		panic("BUG: partition: " + err.Error())
	}
	return d
}

// hasTokens reports whether a tensor is numbers for all tokens, and nothing of it is cut.
func hasTokens(t ir.Type) bool {
	return t.Kept == nil && t.DType.Float() && t.Rank() == 2 && t.Shape[0].Sym == tokenRows && t.Shape[0].By == "" && t.Shape[1].By == ""
}

// fitTokens makes the operands of a statement agree: all with this rank's tokens, where
// the op can have that, else with all tokens. It reports whether they did not. always: with
// all tokens.
func (p *partitioner) fitTokens(f *ir.Func, flow *ir.Flow, s *ir.Stmt, always bool) bool {
	if !p.tokens {
		return false
	}
	var parts, whole, sums []*ir.Value
	try, can := &ir.Placing{S: s, Axis: ir.Model}, !always
	for _, a := range s.Args {
		place := flow.On(a, ir.Model)
		if v := a.Value; v != nil && v.Type.Kept == nil && v.Type.Rank() > 0 && v.Type.Shape[0].Sym == tokenRows {
			switch {
			case v.Type.Shape[0].By != "":
				parts = append(parts, v)
			case place == ir.IsWhole && v.Type.DType.Float():
				whole, place = append(whole, v), ir.CutOn(0)
			case place == ir.IsSum && v.Def != nil && hasTokens(v.Type):
				sums, place = append(sums, v), ir.CutOn(0)
			default:
				can = false
			}
		}
		try.In = append(try.In, place)
	}
	if len(parts) == 0 || s.Op.Wire != nil {
		return false
	}
	if can {
		_, err := s.Op.Place(try)
		can = err == nil
	}
	switch {
	case !can:
		return p.allTokens(f, s, parts...)
	case len(sums) > 0:
		return p.reduce(f, sums[0], ir.Model)
	case len(whole) > 0:
		return p.takeTokens(f, s, whole...)
	}
	return false
}

// allTokens has a statement read all tokens of values of which this rank has a part.
func (p *partitioner) allTokens(f *ir.Func, s *ir.Stmt, list ...*ir.Value) bool {
	for _, v := range list {
		if p.all[v] == nil {
			p.all[v] = p.derive(f, v, ".all", "all_gather", ir.Attrs{"axis": ir.Model, "dim": 0})
		}
		read(s, v, p.all[v])
	}
	return true
}

// takeTokens has a statement read this rank's tokens of values.
func (p *partitioner) takeTokens(f *ir.Func, s *ir.Stmt, list ...*ir.Value) bool {
	for _, v := range list {
		read(s, v, p.ownTokens(f, v))
	}
	return true
}

func (p *partitioner) ownTokens(f *ir.Func, v *ir.Value) *ir.Value {
	if p.own[v] == nil {
		p.own[v] = p.derive(f, v, ".own", "own_rows", ir.Attrs{"axis": ir.Model, "to": p.part()})
	}
	return p.own[v]
}

// derive makes another value of one, after it.
func (p *partitioner) derive(f *ir.Func, v *ir.Value, suffix, op string, attrs ir.Attrs) *ir.Value {
	out := &ir.Value{Name: f.Fresh(v.Name + suffix)}
	at, from := 0, f.Body[0]
	if v.Def != nil {
		at, from = f.IndexOf(v.Def)+1, v.Def
	}
	f.Body = slices.Insert(f.Body, at, mustStmt(ir.Lookup(op), []*ir.Value{out}, []ir.Operand{ir.Val(v)}, attrs, from))
	p.n++
	return out
}

// read has a statement read one value in place of another.
func read(s *ir.Stmt, old, v *ir.Value) {
	s.Args = slices.Clone(s.Args)
	for i, a := range s.Args {
		if a.Value == old {
			s.Args[i] = ir.Val(v)
		}
	}
}

// joinTokens makes one sum of a scatter whose parts are gathered and read nowhere else.
func (p *partitioner) joinTokens(f *ir.Func) {
	if !p.tokens {
		return
	}
	uses := f.Uses()
	for i := 0; i < len(f.Body); i++ {
		gather := f.Body[i]
		if gather.Op.Name != "all_gather" || gather.Attrs.Int("dim") != 0 {
			continue
		}
		v := gather.Args[0].Value
		if v == nil || v.Def == nil || v.Def.Op.Name != "reduce_scatter" || uses[v] != 1 || slices.Contains(f.Keep, v) || slices.Contains(f.Results, v) {
			continue
		}
		scatter := v.Def
		f.Body[f.IndexOf(scatter)] = mustStmt(ir.Lookup("all_reduce"), gather.Results, scatter.Args, ir.Attrs{"axis": ir.Model}, scatter)
		f.Body = slices.Delete(f.Body, i, i+1)
		i--
	}
}
