package rt

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/infer"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/naming"
)

// Numbers that are not finite make every loss NaN. Nothing is searched for them as
// long as losses are finite; then the tensor that holds one is named.

// maxF16 is the largest number that a device which multiplies in f16 can hold.
const maxF16 = 65504

// badFrozen names the first tensor of the base that holds a number which is not
// finite, or one too large for the device's type; "" if none does. It reads all of
// the base.
func (l *Loader) badFrozen() string {
	limit := float32(math.MaxFloat32)
	if l.job.DeviceType == "f16" {
		limit = maxF16
	}
	for _, b := range l.base {
		w := b.w
		if w.Rows == 0 || w.Cols == 0 {
			continue
		}
		row, x := l.badRow(w, limit)
		mmap.Release(w.Stored())
		if row < 0 {
			continue
		}
		what := fmt.Sprint(x)
		if finite(float64(x)) {
			what = fmt.Sprintf("%v, which f16 cannot hold,", x)
		}
		return fmt.Sprintf("%s of %s holds %s in row %d", publicName(b.name), l.path, what, row)
	}
	return ""
}

// badRow is the first row with a number that is not finite or above the limit, and
// that number; -1 if there is none.
func (l *Loader) badRow(w kernels.Weight, limit float32) (row int, x float32) {
	const block = 16
	var mu sync.Mutex
	row = -1
	l.k.Parallel((w.Rows+block-1)/block, func(_, t int) {
		buf := make([]float32, w.Cols)
		for i := t * block; i < min((t+1)*block, w.Rows); i++ {
			w.Row(buf, i)
			if at := badAt(buf, limit); at >= 0 {
				mu.Lock()
				if row < 0 || i < row {
					row, x = i, buf[at]
				}
				mu.Unlock()
				return
			}
		}
	})
	return row, x
}

// badAt is the index of the first number that is not finite, or above the limit; -1
// if there is none.
func badAt(x []float32, limit float32) int {
	return slices.IndexFunc(x, func(v float32) bool { return !(v <= limit && v >= -limit) })
}

// badTrained names the first parameter, adapter matrix or optimizer state that holds
// a number which is not finite; "" if none does.
func (l *Loader) badTrained() string {
	for _, s := range slices.Concat(l.params, l.fixed) {
		if at := badAt(s.Data, math.MaxFloat32); at >= 0 {
			return fmt.Sprintf("%s holds %v", publicName(s.Names[min(at/max(s.Rows*s.Cols, 1), len(s.Names)-1)]), s.Data[at])
		}
	}
	for key, s := range l.states {
		x := s.Data
		if s.shared != nil {
			x = s.shared.Own()
		}
		if at := badAt(x, math.MaxFloat32); at >= 0 {
			return fmt.Sprintf("the optimizer's state %s holds %v", key, x[at])
		}
	}
	return ""
}

// publicName is the name of a parameter as the user knows it from the file.
func publicName(name string) string {
	if hf := naming.HF(name); hf != "" && !strings.Contains(name, "mindpet_delta_lora") {
		return hf
	}
	return name
}

// checkFinite refuses parameters that are not finite after a step: they are never
// written as a checkpoint, nor as an adapter. good is the last checkpoint's step.
func (l *Loader) checkFinite(step, good int) error {
	bad := l.badTrained()
	if bad == "" {
		return nil
	}
	return exit.Failedf("after step %d, %s; training has diverged, and neither checkpoint nor adapter is written\n  = help: lower the learning rate; %s", step, bad, finiteUpTo(good))
}

// goodUpTo says which checkpoints a run that fails can go back to.
func goodUpTo(step int) string {
	if step == 0 {
		return "there is no checkpoint before"
	}
	return fmt.Sprintf("checkpoints up to step %d are good", step)
}

// finiteUpTo is goodUpTo for a run that diverged, which it may have done some steps before.
func finiteUpTo(step int) string {
	if step == 0 {
		return goodUpTo(0)
	}
	return fmt.Sprintf("checkpoints up to step %d hold finite numbers: take one from before the loss rose", step)
}

// checkStart refuses adapters and resumed parameters that are not finite, as they were read.
func (l *Loader) checkStart(from string) error {
	if bad := l.badTrained(); bad != "" {
		return exit.Inputf("%s: %s, which nothing can be computed with\n  = help: it was saved by a run that diverged; take an earlier one", from, bad)
	}
	return nil
}

// lossFault is the error of the loss of a step that is not finite, where a tensor is the
// cause; nil where none is. The base is searched once.
func (l *Loop) lossFault(step int, loss float64) error {
	w := l.weights
	w.pull(false)
	if bad := w.badTrained(); bad != "" {
		return exit.Failedf("step %d: the loss is %v: %s\n  = help: lower the learning rate; %s", step, loss, bad, finiteUpTo(l.ckpt.last()))
	}
	if l.scanned {
		return nil
	}
	l.scanned = true
	if bad := w.badFrozen(); bad != "" {
		return baseFault(fmt.Sprintf("step %d: the loss is %v", step, loss), bad)
	}
	return nil
}

// evalFault is the error of an evaluation during training whose loss is not finite, where a
// tensor is the cause; where none is, that is said once.
func (l *Loop) evalFault(e *infer.Evaluation) error {
	if !e.HasLoss || finite(e.Loss) {
		return nil
	}
	seen := fmt.Sprintf("the loss of the evaluation is %v", e.Loss)
	w := l.weights
	w.pull(false)
	if bad := w.badTrained(); bad != "" {
		return exit.Failedf("%s: %s\n  = help: lower the learning rate; %s", seen, bad, finiteUpTo(l.ckpt.last()))
	}
	if l.scanned {
		return nil
	}
	l.scanned = true
	if bad := w.badFrozen(); bad != "" {
		return baseFault(seen, bad)
	}
	l.out.Say("warning: %s, though all weights are finite: numbers became too large while they were computed; the largest weight is %s", seen, w.largest())
	return nil
}

// baseFault is the error of a base that is not finite.
func baseFault(seen, bad string) error {
	return exit.Inputf("%s: %s\n  = help: the base weights are damaged or were saved by a run that diverged; get them again", seen, bad)
}

// checkEvaluated refuses the loss of an evaluation that is not finite, and names the
// tensor that is the cause.
func (r *Run) checkEvaluated(loss float64) error {
	if finite(loss) {
		return nil
	}
	return r.Loader.notFinite(fmt.Sprintf("the loss of the evaluation is %v", loss))
}

// notFinite is the error of what a model computed that is not finite.
func (l *Loader) notFinite(seen string) error {
	if bad := l.badTrained(); bad != "" {
		return exit.Inputf("%s: %s", seen, bad)
	}
	if bad := l.badFrozen(); bad != "" {
		return baseFault(seen, bad)
	}
	return exit.Failedf("%s, though all weights are finite: numbers became too large while they were computed; the largest weight is %s", seen, l.largest())
}

// largest names the tensor with the number of largest size, of the base and of what
// trains. It reads all of the base.
func (l *Loader) largest() string {
	var name string
	var most float32
	for _, b := range l.base {
		if b.w.Rows == 0 || b.w.Cols == 0 {
			continue
		}
		if x := l.largestOf(b.w); name == "" || abs(x) > abs(most) {
			name, most = fmt.Sprintf("%s of %s", publicName(b.name), l.path), x
		}
		mmap.Release(b.w.Stored())
	}
	for _, s := range slices.Concat(l.params, l.fixed) {
		for i, x := range s.Data {
			if name == "" || abs(x) > abs(most) {
				name, most = publicName(s.Names[min(i/max(s.Rows*s.Cols, 1), len(s.Names)-1)]), x
			}
		}
	}
	return fmt.Sprintf("%s, which holds %v", name, most)
}

// largestOf is the number of a weight that is largest in size.
func (l *Loader) largestOf(w kernels.Weight) (most float32) {
	const block = 16
	var mu sync.Mutex
	l.k.Parallel((w.Rows+block-1)/block, func(_, t int) {
		buf := make([]float32, w.Cols)
		var here float32
		for i := t * block; i < min((t+1)*block, w.Rows); i++ {
			w.Row(buf, i)
			for _, x := range buf {
				if abs(x) > abs(here) {
					here = x
				}
			}
		}
		mu.Lock()
		defer mu.Unlock()
		if abs(here) > abs(most) || abs(here) == abs(most) && here > most {
			most = here
		}
	})
	return most
}

func abs(x float32) float32 { return max(x, -x) }
