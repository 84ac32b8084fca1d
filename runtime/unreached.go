package rt

import (
	"strings"

	"lorac/runtime/exit"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/naming"
)

// reach knows which adapter matrices no gradient has reached so far, and whether
// any step has updated something.
type reach struct {
	moved   bool            // a gradient that is not zero was applied, at a rate that is not zero
	still   bool            // one was, at the rate 0
	checked bool            // pending was filled
	pending map[string]bool // factors B without a gradient so far
}

// checkGradients looks, in the first update, for adapters without a gradient. One
// that can never get one ends the run. A batch may be the cause, too: of a row of one
// token attention has no gradient. Such an adapter is looked at in each update until a
// gradient reaches it.
func (l *Loop) checkGradients() error {
	if l.norm > 0 {
		l.reach.moved = l.reach.moved || l.LR() != 0
		l.reach.still = l.reach.still || l.LR() == 0
	}
	if l.scaler.Updates > 0 && len(l.reach.pending) == 0 {
		return nil
	}
	first := !l.reach.checked
	l.reach.checked = true
	for _, s := range l.weights.params {
		if s.grad == nil || strings.HasSuffix(s.Names[0], "_a") {
			continue // the gradient of A is zero as long as B is
		}
		if !first && !l.anyPending(s.Names) {
			continue
		}
		l.weights.dev.Pull(s.grad)
		n := s.Rows * s.Cols
		for i, name := range s.Names {
			if l.weights.fillers[name] {
				continue
			}
			switch none := zeros(s.grad.Data[i*n : (i+1)*n]); {
			case !none:
				delete(l.reach.pending, name)
			case first:
				if why := l.weights.unreachable(name); why != "" {
					return exit.Failedf("no gradient reaches %s in the first step: it would never train, since %s", name, why)
				}
				if l.reach.pending == nil {
					l.reach.pending = map[string]bool{}
				}
				l.reach.pending[name] = true
			}
		}
	}
	return nil
}

func (l *Loop) anyPending(names []string) bool {
	for _, n := range names {
		if l.reach.pending[n] {
			return true
		}
	}
	return false
}

// unreachable says why no gradient will ever reach a factor B, or magnitudes, whatever the
// data: the A of a B is zero, or a frozen matrix between it and the loss is; "" where neither is so.
func (l *Loader) unreachable(factorB string) string {
	linear, which, ok := naming.SplitLoRA(factorB, naming.SchemeMindFormers)
	if !ok {
		return ""
	}
	adapted := map[string]bool{}
	for _, list := range [][]*Stack{l.params, l.fixed} {
		for _, s := range list {
			n := s.Rows * s.Cols
			for i, name := range s.Names {
				if of, factor, ok := naming.SplitLoRA(name, naming.SchemeMindFormers); ok {
					adapted[of+".weight"] = true
					if of == linear && factor == naming.FactorA && which == naming.FactorB {
						l.dev.Pull(s)
						if zeros(s.Data[i*n : (i+1)*n]) {
							return "its factor A is zero, too"
						}
					}
				}
			}
		}
	}
	for _, b := range l.base {
		if adapted[b.name] || !between(b.name, linear) || b.w.Rows == 0 || b.w.Cols == 0 {
			continue
		}
		row, _ := l.badRow(b.w, 0) // the first with a number that is not zero
		mmap.Release(b.w.Stored())
		if row < 0 {
			return publicName(b.name) + " of the base is zero"
		}
	}
	return ""
}

// between reports whether a parameter is in every way of a gradient from the loss to
// the adapter of a linear, or in that of its input.
func between(param, linear string) bool {
	layer := naming.Layer(param)
	if layer < 0 {
		return param == "model.norm_out.weight" || param == "lm_head.weight"
	}
	if layer != naming.Layer(linear) {
		return false
	}
	if strings.Contains(linear, ".attention.") {
		return strings.Contains(param, ".attention")
	}
	return strings.Contains(param, ".feed_forward.") || strings.Contains(param, ".ffn_norm.")
}

// sayUnreached names, at the end, what no gradient reached in any step.
func (l *Loop) sayUnreached() {
	for _, s := range l.weights.params {
		for _, name := range s.Names {
			if l.reach.pending[name] {
				l.out.Say("warning: no gradient reached %s in any step, so it did not train: rows of one token give none to queries and keys", name)
			}
		}
	}
}

// unmoved is the error of a run whose steps updated nothing at all; nil where one did.
func (l *Loop) unmoved() error {
	if !l.begun || l.reach.moved || l.step == l.reach0 {
		return nil
	}
	n := l.step - l.reach0
	if l.scaler.Infinite() {
		l.out.Say("warning: at an infinite loss scale every step is skipped, as in MindFormers: nothing was trained")
		return nil
	}
	if l.reach.still {
		if l.sched.LR != 0 { // a longer run reaches it
			l.out.Say("warning: the learning rate was 0 in all of this run (%s of warm-up): nothing was updated", human.Count(n, "step"))
			l.reach.moved = true // once
			return nil
		}
		return exit.Failedf("none of the %d steps updated anything: the learning rate was 0 in each of them; no adapter or model is written\n  = help: set lr_schedule.learning_rate, or optimizer.learning_rate without a schedule", n)
	}
	if l.scaler.Updates == 0 {
		at := ""
		if large := l.weights.largest(); large != "" {
			at = "\n  = note: the largest weight is " + large
		}
		return exit.Failedf("none of the %d steps updated anything: the gradients were not finite in each of them, at last at loss scale %v; no adapter or model is written\n  = help: a smaller loss scale (runner_wrapper.scale_sense), a smaller lora_alpha or learning rate, or more steps where the scale was still falling%s", n, l.scaler.Scale, at)
	}
	return exit.Failedf("none of the %d steps updated anything: all gradients were zero; no adapter or model is written\n  = help: look at the rows: tokens that are supervised are in ⟦ ⟧ of the first row that is printed, and rows of one token train nothing", n)
}
