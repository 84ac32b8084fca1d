package formats

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"lorac/kernels"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// modules are the whole modules of an adapter (modules_to_save), which take the place of
// the base's, by the names of their weights.
func (a *Adapter) modules() map[string]Param {
	out := map[string]Param{}
	if a == nil || a.peft == nil {
		return out
	}
	for name, m := range a.peft.Modules {
		if a.Config.Tied && name == "lm_head.weight" && a.peft.Modules[embedding].Name != "" { // the copy of it
			continue
		}
		out[name] = Param{Name: name, DType: m.DType, Shape: m.Shape(), data: m.Bytes}
	}
	return out
}

const embedding = "model.tok_embeddings.embedding_weight"

// mergeModules puts the whole modules of an adapter in the place of the base's, in their type or
// dtype.
func (s *Source) mergeModules(a *Adapter, dtype string) error {
	all := a.modules()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		m := all[name]
		if s.Model.Tied && (slices.Contains(naming.Embeddings, name) && !a.Config.Tied) {
			return fmt.Errorf("the adapter holds %s of its own, and head and embedding of the base are one (tie_word_embeddings)\n  = help: PEFT writes a base in which they are two: merge_and_unload().save_pretrained(DIR)", naming.HF(name))
		}
		p, ok := s.Param(name)
		if !ok {
			return fmt.Errorf("the adapter holds %s, the base has no such module; is it the adapter of another model?", naming.HF(name))
		}
		grows := slices.Contains(naming.Embeddings, name) && len(m.Shape) == 2 && len(p.Shape) == 2 && m.Shape[1] == p.Shape[1]
		if !slices.Equal(p.Shape, m.Shape) && !grows {
			return fmt.Errorf("%s is %v, the adapter's is %v", naming.HF(name), p.Shape, m.Shape)
		}
		to := p.DType
		switch {
		case dtype != "":
			to = dtype
		case InBlocks(to):
			return fmt.Errorf("%s is stored in blocks (%s), the adapter's is not\n  = help: --dtype f16, bf16 or f32", name, to)
		}
		s.merged[name] = Param{Name: name, DType: to, Shape: m.Shape, data: func() ([]byte, error) {
			x, err := m.floats()
			if err != nil {
				return nil, err
			}
			return Encode(x, to)
		}}
	}
	return s.fitVocabulary()
}

// fitVocabulary takes the number of rows of embedding and head from what was merged.
func (s *Source) fitVocabulary() error {
	e, _ := s.Param(embedding)
	if h, ok := s.Param("lm_head.weight"); ok && !s.Model.Tied && h.Shape[0] != e.Shape[0] {
		return fmt.Errorf("embedding and head of base and adapter have %d and %d rows\n  = help: a vocabulary grows with both of them in modules_to_save", e.Shape[0], h.Shape[0])
	}
	if e.Shape[0] != s.Model.Vocab && s.merged[embedding].Name != "" {
		s.Model.Vocab, s.vocab = e.Shape[0], e.Shape[0]
	}
	return nil
}

// SavedModules counts the whole modules of an adapter.
func (a *Adapter) SavedModules() int { return len(a.modules()) }

// modulesFor refuses a format that has no place for them.
func (a *Adapter) modulesFor(to string) error {
	if a.SavedModules() == 0 || to == "peft" {
		return nil
	}
	return fmt.Errorf("%s has whole modules (modules_to_save), for which %s has no place\n  = help: write it for peft, or merge it: lorac convert merge", a.Path, to)
}

// weightOf is a parameter as the kernels take it, not copied.
func weightOf(p Param) (kernels.Weight, error) {
	if len(p.Shape) != 2 {
		return kernels.Weight{}, errors.New(p.Name + " is no matrix")
	}
	if d, direct := kernels.DTypeNamed(p.DType); direct {
		data, err := p.data()
		if err != nil {
			return kernels.Weight{}, err
		}
		if w, err := kernels.WeightFromBytes(data, d, p.Shape[0], p.Shape[1]); err == nil {
			if p.headDim > 0 {
				w = w.Paired(p.headDim)
			}
			return w, nil
		}
	}
	x, err := p.floats()
	if err != nil {
		return kernels.Weight{}, err
	}
	return kernels.MatOf(x, p.Shape[0], p.Shape[1]).Weight(), nil
}

// moduleEntries are whole modules to be written beside an adapter.
func (a *Adapter) moduleEntries(c *peft.Config) (out []Param) {
	all := a.modules()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		out = append(out, all[name])
		if p := all[name]; c.Tied && name == embedding {
			p.Name = "lm_head.weight"
			out = append(out, p)
		}
	}
	return out
}
