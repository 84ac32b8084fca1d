package rt

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"lorac/kernels"
)

// LossScale says what the loss is multiplied by before its gradients are
// computed, and how that changes (MindSpore nn/wrap/loss_scale.py,
// DynamicLossScaleUpdateCell; MindFormers r1.3 wrapper/adaptive_loss_scale.py).
type LossScale struct {
	Type                         string // static (or ""), dynamic, adaptive
	Value                        float64
	Factor                       float64
	Window, MinWindow, MaxWindow int
}

// scaler is a loss scale at work. Its fields are what a run must remember.
type scaler struct {
	LossScale
	scale        float64
	iter, last   int // number of the next step, from 1; step of the last change
	updates      int // steps that were no overflow: what the schedule counts
	window       int
	at, up, down int // adaptive: place in windows; changes in a row, modulo 4
	windows      []int
	stuck        int // overflows in a row that no smaller scale can help
}

func newScaler(s LossScale) *scaler {
	x := &scaler{LossScale: s, scale: s.Value, iter: 1, window: s.Window}
	if x.scale == 0 {
		x.scale = 1
	}
	if s.Type == "adaptive" {
		x.windows = adaptiveWindows(s.MinWindow, s.MaxWindow)
		x.at = placeOf(x.windows, s.Window)
		x.window = x.windows[x.at]
	}
	return x
}

// next takes notice of a step and moves the scale:
//
//	overflow:            scale ← max(scale/factor, 1)
//	window steps without: scale ← scale·factor
func (x *scaler) next(overflow bool) {
	before := x.scale
	if !overflow {
		x.updates++
		x.stuck = 0
	}
	if x.Type == "dynamic" || x.Type == "adaptive" {
		grow := !overflow && x.iter-x.last >= x.window
		switch {
		case overflow:
			x.scale = math.Max(x.scale/x.Factor, 1)
			x.last = x.iter
		case grow:
			x.scale *= x.Factor
			x.last = x.iter
		}
		if x.Type == "adaptive" {
			x.adapt(overflow, grow)
		}
	}
	if overflow && x.scale == before {
		x.stuck++
	}
	x.iter++
}

// adapt moves the window: three increases in a row take the next larger one,
// three overflows in a row the smallest, one step.
func (x *scaler) adapt(overflow, grew bool) {
	if grew {
		x.up, x.down = (x.up+1)%4, 0
	}
	if x.up == 3 && x.at != len(x.windows)-1 {
		x.at++
		x.up = 0
		x.window = x.windows[x.at]
	}
	if overflow {
		x.down = (x.down + 1) % 4
		if x.down == 3 && x.at > 0 {
			x.window, x.at = 1, -1
			x.up, x.down = 0, 0
		}
	}
}

// state is everything but the constants, as text for a checkpoint.
func (x *scaler) state() string {
	return fmt.Sprintf("%v %d %d %d %d %d %d %d %d", x.scale, x.iter, x.last, x.updates, x.window, x.at, x.up, x.down, x.stuck)
}

// restore reads what state wrote.
func (x *scaler) restore(text string) error {
	parts := strings.Fields(text)
	into := []*int{&x.iter, &x.last, &x.updates, &x.window, &x.at, &x.up, &x.down, &x.stuck}
	if len(parts) != len(into)+1 {
		return fmt.Errorf("its loss scale %q has %d numbers, not %d", text, len(parts), len(into)+1)
	}
	scale, err := strconv.ParseFloat(parts[0], 64)
	if err != nil || !(scale > 0) || math.IsInf(scale, 0) {
		return fmt.Errorf("its loss scale is %q", parts[0])
	}
	values := make([]int, len(into))
	for i := range into {
		if values[i], err = strconv.Atoi(parts[i+1]); err != nil {
			return fmt.Errorf("its loss scale %q is no row of numbers", text)
		}
	}
	if at := values[4]; at < -1 || at >= max(1, len(x.windows)) {
		return fmt.Errorf("its loss scale names window %d", at)
	}
	x.scale = scale
	for i, v := range values {
		*into[i] = v
	}
	return nil
}

// Ready ends the gradients of a step: false when one of them is not finite;
// then the optimizer must not run, and the schedule does not advance.
func (r *Run) Ready() bool {
	grads := r.gradients()
	r.overflow = !finite(r.k.Norm(grads...))
	if r.overflow {
		r.k.Clear(grads...)
		return false
	}
	if s := r.scaler.scale; s != 1 {
		by := float32(1 / s)
		for _, g := range grads {
			m := kernels.MatOf(g, 1, len(g))
			r.k.Scale(m, m, by)
		}
	}
	r.reached()
	return true
}

func (r *Run) gradients() (out [][]float32) {
	for _, s := range r.load.params {
		if s.grad != nil {
			out = append(out, s.grad.Data)
		}
	}
	return out
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// maxStuck is how many steps in a row may overflow when the scale cannot fall
// any more: then the model itself is broken.
const maxStuck = 3

// overflowed says that a step was skipped and ends a run that cannot recover.
func (r *Run) overflowed(loss, scale float64) {
	if r.job.CheckNaN || r.scaler.stuck >= maxStuck {
		if r.scaler.updates == 0 && !finite(loss) {
			r.fail(3, "step %d: the loss is %v before anything was trained: numbers of the base weights are not finite, or far too large\n  = help: lorac convert quantize names the tensor that has such numbers", r.step, loss)
		}
		r.fail(3, "step %d: the gradients are not finite, the loss is %v, at loss scale %v; training has diverged\n  = help: lower the learning rate; checkpoints up to step %d are good", r.step, loss, scale, r.lastSaved())
	}
	r.say("step %d: gradients are not finite at loss scale %v: the step is skipped, the scale is now %v", r.step, scale, r.scaler.scale)
}

// adaptiveWindows lists the windows of the adaptive scale, smallest first:
// halved down to hundreds, then 50, then in steps of half the smallest.
func adaptiveWindows(least, most int) []int {
	const interval = 100
	list := []int{most}
	for w := float64(most); w > float64(least); {
		switch {
		case w > interval:
			w = float64(int(w/2/interval) * interval)
		case w == interval:
			w /= 2
		default:
			w -= float64(least) / 2
		}
		list = append([]int{int(w)}, list...)
	}
	return list
}

// placeOf is where a window stands in the list, 0 if it is not there.
func placeOf(list []int, window int) int { return max(0, slices.Index(list, window)) }
