package op

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"lorac/ir"
)

// Rules of placement: what a rank of one axis of the mesh has of the results of
// a statement, given what it has of the operands.

// letters is the rule of ops whose extents correspond, with a letter for each
// extent, as in an Einstein sum: "tk,nk->tn" is a·bᵀ. Where a letter is cut, it
// is cut in all operands that have it; results have their part of it, or are
// partial where it is summed over. A dot is an extent that must be whole. After
// a plus follows what is added to the storage that is the last operand, if given.
//
// linear lists sets of operands in which, together, the op is linear: where all
// of one set are partial and the others whole, so are the results.
func letters(form string, linear ...[]int) func(p *ir.Placing) ([]ir.Placement, error) {
	from, to, _ := strings.Cut(form, "->")
	in := strings.Split(from, ",")
	results, adds, _ := strings.Cut(to, "+")
	outs := strings.Split(results, ",")
	return func(p *ir.Placing) ([]ir.Placement, error) {
		all := slices.Clone(outs[:min(len(outs), len(p.S.Results))])
		if adds != "" && len(p.S.Args) == len(in) {
			all = append(all, strings.Split(adds, ",")...)
			p = &ir.Placing{S: p.S, Axis: p.Axis, In: p.In[:len(in)-1]}
		}
		out := make([]ir.Placement, len(all))
		if partial := partials(p); len(partial) > 0 {
			if err := isLinear(p, partial, linear); err != nil {
				return nil, err
			}
			for i := range out {
				out[i] = ir.IsSum
			}
			return out, nil
		}
		cut := map[byte]int{} // letter → an operand that is cut there
		for i, place := range p.In {
			if place.How != ir.Cut {
				continue
			}
			l := byte('.')
			if place != ir.ByLayers {
				l = in[min(i, len(in)-1)][place.Dim]
			}
			if l == '.' {
				return nil, fmt.Errorf("`%s` takes all of %s, which is %s", p.S.Op.Name, p.S.Args[i], place)
			}
			cut[l] = i
		}
		if len(cut) > 1 {
			list := slices.Sorted(maps.Values(cut))
			a, b := list[0], list[1]
			return nil, fmt.Errorf("%s is %s, %s is %s", p.S.Args[a], p.In[a], p.S.Args[b], p.In[b])
		}
		for l, by := range cut {
			for i, place := range p.In {
				if at := strings.IndexByte(in[min(i, len(in)-1)], l); at >= 0 && at < p.S.Args[i].Type().Rank() && place != ir.CutOn(at) {
					return nil, fmt.Errorf("%s is %s, %s is %s", p.S.Args[by], p.In[by], p.S.Args[i], place)
				}
			}
		}
		for i, form := range all {
			for l := range cut {
				if at := strings.IndexByte(form, l); at < 0 {
					out[i] = ir.IsSum
				} else if out[i] == ir.IsWhole {
					out[i] = ir.CutOn(at)
				}
			}
			// A letter of the result alone is cut where the type says so.
			if i < len(p.S.Results) && out[i] == ir.IsWhole {
				if own := p.S.Results[i].Type.On(p.Axis); own.How == ir.Cut && !strings.ContainsRune(from, rune(form[own.Dim])) {
					out[i] = own
				}
			}
		}
		return out, nil
	}
}

// partials lists the operands that are partial.
func partials(p *ir.Placing) (out []int) {
	for i, place := range p.In {
		if place.How.Partial() {
			out = append(out, i)
		}
	}
	return out
}

// isLinear checks that the op is linear in the operands that are partial, that
// all others are whole, and that the sum is one of numbers.
func isLinear(p *ir.Placing, partial []int, linear [][]int) error {
	fits := slices.ContainsFunc(linear, func(set []int) bool {
		return slices.Equal(slices.DeleteFunc(slices.Clone(set), func(i int) bool { return i >= len(p.In) }), partial)
	})
	at := partial[0]
	for i, place := range p.In {
		switch {
		case place == ir.IsLSE, !fits && place.How.Partial():
			return fmt.Errorf("%s is partial, and `%s` needs it whole", p.S.Args[i], p.S.Op.Name)
		case place.How == ir.Cut:
			return fmt.Errorf("%s is %s, and %s partial", p.S.Args[i], place, p.S.Args[at])
		}
	}
	return nil
}

// alike is the rule of ops that treat elements one by one: all storages are cut
// in the same way, or whole, and all values whole. Where gradient and states are
// shared, so is the parameter then. It is that of optimizers.
func alike(p *ir.Placing) ([]ir.Placement, error) {
	first := p.In[0]
	if slices.Contains(p.In, ir.IsShare) {
		first = ir.IsShare
	}
	for i, place := range p.In {
		switch a := p.S.Args[i]; {
		case place.How.Partial():
			return nil, fmt.Errorf("%s is partial: nothing summed it before `%s`", a, p.S.Op.Name)
		case i == 0 && first == ir.IsShare && place == ir.IsWhole:
		case a.Storage != nil && first == ir.IsShare && place != first:
			return nil, fmt.Errorf("%s is %s, and others of the step are shared", a, place)
		case a.Storage != nil && place != first, a.Storage == nil && place != ir.IsWhole:
			return nil, fmt.Errorf("%s is %s, %s is %s", a, place, p.S.Args[0], p.In[0])
		}
	}
	out := written(p)
	if first == ir.IsShare {
		out[0] = first
	}
	return out, nil
}

// undivided is the rule of ops that need whole operands, for a reason.
func undivided(why string) func(p *ir.Placing) ([]ir.Placement, error) {
	return func(p *ir.Placing) ([]ir.Placement, error) {
		for i, place := range p.In {
			switch a := p.S.Args[i]; {
			case place.How.Partial():
				return nil, fmt.Errorf("%s is partial: nothing summed it before `%s`", a, p.S.Op.Name)
			case place != ir.IsWhole:
				return nil, fmt.Errorf("%s is %s: %s", a, place, why)
			}
		}
		return append(make([]ir.Placement, len(p.S.Results)), written(p)...), nil
	}
}

// tensors is the rule of optimizers that read whole tensors, each by itself: those of
// other layers may be elsewhere.
func tensors(p *ir.Placing) ([]ir.Placement, error) {
	if len(p.In) > 0 && p.In[0] == ir.ByLayers {
		return alike(p)
	}
	return undivided(wholeTensor)(p)
}

// written is where the storages that a statement writes are before it.
func written(p *ir.Placing) (out []ir.Placement) {
	for _, i := range p.S.Op.Written(p.S) {
		out = append(out, p.In[i])
	}
	return out
}

// placeMatMul is the rule of matmul.
func placeMatMul(p *ir.Placing) ([]ir.Placement, error) {
	form := map[string]string{"rhs": "tk,nk->tn", "lhs": "km,kn->mn", "none": "tk,kn->tn"}[p.S.Attrs.Str("trans")]
	return letters(form, []int{0}, []int{1})(p)
}

// placeAddMatMul is the rule of c + a·b: both terms are where the sum is.
func placeAddMatMul(p *ir.Placing) ([]ir.Placement, error) {
	b := product(p.S)
	b.Results = p.S.Results
	out, err := placeMatMul(&ir.Placing{S: b, Axis: p.Axis, In: p.In[1:]})
	if err == nil && out[0] != p.In[0] {
		err = fmt.Errorf("%s is %s, what is added to it %s", p.S.Args[0], p.In[0], out[0])
	}
	return out, err
}

// placeLoRA is the rule of lora_linear and its gradient. With out the columns of
// y and in those of x:
//
//	x, d by rows    w, a, b whole; all results by rows, da and db partial
//	out cut         w and b by rows, a whole: y, db cut; dx and da partial
//	in cut          w and a by columns, b whole: y and xa partial, dx and da cut; db partial, as xa is
//	x or d partial  everything else whole: results partial
//
// A bias is where y is; where that is partial there can be none, since each rank would add it.
func placeLoRA(p *ir.Placing) ([]ir.Placement, error) {
	g, err := ir.LoRAOf(p.S)
	if err != nil {
		return nil, err
	}
	backward := g.Linears[0].D != ir.None
	mode, err := loraMode(p, g)
	if err != nil {
		return nil, err
	}
	want := make([]ir.Placement, len(p.In)) // of each operand
	var x, y, xa, a, b, w ir.Placement      // of values and gradients alike
	var dx, da, db ir.Placement
	d := ir.IsWhole
	switch mode {
	case "rows":
		x, y, xa, d, dx, da, db = ir.CutOn(0), ir.CutOn(0), ir.CutOn(0), ir.CutOn(0), ir.CutOn(0), ir.IsSum, ir.IsSum
	case "out":
		w, b, y, d, dx, da, db = ir.CutOn(0), ir.CutOn(0), ir.CutOn(1), ir.CutOn(1), ir.IsSum, ir.IsSum, ir.CutOn(0)
	case "in":
		x, w, a, y, xa, dx, da, db = ir.CutOn(1), ir.CutOn(1), ir.CutOn(1), ir.IsSum, ir.IsSum, ir.CutOn(1), ir.CutOn(1), ir.IsSum
	case "partial":
		if backward {
			d, dx, da, db = ir.IsSum, ir.IsSum, ir.IsSum, ir.IsSum
		} else {
			x, y, xa = ir.IsSum, ir.IsSum, ir.IsSum
		}
	}
	set := func(i int, place ir.Placement) {
		if i != ir.None && i < len(want) {
			want[i] = place
		}
	}
	set(g.X, x)
	if g.Seeds != ir.None {
		set(g.Seeds, p.In[g.Seeds])
	}
	out := make([]ir.Placement, len(p.S.Results))
	result := func(i int, place ir.Placement) {
		if i != ir.None && i < len(out) {
			out[i] = place
		}
	}
	result(g.DX, dx)
	bias := ir.IsWhole
	if mode == "out" {
		bias = ir.CutOn(0)
	}
	for _, l := range g.Linears {
		if l.Bias != ir.None && y.How.Partial() {
			return nil, fmt.Errorf("%s would be added by each process, and `%s` is partial", p.S.Args[l.Bias], p.S.Results[l.Y].Name)
		}
		set(l.Bias, bias)
		set(l.W, w)
		set(l.D, d)
		if l.Adapted {
			set(l.A, a)
			set(l.B, b)
			if backward {
				set(l.XA, xa)
			} else {
				result(l.XA, xa)
			}
		}
		if !backward {
			result(l.Y, y)
		} else if l.Kind == "lora" {
			result(l.DA, da)
			result(l.DB, db)
		}
	}
	for i, place := range p.In {
		if place == want[i] {
			continue
		}
		if place.How.Partial() {
			return nil, fmt.Errorf("%s is partial, and `%s` needs it %s here", p.S.Args[i], p.S.Op.Name, want[i])
		}
		return nil, fmt.Errorf("%s is %s where `%s` needs it %s", p.S.Args[i], place, p.S.Op.Name, want[i])
	}
	return out, nil
}

// loraMode is which of the cases a statement is: what its first weights, x and d say.
func loraMode(p *ir.Placing, g *ir.LoRAGroup) (string, error) {
	l := g.Linears[0]
	stream := l.D // whose rows are those of the statement
	if stream == ir.None {
		stream = g.X
	}
	switch w := p.In[l.W]; {
	case w == ir.CutOn(0):
		return "out", nil
	case w == ir.CutOn(1):
		return "in", nil
	case w != ir.IsWhole:
		return "", fmt.Errorf("%s is %s", p.S.Args[l.W], w)
	case p.In[stream] == ir.CutOn(0):
		return "rows", nil
	case p.In[stream] == ir.IsSum:
		return "partial", nil
	}
	return "whole", nil
}

// placeCached is the rule of cached_attention: heads are cut as in attention, and
// caches are each data rank's own.
func placeCached(p *ir.Placing) ([]ir.Placement, error) {
	if ir.OfRows(p.Axis) {
		return []ir.Placement{ir.CutOn(0), ir.CutOn(0), ir.CutOn(0)}, nil
	}
	out, err := letters("th,th,th,t,.h,.h,.,.->th")(p)
	if err != nil {
		return nil, err
	}
	return append(out, written(p)...), nil
}

// placeSplit is the rule of split_cols: columns that are cut are cut in each block.
func placeSplit(p *ir.Placing) ([]ir.Placement, error) {
	if p.In[0] == ir.CutOn(1) {
		for _, w := range p.S.Attrs.List("widths") {
			if d, _ := ir.DimOf(w); d.By != p.Axis {
				return nil, fmt.Errorf("%s is %s, but not each block of it", p.S.Args[0], p.In[0])
			}
		}
	}
	if p.In[0] == ir.IsLSE {
		return nil, fmt.Errorf("%s is partial, and `split_cols` needs it whole", p.S.Args[0])
	}
	out := make([]ir.Placement, len(p.S.Results))
	for i := range out {
		out[i] = p.In[0]
	}
	return out, nil
}

// placeConcat is the rule of concat_cols, the other way round.
func placeConcat(p *ir.Placing) ([]ir.Placement, error) {
	for i, place := range p.In {
		if place != p.In[0] || place == ir.IsLSE {
			return nil, fmt.Errorf("%s is %s, %s is %s", p.S.Args[0], p.In[0], p.S.Args[i], place)
		}
	}
	if width := p.S.Attrs.Dim("width"); p.In[0] == ir.CutOn(1) && width.By != p.Axis {
		return nil, fmt.Errorf("parts are %s, the width is not", p.In[0])
	}
	return p.In[:1], nil
}
