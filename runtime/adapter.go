package rt

import (
	"errors"
	"slices"
	"strings"

	"lorac/runtime/exit"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// adapted reports whether the base checkpoint holds an adapter.
func (l *Loader) adapted() bool {
	for name := range l.used {
		if _, _, ok := naming.SplitLoRA(name, naming.SchemeMindFormers); ok {
			return true
		}
	}
	return false
}

// loadAdapter replaces the start of the adapter matrices.
func (l *Loader) loadAdapter(path string) error {
	a, err := peft.Load(path)
	if errors.Is(err, peft.ErrNoConfig) {
		l.say("%s has no adapter_config.json beside it: lora_alpha %g of the config is used", path, l.job.LoRA.Alpha)
		a, err = peft.LoadBare(path, l.job.LoRA.Alpha)
	}
	if err != nil {
		return exit.Inputf("cannot load the adapter: %v", err)
	}
	if at := peft.Unfinished(path); at != "" {
		l.say("the adapter %s is of a run that has not ended: %s", path, at)
	}
	scale := 0.0
	if l.job.LoRA.Rank > 0 {
		scale = l.job.LoRA.Alpha / float64(l.job.LoRA.Rank)
	}
	for _, n := range a.Notes() {
		l.say("the adapter %s: %s", path, n)
	}
	for _, m := range a.Missing(l.job.Model.Layers) {
		l.say("warning: the adapter %s: %s", path, m)
	}
	if a.Idle() {
		l.say("warning: all factors B of the adapter %s are zero, so it changes nothing: it is as before training, or was saved without what was trained", path)
	}
	used := map[string]bool{}
	for _, s := range slices.Concat(l.params, l.fixed) {
		for i, name := range s.Names {
			if !strings.Contains(name, "mindpet_delta_lora") {
				continue
			}
			t, its, from, err := a.Find(name)
			if err != nil {
				return exit.Inputf("the adapter %s does not fit the config: %v\n  = help: the config's target_modules must select what the adapter has (exclude_layers leaves layers out); or give the whole adapter", path, err)
			}
			if t.Rows != s.Rows || t.Cols != s.Cols {
				return exit.Inputf("the adapter's %s is %d×%d, the config makes it %d×%d", naming.HF(from[0]), t.Rows, t.Cols, s.Rows, s.Cols)
			}
			for _, n := range from {
				used[n] = true
			}
			copy(s.Mat(i).Data, t.Data)
			if strings.HasSuffix(name, "_b") && its != scale {
				// Keep the adapter's effect where its scale differs from the config's.
				l.k.Scale(s.Mat(i), s.Mat(i), float32(its/scale))
			}
		}
	}
	for name := range a.Tensors {
		if !used[name] {
			return exit.Inputf("the adapter %s adapts %s, the config does not; add it to target_modules", path, naming.HF(name))
		}
	}
	return nil
}
