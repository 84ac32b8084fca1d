package passes

import (
	"fmt"
	"slices"

	"lorac/ir"
)

// Misplaced is the first result of a function that is not where it can be: not
// aligned, further away than all values of its region reach, or upon another value
// that is needed at the same moment. It knows nothing of how places are chosen, so it
// judges those of a dump and of plan-memory alike.
func Misplaced(m *ir.Module, f *ir.Func) (*ir.Value, error) {
	env := m.MaxEnv()
	up := func(n int) int { return (n + m.Align() - 1) / m.Align() * m.Align() }
	lives, order := livesOf(f)
	reach := map[string]int{}
	for _, r := range order {
		reach[r.Place.Region] += up(r.Type.Bytes(env))
	}
	for i, a := range order {
		size := a.Type.Bytes(env)
		switch at := a.Place.Offset; {
		case at < 0 || at%m.Align() != 0:
			return a, fmt.Errorf("%s is at %s+%d: places are multiples of %d", a, a.Place.Region, at, m.Align())
		case a.Place.Region != "hand" && at+size > reach[a.Place.Region]:
			return a, fmt.Errorf("%s is at %s+%d, beyond the %d bytes of all that %s has there", a, a.Place.Region, at, reach[a.Place.Region], f.Name)
		}
		for _, b := range order[:i] {
			la, lb := lives[a], lives[b]
			apart := la.to < lb.from || lb.to < la.from || a.Place.Region != b.Place.Region
			disjoint := a.Place.Offset+size <= b.Place.Offset || b.Place.Offset+b.Type.Bytes(env) <= a.Place.Offset
			if a.Place.Region != "frame" && a.Place.Region == b.Place.Region {
				apart = false // the whole record is needed later
			}
			if apart || disjoint || inPlacePair(b, a, lb.to, la.from) {
				continue
			}
			return a, fmt.Errorf("%s at %s+%d and %s at %s+%d are needed at once, and share bytes", b, b.Place.Region, b.Place.Offset, a, a.Place.Region, a.Place.Offset)
		}
	}
	return nil, nil
}

// life is when a value is needed: moment 2i is before statement i, 2i+1 while it runs.
type life struct{ from, to int }

// livesOf are the lives of the results of a function that have a place, in order.
func livesOf(f *ir.Func) (lives map[*ir.Value]life, order []*ir.Value) {
	lives = map[*ir.Value]life{}
	uses := f.Uses()
	for i, s := range f.Body {
		for _, r := range s.Results {
			if r.Place != nil {
				lives[r] = life{2*i + 1, 2*i + 1}
				order = append(order, r)
			}
		}
		for k, a := range s.Args {
			l, ok := lives[a.Value]
			if !ok {
				continue
			}
			l.to = max(l.to, 2*i+1)
			if s.Callee != nil && k == 0 && len(s.Callee.Params) > 0 && len(s.Results) > 0 && slices.Contains(s.Callee.Keep, s.Callee.Params[0]) && uses[s.Results[len(s.Results)-1]] > 0 {
				l.to = 2*len(f.Body) + 1 // the first layer keeps it as it is
			}
			lives[a.Value] = l
		}
	}
	for _, r := range append(append([]*ir.Value(nil), f.Results...), f.Keep...) {
		if l, ok := lives[r]; ok {
			l.to = 2*len(f.Body) + 1
			lives[r] = l
		}
	}
	return lives, order
}

// inPlacePair reports whether the op that makes result may write it over
// operand, which dies there.
func inPlacePair(operand, result *ir.Value, dies, made int) bool {
	s := result.Def
	if dies != made || operand.Place.Offset != result.Place.Offset || operand.Place.Region != "frame" {
		return false
	}
	for _, p := range s.Op.InPlace {
		if p[0] < len(s.Results) && s.Results[p[0]] == result && p[1] < len(s.Args) && s.Args[p[1]].Value == operand {
			return true
		}
	}
	return false
}
