package passes

import (
	"maps"
	"slices"

	"lorac/ir"
)

// The statements that partition adds, and those it writes in another way because
// what they sum over is cut.

// reduce sums a partial value over an axis where it is made. All readers read the
// sum, which keeps its name.
func (p *partitioner) reduce(f *ir.Func, v *ir.Value, axis string) bool {
	attrs := ir.Attrs{"axis": axis}
	if v.Type.On(axis) == ir.IsLSE {
		attrs["of"] = "lse"
	}
	p.n++
	op := ir.Lookup("all_reduce")
	if v.Def == nil { // loaded by a backward function
		sum := &ir.Value{Name: f.Fresh(v.Name + ".sum"), Type: v.Type}
		f.Replace(v, sum)
		f.Body = slices.Insert(f.Body, 0, mustStmt(op, []*ir.Value{sum}, []ir.Operand{ir.Val(v)}, attrs, f.Body[0]))
		return true
	}
	s := v.Def
	part := &ir.Value{Name: f.Fresh(v.Name + ".part"), Type: v.Type, Def: s}
	if p.tokens && axis == ir.Model && attrs["of"] == nil && hasTokens(v.Type) {
		op, attrs = ir.Lookup("reduce_scatter"), attrs.With("dim", 0).With("to", p.part())
	}
	s.Results[slices.Index(s.Results, v)] = part
	at := f.IndexOf(s) + 1
	f.Body = slices.Insert(f.Body, at, mustStmt(op, []*ir.Value{v}, []ir.Operand{ir.Val(part)}, attrs, s))
	return true
}

// results makes what a function returns whole over model: what is carried, and
// what callers get.
func (p *partitioner) results(f *ir.Func) bool {
	for i, v := range f.Results {
		switch place := v.Type.On(ir.Model); {
		case place.How.Partial():
			return p.reduce(f, v, ir.Model)
		case p.tokens && !f.Entry && place == ir.IsWhole && hasTokens(v.Type):
			f.Results[i] = p.ownTokens(f, v)
			return true
		case place.How == ir.Cut && f.Entry:
			part := &ir.Value{Name: f.Fresh(v.Name + ".part"), Type: v.Type, Def: v.Def}
			v.Def.Results[slices.Index(v.Def.Results, v)] = part
			f.Replace(v, part)
			f.Results[i] = v
			at := f.IndexOf(part.Def) + 1
			attrs := ir.Attrs{"axis": ir.Model, "dim": place.Dim}
			f.Body = slices.Insert(f.Body, at, mustStmt(ir.Lookup("all_gather"), []*ir.Value{v}, []ir.Operand{ir.Val(part)}, attrs, part.Def))
			p.n++
			return true
		}
	}
	return false
}

// sumGrads sums the partial gradients that a function reads from statement at on,
// once, before it. It reports whether that statement reads one.
func (p *partitioner) sumGrads(f *ir.Func, flow *ir.Flow, at int, axis string) bool {
	var grads []ir.Operand
	for i, s := range f.Body[at:] {
		for k, a := range s.Args {
			if a.Storage != nil && a.Storage.Kind == ir.Grad && !slices.Contains(s.Op.Written(s), k) && flow.On(a, axis) == ir.IsSum && !s.Op.Clears && !slices.Contains(grads, a) {
				grads = append(grads, a)
			}
		}
		if i == 0 && len(grads) == 0 {
			return false
		}
	}
	op, attrs := "sum_units", ir.Attrs{"axis": axis}
	if ir.OfRows(axis) {
		attrs["order"] = "tree"
	}
	if axis == ir.Optimizer {
		op = "scatter_units"
	} else if flow.On(grads[0], ir.Optimizer) == ir.IsShare {
		attrs["share"] = ir.Optimizer
	}
	f.Body = slices.Insert(f.Body, at, mustStmt(ir.Lookup(op), nil, grads, attrs, f.Body[at]))
	p.n++
	return true
}

// normOfCut makes the norm of gradients of which some are cut:
//
//	%norm = norm $a, $b    →    %norm.model = sum_squares $a : f32[] sum(model)
//	                            %norm.whole = sum_squares $b
//	                            %norm = root %norm.whole, %norm.model
//
// Where each stage has layers of its own and nothing else is cut, the sum has the
// order of one process, and so its bits:
//
//	%norm = norm $a, $b    →    %norm = norm_layers $a, $b {axis=stage}
//
// And where each rank has a share of them:
//
//	%norm = norm $a, $b    →    %norm = norm_shares $a, $b {axis=optimizer}
func (p *partitioner) normOfCut(f *ir.Func) {
	for i := 0; i < len(f.Body); i++ {
		s := f.Body[i]
		if s.Op.Name != "norm" {
			continue
		}
		groups := map[string][]ir.Operand{} // by what they are cut by
		divided := false
		for _, a := range s.Args {
			divided = divided || a.On(ir.Model).How == ir.Cut
			by := ""
			for _, axis := range p.m.Mesh.Axes {
				if a.On(axis.Name).How == ir.Cut {
					by += "." + axis.Name
				}
			}
			groups[by] = append(groups[by], a)
		}
		switch whole := groups[""] != nil && len(groups) == 1; {
		case !divided && p.m.Mesh.Axis(ir.Optimizer) > 1:
			attrs := ir.Attrs{"axis": ir.Optimizer}
			if p.m.Mesh.Axis(ir.Stage) > 1 {
				attrs["layers"] = true
			}
			f.Body[i] = mustStmt(ir.Lookup("norm_shares"), s.Results, s.Args, attrs, s)
			p.n++
			continue
		case whole:
			continue
		case !divided:
			f.Body[i] = mustStmt(ir.Lookup("norm_layers"), s.Results, s.Args, ir.Attrs{"axis": ir.Stage}, s)
			p.n++
			continue
		}
		var body []*ir.Stmt
		var sums []ir.Operand
		for _, by := range slices.Sorted(maps.Keys(groups)) {
			name := s.Results[0].Name + by
			if by == "" {
				name += ".whole"
			}
			v := &ir.Value{Name: f.Fresh(name)}
			body = append(body, mustStmt(ir.Lookup("sum_squares"), []*ir.Value{v}, groups[by], nil, s))
			sums = append(sums, ir.Val(v))
		}
		body = append(body, mustStmt(ir.Lookup("root"), s.Results, sums, nil, s))
		f.Body = slices.Replace(f.Body, i, i+1, body...)
		p.n++
	}
}

// headOfCut takes the loss of logits whose vocabulary is cut in two passes over
// them, between which two numbers a row are summed:
//
//	%loss, %d.x = head_loss %x, $head, %t, %w    →    %loss.lse, %loss.target = head_stats %x, $head, %t : f32[S] lse(model), f32[S] sum(model)
//	                                                  %loss = row_loss %loss.lse, %loss.target, %w
//	                                                  %d.x = head_grad %x, $head, %t, %w, %loss.lse
func (p *partitioner) headOfCut(f *ir.Func) {
	for i := 0; i < len(f.Body); i++ {
		s := f.Body[i]
		if s.Op.Name != "head_loss" || s.Args[1].On(ir.Model) != ir.CutOn(0) {
			continue
		}
		loss := s.Results[0]
		lse := &ir.Value{Name: f.Fresh(loss.Name + ".lse")}
		target := &ir.Value{Name: f.Fresh(loss.Name + ".target")}
		body := []*ir.Stmt{
			mustStmt(ir.Lookup("head_stats"), []*ir.Value{lse, target}, s.Args[:3:3], nil, s),
			mustStmt(ir.Lookup("row_loss"), []*ir.Value{loss}, []ir.Operand{ir.Val(lse), ir.Val(target), s.Args[3]}, nil, s),
		}
		if len(s.Results) > 1 || len(s.Args) > 4 {
			args := append(s.Args[:4:4], ir.Val(lse))
			args = append(args, s.Args[4:]...)
			var attrs ir.Attrs
			if len(s.Results) == 1 {
				attrs = ir.Attrs{"dx": false}
			}
			body = append(body, mustStmt(ir.Lookup("head_grad"), s.Results[1:], args, attrs, s))
		}
		f.Body = slices.Replace(f.Body, i, i+1, body...)
		p.n++
	}
}
