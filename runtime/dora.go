package rt

import (
	"slices"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// DoRA (Liu et al. 2024): the rows of an adapted matrix have magnitudes, which start as
// the norms of the rows of W + scale·B·A (peft/tuners/lora/dora.py).

func isMagnitudes(name string) bool {
	_, f, ok := naming.SplitLoRA(name, naming.SchemeMindFormers)
	return ok && f == naming.Magnitudes
}

// eachMagnitudes visits the magnitudes of all linears.
func (l *Loader) eachMagnitudes(visit func(linear string, m []float32) error) error {
	if !l.job.LoRA.DoRA {
		return nil
	}
	for _, s := range slices.Concat(l.params, l.fixed) {
		for i, name := range s.Names {
			if linear, _, _ := naming.SplitLoRA(name, naming.SchemeMindFormers); isMagnitudes(name) {
				if err := visit(linear, s.Vec(i)); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// startMagnitudes computes the magnitudes that were not loaded.
func (l *Loader) startMagnitudes() error {
	n := 0
	err := l.eachMagnitudes(func(linear string, m []float32) error {
		name := naming.LoRAName(linear, naming.Magnitudes, naming.SchemeMindFormers)
		if l.begun || l.used[name] || l.used[naming.HF(name)] {
			return nil
		}
		n++
		return l.norms(linear, m)
	})
	if n > 0 {
		l.say("use_dora: the magnitudes start as the norms of the rows of %s", human.Count(n, "linear"))
	}
	return err
}

// norms computes the norms of the rows of an adapted matrix.
func (l *Loader) norms(linear string, n []float32) error {
	w, release := l.weightOf(linear + ".weight")
	a := l.factor(naming.LoRAName(linear, naming.FactorA, naming.SchemeMindFormers))
	b := l.factor(naming.LoRAName(linear, naming.FactorB, naming.SchemeMindFormers))
	if w.Rows == 0 || a == nil || b == nil {
		return exit.Failedf("BUG: rt: no weights to measure the rows of %s with", linear)
	}
	l.k.RowNorms(n, w, *a, *b, float32(l.scaleOf(linear+".mindpet_delta_lora_a")))
	release()
	return nil
}

// weightOf is a matrix of the base, and what gives its pages back.
func (l *Loader) weightOf(name string) (kernels.Weight, func()) {
	for _, b := range l.base {
		if b.name == name {
			return b.w, func() { mmap.Release(b.w.Stored()) }
		}
	}
	if w := l.factor(name); w != nil {
		return w.Weight(), func() {}
	}
	return kernels.Weight{}, nil
}

// fitsDoRA refuses an adapter with magnitudes for a config without, and the reverse.
func (l *Loader) fitsDoRA(path string, a *peft.Adapter) error {
	switch {
	case a.Config.DoRA && !l.job.LoRA.DoRA:
		return exit.Inputf("the adapter %s has magnitudes (lora_magnitude_vector), which `use_dora` of the config does not ask for\n  = help: set use_dora: True in pet_config", path)
	case !a.Config.DoRA && l.job.LoRA.DoRA:
		return exit.Inputf("the adapter %s has no magnitudes (lora_magnitude_vector), and the config says use_dora: True\n  = help: set use_dora: False in pet_config, or give an adapter of DoRA", path)
	}
	return nil
}

// ofBase is the magnitudes of a linear, and the norms of the base's own rows.
type ofBase struct{ now, norms []float32 }

// magnitudesOfBase are the magnitudes by which the base alone answers, where all factors
// B are zero. It is called when they are.
func (l *Loader) magnitudesOfBase() (all []ofBase) {
	l.eachMagnitudes(func(linear string, m []float32) error {
		n := make([]float32, len(m))
		all = append(all, ofBase{m, n})
		return l.norms(linear, n)
	})
	return all
}
