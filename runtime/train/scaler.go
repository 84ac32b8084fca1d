package train

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"lorac/runtime/job"
)

// Scaler is a loss scale at work (MindSpore nn/wrap/loss_scale.py,
// DynamicLossScaleUpdateCell; MindFormers r1.3 wrapper/adaptive_loss_scale.py).
// What a resumed run must remember of it is in State.
type Scaler struct {
	job.LossScale
	Scale      float64
	Iter, Last int // number of the next step, from 1; step of the last change
	Updates    int // steps that were no overflow: what the schedule counts

	window       int
	at, up, down int // adaptive: place in windows; changes in a row, modulo 4
	windows      []int
	stuck        int // overflows in a row that no smaller scale can help
}

// NewScaler begins with the scale of the config, 1 where there is none.
func NewScaler(s job.LossScale) *Scaler {
	x := &Scaler{LossScale: s, Scale: single(s.Value), Iter: 1, window: s.Window}
	if x.Scale == 0 {
		x.Scale = 1
	}
	if s.Type == "adaptive" {
		x.windows = adaptiveWindows(s.MinWindow, s.MaxWindow)
		x.at = placeOf(x.windows, s.Window)
		x.window = x.windows[x.at]
	}
	return x
}

// single rounds a scale to f32, as which the original holds it: what is too large
// becomes infinite, and stays so.
func single(x float64) float64 { return float64(float32(x)) }

// Infinite reports whether the scale is: then every step overflows.
func (x *Scaler) Infinite() bool { return math.IsInf(x.Scale, 1) }

// Next counts a step and moves the scale:
//
//	overflow:            scale ← max(scale/factor, 1)
//	window steps without: scale ← scale·factor
func (x *Scaler) Next(overflow bool) {
	before := x.Scale
	if !overflow {
		x.Updates++
		x.stuck = 0
	}
	if x.Type == "dynamic" || x.Type == "adaptive" {
		grow := !overflow && x.Iter-x.Last >= x.window
		switch {
		case overflow:
			x.Scale = math.Max(single(x.Scale/x.Factor), 1)
			x.Last = x.Iter
		case grow:
			x.Scale = single(x.Scale * x.Factor)
			x.Last = x.Iter
		}
		if x.Type == "adaptive" {
			x.adapt(overflow, grow)
		}
	}
	if overflow && x.Scale == before && x.Scale == 1 {
		x.stuck++
	}
	x.Iter++
}

// adapt moves the window: three increases in a row take the next larger one,
// three overflows in a row the smallest, one step.
func (x *Scaler) adapt(overflow, grew bool) {
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

// maxStuck is how many steps in a row may overflow without a scale: then the model
// itself is broken.
const maxStuck = 3

// Stuck reports whether no scale helps: too many overflows in a row that a
// smaller scale could not follow.
func (x *Scaler) Stuck() bool { return x.stuck >= maxStuck }

// State is everything but the constants, as text for a checkpoint.
func (x *Scaler) State() string {
	return fmt.Sprintf("%v %d %d %d %d %d %d %d %d", x.Scale, x.Iter, x.Last, x.Updates, x.window, x.at, x.up, x.down, x.stuck)
}

// Restore reads what State wrote.
func (x *Scaler) Restore(text string) error {
	parts := strings.Fields(text)
	into := []*int{&x.Iter, &x.Last, &x.Updates, &x.window, &x.at, &x.up, &x.down, &x.stuck}
	if len(parts) != len(into)+1 {
		return fmt.Errorf("its loss scale %q has %d numbers, not %d", text, len(parts), len(into)+1)
	}
	scale, err := strconv.ParseFloat(parts[0], 64)
	if err != nil || !(scale > 0) {
		return fmt.Errorf("its loss scale is %q", parts[0])
	}
	values := make([]int, len(into))
	for i := range into {
		if values[i], err = strconv.Atoi(parts[i+1]); err != nil {
			return fmt.Errorf("its loss scale %q is no list of numbers", text)
		}
	}
	if at := values[4]; at < -1 || at >= max(1, len(x.windows)) {
		return fmt.Errorf("its loss scale names window %d", at)
	}
	x.Scale = scale
	for i, v := range values {
		*into[i] = v
	}
	return nil
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

// placeOf is the index of a window in the list, 0 if it is not there.
func placeOf(list []int, window int) int { return max(0, slices.Index(list, window)) }
