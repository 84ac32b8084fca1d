package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"lorac/compiler/config"
	"lorac/compiler/model"
	"lorac/ir"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights"
	"lorac/runtime/weights/naming"
)

// matchWeights checks a checkpoint that is known at compile time against the
// graph, names and shapes both ways, and lets the frozen storages have the
// type they are stored in. A path that does not exist here may exist where the
// trainer runs, so it is left to the trainer.
//
// A checkpoint of several ranks is seen as the trainer will transform it.
func matchWeights(m *ir.Module, path string, trans bool, strategy string) error {
	if path == "" {
		return nil
	}
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	set, err := openWeights(path, trans, strategy)
	if err != nil {
		return fmt.Errorf("cannot open the base weights: %w", err)
	}
	defer set.Close()
	return matchSet(m, set, path, trans)
}

// matchSet is matchWeights of an open checkpoint.
func matchSet(m *ir.Module, set weights.Set, path string, trans bool) error {
	var faults []string
	joined := 0 // bytes that do not lie in one piece
	used := map[string]bool{}
	find := func(name string) (stored string, t weights.Head, ok bool) {
		for _, n := range []string{naming.HF(name), name} {
			if t, ok := weights.Describe(set, n); ok {
				used[n] = true
				return n, t, true
			}
		}
		return "", t, false
	}
	for _, s := range m.Storages {
		if s.Kind != ir.Param {
			continue
		}
		var shape []int
		for _, d := range s.Type.Shape {
			shape = append(shape, d.N)
		}
		types, bytes := map[string]bool{}, 0
		for i := range s.Count() {
			name := tensorName(s, i)
			stored, t, ok := find(name)
			if len(t.Chunks) > 1 {
				joined += bytesOf(t)
			}
			if ok && m.OnlyEmbeds(s) && (len(t.Chunks) != 1 || mmap.Reader(t.Chunks[0]) == nil) {
				m.Settings = append(m.Settings, &ir.Setting{Key: inMemory, Val: true})
			}
			if ok {
				types[t.DType] = true
				bytes += bytesOf(t)
				if !slices.Equal(t.Shape, shape) {
					faults = append(faults, fmt.Sprintf("%s has shape %v, the config makes it %v (yaml:%d)", stored, t.Shape, shape, s.Pos.Line))
				}
				continue
			}
			if adapterParam(s) {
				continue // it starts anew
			}
			parts := naming.Parts(name)
			for _, p := range parts {
				if _, t, found := find(p); found {
					types[t.DType] = true
					bytes += bytesOf(t)
					joined += bytesOf(t)
				} else {
					parts = nil
				}
			}
			if parts == nil {
				faults = append(faults, missing(name))
			}
		}
		if d, ok := widest(types); ok && !s.Trainable {
			s.Type.DType = d
			if len(types) > 1 { // some layers are narrower
				m.Settings = append(m.Settings, &ir.Setting{Key: narrower(s), Val: s.Count()*s.Type.Bytes(nil) - bytes})
			}
		}
	}
	tied := m.Storage("head") == nil
	for _, n := range set.Names() {
		t, _ := weights.Describe(set, n)
		if !used[n] && !naming.Derived(n) && !naming.Bookkeeping(n, t.Shape) && !(tied && n == "lm_head.weight") {
			faults = append(faults, n+" is in the checkpoint, the config has no place for it")
		}
	}
	if joined > 0 {
		m.Settings = append(m.Settings, &ir.Setting{Key: "memory.joined", Val: joined})
	}
	if len(faults) == 0 {
		return nil
	}
	slices.Sort(faults)
	if n := len(faults); n > 12 {
		faults = append(faults[:12], fmt.Sprintf("… and %d more", n-12))
	}
	return fmt.Errorf("the checkpoint %s does not fit the config:\n  %s\n  = help: the shapes come from model.model_config; check hidden_size, num_layers, n_kv_heads, vocab_size, intermediate_size, tie_word_embeddings%s",
		path, strings.Join(faults, "\n  "), hint(path, trans))
}

// inMemory is the setting that the embedding is not read from its file row by
// row: it lies there in pieces.
const inMemory = "memory.embedding"

// narrower is the setting of how many bytes a storage takes less than all its
// layers would in its type.
func narrower(s *ir.Storage) string { return "size.narrower." + s.Name }

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

// findBase fails where the trainer would: when a base is given that is not
// there, or none and the graph has a frozen one. path is "" where the config's counts.
func findBase(c *config.Config, path string) error {
	if path == "" {
		path = c.LoadCheckpoint.V
	}
	if path != "" {
		return statBase(path)
	}
	m, err := model.Build(c)
	if err != nil {
		return err
	}
	for _, s := range m.Storages {
		if s.Kind == ir.Param && !s.Trainable && !adapterParam(s) {
			return fmt.Errorf("the frozen base needs weights\n  = help: give --load_checkpoint, a Hugging Face directory, a .safetensors, .ckpt or .gguf file")
		}
	}
	return nil
}

func statBase(path string) error {
	if _, err := weights.Stat(path); err != nil {
		return fmt.Errorf("cannot open the base weights: %w", err)
	}
	return nil
}

func openWeights(path string, trans bool, strategy string) (weights.Set, error) {
	if trans && weights.IsTree(path) {
		t, err := weights.OpenTree(path, strategy, "")
		if err != nil {
			return nil, err
		}
		return t, nil
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
	return weights.Unwrap(set), nil
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

// tensorName is the name of tensor i of a storage.
func tensorName(s *ir.Storage, i int) string {
	if s.Stack != nil {
		i += s.Stack.Lo
	}
	return strings.ReplaceAll(s.Attrs.Str("name"), "{i}", fmt.Sprint(i))
}
