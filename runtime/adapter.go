package rt

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/exit"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// adapted reports whether the base checkpoint holds an adapter.
func (l *Loader) adapted() bool { return l.factors() > 0 }

// factors counts the matrices of an adapter that were taken from the base checkpoint.
func (l *Loader) factors() (n int) {
	for name := range l.used {
		if mf := naming.MindFormers(name); mf != "" {
			name = mf
		}
		if _, _, ok := naming.SplitLoRA(name, naming.SchemeMindFormers); ok {
			n++
		}
	}
	return n
}

// sayAdapted says that an adapter in the base checkpoint is where the adapter starts, and
// which scale it has: tensors say none. An adapter_config.json beside them must say the
// same.
func (l *Loader) sayAdapted() error {
	n, rank := l.factors(), l.job.LoRA.Rank
	if n == 0 || rank == 0 || l.resume != "" {
		return nil
	}
	all := 0
	for _, s := range slices.Concat(l.params, l.fixed) {
		for _, name := range s.Names {
			if isFactor(name) {
				all++
			}
		}
	}
	dir := l.path
	if info, err := os.Stat(dir); err == nil && !info.IsDir() {
		dir = filepath.Dir(dir)
	}
	scale := l.job.LoRA.Scale()
	beside, err := peft.Uniform(dir)
	if err != nil {
		return exit.Inputf("the base weights hold an adapter, and what is beside them says of it: %v\n  = help: correct or remove that file", err)
	}
	from := "no adapter_config.json beside it says its scale, so"
	if beside != nil {
		from = "as its adapter_config.json says:"
		if its := beside.Alpha / float64(beside.Rank); math.Abs(its-scale) > 1e-6*math.Abs(its) || beside.Rank != rank {
			return exit.Inputf("the base weights hold an adapter, which adapter_config.json in %s scales by %.6g (rank %d), and the config by %.6g (lora_alpha %g, lora_rank %d in %s)\n  = help: set lora_alpha: %g, lora_rank: %d; or remove adapter_config.json, where the config is right",
				dir, its, beside.Rank, scale, l.job.LoRA.Alpha, rank, l.job.Source, beside.Alpha, beside.Rank)
		}
	}
	l.say("base weights: %s holds an adapter, %d of the %d matrices that the config adapts: the adapter starts from it; %s lora_alpha %g / lora_rank %d of %s, which is %.6g",
		l.path, n, all, from, l.job.LoRA.Alpha, rank, l.job.Source, scale)
	return nil
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
	for _, n := range a.Notes() {
		l.say("the adapter %s: %s", path, n)
	}
	if other := peft.OtherBase(a.Config.Base, l.job.LoadCheckpoint); other != "" {
		l.say("the adapter %s: %s", path, other)
	}
	for _, m := range a.Missing(l.job.Model.Layers) {
		l.say("warning: the adapter %s: %s", path, m)
	}
	if a.Idle() {
		l.say("warning: all factors B of the adapter %s are zero, so it changes nothing: it is as before training, or was saved without what was trained", path)
	}
	if err := l.fitsDoRA(path, a); err != nil {
		return err
	}
	if err := l.sayScales(path, a); err != nil {
		return err
	}
	if err := l.sayIgnored(path); err != nil {
		return err
	}
	used := map[string]bool{}
	f, split := &filled{}, 0
	l.begun = true
	for _, s := range slices.Concat(l.params, l.fixed) {
		for i, name := range s.Names {
			if !isFactor(name) {
				continue
			}
			off := l.pairOf(name)
			if a.Lacks(name) {
				if l.job.LoRA.DoRA {
					return exit.Inputf("the adapter %s has none for %s, and magnitudes of the config would train there\n  = help: exclude_layers or layers_to_transform of the config leaves out what it has not", path, linearOf(name))
				}
				clear(s.Mat(i).Data)
				l.fillers.add(name)
				f.lacks(name)
				continue
			}
			t, its, from, err := a.Find(name)
			if err != nil {
				return exit.Inputf("the adapter %s does not fit the config: %v\n  = help: the config's target_modules must select what the adapter has (exclude_layers leaves layers out); or give the whole adapter", path, err)
			}
			var rest peft.Tensor
			if off != nil {
				t, rest = halves(t, s)
				clear(off.Data)
			}
			if wide, ok := padded(t, s.Rows, s.Cols); ok {
				f.pads(name, t)
				t = wide
			}
			if t.Rows != s.Rows || t.Cols != s.Cols {
				help := ""
				if most := a.MostRank(); most > l.job.LoRA.Rank {
					help = fmt.Sprintf("\n  = help: set lora_rank: %d, the greatest rank of the adapter; zeros fill up what has a lower one", most)
				}
				return exit.Inputf("the adapter's %s is %d×%d, the config makes it %d×%d%s", naming.HF(from[0]), t.Rows, t.Cols, s.Rows, s.Cols, help)
			}
			for _, n := range from {
				used[n] = true
			}
			copy(s.Mat(i).Data, t.Data)
			if rest.Data != nil {
				copy(off.Data, rest.Data)
				split++
			}
			if scale := l.scaleOf(name); strings.HasSuffix(name, "_b") && its != scale {
				// Keep the adapter's effect where its scale differs from the config's.
				l.k.Scale(s.Mat(i), s.Mat(i), float32(its/scale))
				if rest.Data != nil {
					l.k.Scale(*off, *off, float32(its/scale))
				}
			}
		}
	}
	if err := l.loadModules(path, a); err != nil {
		return err
	}
	f.say(l.say, path, l.job.LoRA.Rank)
	l.saySplit(path, split)
	for name := range a.Tensors {
		if !used[name] {
			return exit.Inputf("the adapter %s adapts %s, the config does not; add it to target_modules", path, naming.HF(name))
		}
	}
	return nil
}

// scaleOf is what the trainer multiplies B·A by, of which a matrix is one half; 0 where
// it has no adapters.
func (l *Loader) scaleOf(matrix string) float64 {
	if l.job.LoRA.Rank == 0 {
		return 0
	}
	linear, _, _ := naming.SplitLoRA(matrix, naming.SchemeMindFormers)
	return l.job.LoRA.Of(linear).Scale()
}

// sayScales names the winner where an adapter and the config scale B·A in two ways: the
// adapter's effect stays.
func (l *Loader) sayScales(path string, a *peft.Adapter) error {
	differ, first, its, ours := 0, "", 0.0, 0.0
	for _, name := range slices.Sorted(maps.Keys(a.Scale)) {
		if s, scale := a.Scale[name], l.scaleOf(name); math.Abs(s-scale) > 1e-6*math.Abs(s) {
			if differ++; differ == 1 {
				linear, _, _ := naming.SplitLoRA(name, naming.SchemeMindFormers)
				first, its = naming.Module(linear[strings.LastIndexByte(linear, '.')+1:]), s
				ours = scale
				if n := naming.Layer(name); n >= 0 {
					first += fmt.Sprintf(" of layer %d", n)
				}
			}
		}
	}
	if differ == 0 {
		return nil
	}
	if differ > 1 {
		first += fmt.Sprintf(" and %d linears more", differ-1)
	}
	said := fmt.Sprintf("it scales %s by %.6g in its adapter_config.json (lora_alpha, r, use_rslora, alpha_pattern), and the trainer by %.6g (lora_alpha %g, lora_rank %d in %s)",
		first, its, ours, l.job.LoRA.Alpha, l.job.LoRA.Rank, l.job.Source)
	if ours == 0 {
		return exit.Inputf("the adapter %s: %s, which would switch it off\n  = help: set lora_alpha and lora_rank as the adapter has them", path, said)
	}
	l.say("the adapter %s: %s: the adapter counts, its factors B are multiplied to make up for it; what is trained and saved from here on has lora_alpha %g", path, said, l.job.LoRA.Alpha)
	return nil
}
