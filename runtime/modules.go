package rt

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/data/tokenizer"
	"lorac/runtime/exit"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights"
	"lorac/runtime/weights/modeldir"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// Whole modules that train beside an adapter and are saved with it (modules_to_save):
// embedding, head, norms. Their weights are in memory, whether they train or not.

// isSaved reports whether a parameter belongs into an adapter's directory: one of an
// adapter, or the weight of a module that is saved with it.
func (l *Loader) isSaved(name string) bool { return isAdapter(name) || l.isModule(name) }

func (l *Loader) isModule(name string) bool { return naming.Saved(l.job.LoRA.Modules, name) }

// eachModule visits the weights of these modules.
func (l *Loader) eachModule(visit func(name string, s *Stack, i int) error) error {
	for _, s := range slices.Concat(l.params, l.fixed) {
		for i, name := range s.Names {
			if l.isModule(name) {
				if err := visit(name, s, i); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// loadModules takes the modules of an adapter, and refuses those that the config does not
// have, and the reverse.
func (l *Loader) loadModules(path string, a *peft.Adapter) error {
	used := map[string]bool{}
	if l.job.LoRA.Tied { // whose copy this is
		used["lm_head.weight"] = true
	}
	err := l.eachModule(func(name string, s *Stack, i int) error {
		m, ok := a.Modules[name]
		if head, tied := a.Modules["lm_head.weight"]; !ok && l.job.LoRA.Tied && naming.Layer(name) < 0 && tied {
			m, ok = head, true
		}
		if !ok {
			return exit.Inputf("the adapter %s has no %s, and the config says modules_to_save: [%s]\n  = help: take it out of modules_to_save, or give an adapter that was trained with it", path, naming.HF(name), strings.Join(l.job.LoRA.Modules, ", "))
		}
		used[name] = true
		if fmt.Sprint(m.Shape()) != fmt.Sprint(s.shape()) {
			help := ""
			if slices.Contains(naming.Embeddings, name) && m.Cols == s.Cols {
				help = fmt.Sprintf("\n  = help: it was trained with a vocabulary of %d; set vocab_size: %d", m.Rows, m.Rows)
			}
			return exit.Inputf("the adapter's %s has shape %v, the config makes it %v%s", naming.HF(name), m.Shape(), s.shape(), help)
		}
		n := s.Rows * s.Cols
		if err := m.Into(s.Data[i*n : (i+1)*n]); err != nil {
			return exit.Inputf("cannot load the adapter: %v", err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range slices.Sorted(maps.Keys(a.Modules)) {
		if !used[name] {
			return exit.Inputf("the adapter %s has %s as a whole module (modules_to_save), and the config does not\n  = help: set modules_to_save: [%s] in pet_config", path, naming.HF(name), strings.Join(a.Config.Modules, ", "))
		}
	}
	if len(a.Modules) > 0 {
		l.say("the adapter %s: %s (modules_to_save) take the place of the base's", path, strings.Join(a.Config.Modules, ", "))
	}
	return nil
}

// grows reports whether a parameter has rows for entries of the vocabulary that the base
// has not: they train, or are an adapter's.
func (l *Loader) grows(name string, rows, cols int) bool {
	if !l.isModule(name) || !slices.Contains(naming.Embeddings, name) {
		return false
	}
	t, ok := l.find(name)
	return ok && len(t.Shape) == 2 && t.Shape[0] < rows && t.Shape[1] == cols
}

// find is a tensor of the base by its name, of any shape.
func (l *Loader) find(name string) (weights.Tensor, bool) {
	if l.set == nil {
		return weights.Tensor{}, false
	}
	for _, n := range []string{naming.HF(name), name} {
		if t, ok := l.set.Tensor(n); ok {
			return t, true
		}
	}
	return weights.Tensor{}, false
}

// grow copies the rows that the base has; those that are added start as their mean.
func (l *Loader) grow(x []float32, name string, rows, cols int) {
	t, _ := l.find(name)
	n := t.Shape[0]
	l.grown = rows
	if t, ok := l.tensor(name, n, cols); ok {
		l.copyTo(x[:n*cols], l.weight(t, n, cols))
	}
	mean := make([]float64, cols)
	for i := range n {
		for j, v := range x[i*cols : (i+1)*cols] {
			mean[j] += float64(v)
		}
	}
	for i := n; i < rows; i++ {
		for j, sum := range mean {
			x[i*cols+j] = float32(sum / float64(n))
		}
	}
	l.grew = append(l.grew, fmt.Sprintf("%s of the base has %d rows, the vocabulary %d entries: %s from %d on start as the mean of the others", naming.HF(name), n, rows, human.Count(rows-n, "row"), n))
}

// sayGrown says which rows are added, where they start in this run.
func (l *Loader) sayGrown() {
	for _, line := range l.grew {
		l.say("%s", line)
	}
}

// moduleOfBase writes the base's weight of a module to x.
func (l *Loader) moduleOfBase(x []float32, name string, s *Stack) {
	if l.grows(name, s.Rows, s.Cols) {
		l.grow(x, name, s.Rows, s.Cols)
		return
	}
	if t, ok := l.tensor(name, s.shape()...); ok {
		l.copyTo(x, l.weight(t, s.Rows, s.Cols))
	}
}

// added is the tokenizer of a run, and the tokens that the config adds to it.
type added struct {
	path   string // of the tokenizer; "": there is none
	inside bool   // it is part of the base's file
	tokens []tokenizer.Added
}

// save writes the tokenizer of a larger vocabulary beside the adapter: merging takes it
// from there.
func (a *added) save(dir string) error {
	if a.path == "" || a.inside {
		return nil
	}
	from := a.path
	if info, err := os.Stat(from); err == nil && !info.IsDir() {
		from = filepath.Dir(from)
	}
	for _, name := range modeldir.TokenizerFiles(dir) { // of an earlier run
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if name := filepath.Base(a.path); filepath.Ext(name) == ".model" && name != "tokenizer.model" {
		text, err := os.ReadFile(a.path)
		if err == nil {
			err = modeldir.Write(filepath.Join(dir, "tokenizer.model"), text)
		}
		if err != nil {
			return err
		}
	}
	for _, name := range modeldir.TokenizerFiles(from) {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = modeldir.Write(filepath.Join(dir, name), text)
		}
		if err != nil {
			return err
		}
	}
	return tokenizer.Record(dir, a.tokens, modeldir.Write)
}
