package build

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"lorac/compiler/config"
	"lorac/compiler/model"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/quantise"
)

// storedBase is how a checkpoint that is known at compile time stores the base
// of a graph; names and shapes are checked both ways. A path that does not exist
// here may exist where the trainer runs, so it is left to the trainer; so is a directory
// without weights.
//
// A checkpoint of several ranks is seen as the trainer will transform it.
func storedBase(m *ir.Module, t *Target) (*passes.Base, error) {
	path := t.Weights
	trans, strategy := t.Trans != nil && *t.Trans, t.Layout
	if path == "" {
		return nil, nil
	}
	if _, err := os.Stat(path); err != nil {
		return nil, nil
	}
	set, err := openWeights(path, trans, strategy)
	if errors.Is(err, fs.ErrNotExist) { // a directory without any
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot open the base weights: %w", err)
	}
	defer set.Close()
	return matchBase(m, set, path, trans, t.IgnoreBase)
}

// CheckWeights fails where the weights of a target do not fit a config.
func CheckWeights(c *config.Config, t Target) error {
	t.complete(c)
	m, err := model.Build(c)
	if err == nil {
		_, err = storedBase(m, &t)
	}
	return err
}

// CheckBase fails where an open checkpoint does not fit a config.
func CheckBase(c *config.Config, set weights.Set, path string, ignore bool) error {
	m, err := model.Build(c)
	if err == nil {
		_, err = matchBase(m, set, path, false, ignore)
	}
	return err
}

// matcher looks the storages of a graph up in a checkpoint.
type matcher struct {
	m      *ir.Module
	set    weights.Set
	base   passes.Base
	used   map[string]bool // names of the checkpoint that have a place
	faults []string
	grows  int // how many are that the vocabulary has more entries than rows
}

// fewerRows reports whether a tensor has a row for some entries of the vocabulary only.
func fewerRows(name string, stored, shape []int) bool {
	return slices.Contains(naming.Embeddings, name) && len(stored) == 2 && len(shape) == 2 && stored[0] < shape[0] && stored[1] == shape[1]
}

// matchBase is storedBase of an open checkpoint.
func matchBase(m *ir.Module, set weights.Set, path string, trans, ignore bool) (*passes.Base, error) {
	x := &matcher{m: m, set: set, base: passes.Base{Stored: map[string]passes.Stored{}}, used: map[string]bool{}}
	for _, s := range m.Storages {
		if s.Kind == ir.Param {
			x.match(s)
		}
	}
	tied := m.Storage("head") == nil
	if tied && !ignore && len(x.faults) == 0 {
		if err := x.sameHead(path); err != nil {
			return nil, err
		}
	}
	for _, n := range set.Names() {
		t, _ := weights.Describe(set, n)
		if !x.used[n] && !naming.Derived(n) && !naming.Bookkeeping(n, t.Shape) && !(tied && n == "lm_head.weight") {
			if weights.IdleBias(set, n) {
				continue
			}
			key := weights.PlaceOfBias(n)
			if key != "" {
				key = "; set " + key
			}
			x.faults = append(x.faults, n+" is in the checkpoint, the config has no place for it"+key)
		}
	}
	if len(x.faults) == 0 {
		return &x.base, nil
	}
	slices.Sort(x.faults)
	if n := len(x.faults); n > 12 {
		x.faults = append(x.faults[:12], fmt.Sprintf("… and %d more", n-12))
	}
	if x.grows == len(x.faults) {
		return nil, fmt.Errorf("the checkpoint %s does not fit the config:\n  %s\n  = help: rows that a larger vocabulary adds must train: set modules_to_save: [embed_tokens, lm_head] in pet_config; or vocab_size as the base has it",
			path, strings.Join(x.faults, "\n  "))
	}
	return nil, fmt.Errorf("the checkpoint %s does not fit the config:\n  %s\n  = help: the shapes come from model.model_config; check hidden_size, num_layers, n_kv_heads, vocab_size, intermediate_size, tie_word_embeddings%s",
		path, strings.Join(x.faults, "\n  "), hint(path, trans))
}

// sameHead refuses a head that is not the embedding where the embedding is the head.
func (x *matcher) sameHead(path string) error {
	if _, ok := weights.Describe(x.set, "lm_head.weight"); !ok {
		return nil
	}
	for _, n := range []string{"model.embed_tokens.weight", "model.tok_embeddings.embedding_weight"} {
		if x.used[n] && !weights.Equal(x.set, "lm_head.weight", n) {
			return fmt.Errorf("%s holds lm_head.weight, which is not %s, and the config ties them\n  = help: set tie_word_embeddings: False; --base_config ignore continues with the embedding as the head", path, n)
		}
	}
	return nil
}

// match looks up the tensors of one storage.
func (x *matcher) match(s *ir.Storage) {
	shape := s.Extents()
	types, bytes := map[string]bool{}, 0
	for i := range s.Count() {
		name := s.TensorName(i)
		stored, t, ok := x.find(name)
		if ok {
			if len(t.Chunks) > 1 || weights.Copied(x.set, stored) {
				x.base.Joined += t.Bytes()
			}
			if x.m.OnlyEmbeds(s) && (len(t.Chunks) != 1 || mmap.Reader(t.Chunks[0]) == nil) {
				x.base.InMemory = true
			}
			types[t.DType] = true
			bytes += t.Bytes()
			if s.Module() && fewerRows(name, t.Shape, shape) {
				continue // the others are added
			}
			if !slices.Equal(t.Shape, shape) {
				if fewerRows(name, t.Shape, shape) {
					x.grows++
				}
				x.faults = append(x.faults, fmt.Sprintf("%s has shape %v, the config makes it %v (yaml:%d)", stored, t.Shape, shape, s.Pos.Line))
			}
			continue
		}
		if s.Adapter() {
			continue // it starts from its initial value
		}
		parts := naming.Parts(name)
		for _, p := range parts {
			if _, t, found := x.find(p); found {
				types[t.DType] = true
				bytes += t.Bytes()
				x.base.Joined += t.Bytes()
			} else {
				parts = nil
			}
		}
		if parts == nil {
			x.faults = append(x.faults, missing(name))
		}
	}
	if d, ok := widest(types); ok && !s.Trainable && !s.Module() {
		stored := passes.Stored{DType: d}
		if len(types) > 1 { // some layers are narrower
			all := s.Type
			all.DType = d
			stored.Narrower = s.Count()*all.Bytes(nil) - bytes
		}
		x.base.Stored[s.Name] = stored
	}
}

// find looks a tensor up by its name in the graph or Hugging Face's.
func (x *matcher) find(name string) (stored string, t weights.Header, ok bool) {
	for _, n := range []string{naming.HF(name), name} {
		if t, ok := weights.Describe(x.set, n); ok {
			x.used[n] = true
			return n, t, true
		}
	}
	return "", t, false
}

// BlockType is the type that quantising stores a tensor in.
func BlockType(kind, name string, shape []int, stored ir.DType) (ir.DType, bool) {
	return ir.ParseDType(strings.ToLower(quantise.Type(kind, name, shape, strings.ToUpper(stored.String()))))
}

// widest is the type, of those the layers of a matrix are stored in, that takes
// the most bytes; files of mixed types give some layers more bits.
func widest(types map[string]bool) (most ir.DType, ok bool) {
	for name := range types {
		d, known := ir.ParseDType(strings.ToLower(name))
		if !known {
			return 0, false
		}
		e1, b1 := d.Block()
		e0, b0 := most.Block()
		if !ok || b1*e0 > b0*e1 {
			most, ok = d, true
		}
	}
	return most, ok
}

// FindBase fails where the trainer would: when a base is given that is not
// there, or none and the graph has a frozen one. path is "" where the config's path holds.
func FindBase(c *config.Config, path string) error {
	if path == "" {
		path = c.LoadCheckpoint.V
	}
	if path != "" {
		if err := StatBase(path); err != nil {
			return err
		}
		set, err := OpenBase(path)
		if err == nil {
			set.Close()
		}
		if errors.Is(err, fs.ErrNotExist) { // what else is wrong, compiling has said
			return fmt.Errorf("cannot open the base weights: %w", err)
		}
		return nil
	}
	m, err := model.Build(c)
	if err != nil {
		return err
	}
	for _, s := range m.Storages {
		if s.Kind == ir.Param && !s.Trainable && !s.Adapter() {
			return fmt.Errorf("the frozen base needs weights\n  = help: give --load_checkpoint, a Hugging Face directory, a .safetensors, .ckpt or .gguf file")
		}
	}
	return nil
}

// StatBase fails where there are no base weights at a path.
func StatBase(path string) error {
	if _, err := weights.Stat(path); err != nil {
		return fmt.Errorf("cannot open the base weights: %w", err)
	}
	return nil
}

// OpenBase opens base weights of one file or directory.
func OpenBase(path string) (weights.Set, error) { return openWeights(path, false, "") }

// openWeights opens base weights, spread over ranks where trans says so.
func openWeights(path string, trans bool, strategy string) (weights.Set, error) {
	if trans && weights.IsTree(path) || weights.Sliced(path) {
		t, err := weights.OpenTree(path, strategy, "")
		if err != nil {
			return nil, err
		}
		return asBase(t, path)
	}
	if weights.IsTree(path) {
		file, err := weights.Rank0(path)
		if err != nil {
			return nil, err
		}
		path = file
	}
	set, err := weights.Open(path)
	if err != nil {
		return nil, err
	}
	return asBase(set, path)
}

func asBase(set weights.Set, path string) (weights.Set, error) {
	base, err := weights.AsBase(set, path)
	if err != nil {
		set.Close()
		return nil, err
	}
	return base, nil
}

func hint(path string, trans bool) string {
	if trans {
		return ""
	}
	return weights.Hint(path)
}

func missing(name string) string {
	if hf := naming.HF(name); hf != "" {
		name = hf
	}
	return name + " is missing"
}
