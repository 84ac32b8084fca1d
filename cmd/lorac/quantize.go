package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/compiler/config"
	"lorac/compiler/model"
	"lorac/ir"
	"lorac/kernels"
	"lorac/runtime/weights"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/quantise"
)

type quantizeCmd struct {
	Config string `arg:"" help:"Config of the model."`
	Base   string `required:"" help:"Base weights of any format that is read." placeholder:"PATH"`
	Out    string `short:"o" required:"" help:"Directory for model.gguf; the tokenizer goes beside it." placeholder:"DIR"`
	Quant  string `required:"" enum:"int8,int4" help:"int8 (Q8_0) or int4 (Q4_0, embedding and head Q8_0)."`
}

// Run writes the base in blocks. A trainer does the same on its way when its
// config says quant.
func (c *quantizeCmd) Run() error {
	cfg, err := loadConfig(c.Config, []config.Override{{Path: "run_mode", Value: "predict", Origin: "quantize"}})
	if err != nil {
		return err
	}
	base, err := openWeights(c.Base, false, "")
	if err != nil {
		return fmt.Errorf("cannot open the base weights: %w", err)
	}
	defer base.Close()
	graph, err := model.Build(cfg)
	if err != nil {
		return err
	}
	if err := matchSet(graph, base, c.Base, false); err != nil {
		return err
	}
	m := &cfg.Model
	out := filepath.Join(c.Out, "model.gguf")
	if err := checkRoom(filepath.Base(out), c.Out, blockBytes(base, c.Quant), freeAt(c.Out), "write to another disk with -o, or make room"); err != nil {
		return err
	}
	_, missing := os.Stat(c.Out)
	k := kernels.New(0)
	defer k.Close()
	r, err := quantise.Write(k, out, base, c.Quant, quantise.Model{Name: cfg.Name, Width: m.Hidden.V, Hidden: m.FFN.V, Layers: m.Layers.V,
		Heads: m.Heads.V, KVHeads: m.KVHeads.V, Context: m.SeqLength.V, Vocab: m.Vocab.V, Eps: m.RMSEps.V, Theta: m.Theta.V})
	if err != nil {
		if missing != nil {
			os.Remove(c.Out) // nothing is in it
		}
		return err
	}
	if err := copyBeside(c.Base, c.Out); err != nil {
		return err
	}
	fmt.Printf("wrote %s: %s from %s bytes (%.3f), relative error of the numbers %.2g\n", out, commas(r.After), commas(r.Before),
		float64(r.After)/float64(max(r.Before, 1)), r.Error)
	fmt.Printf("  tensors: %s\n", quantise.Counts(r.Types))
	if len(r.Kept) > 0 {
		n := 0
		for _, k := range r.Kept {
			n += k
		}
		fmt.Printf("  %d matrices stay as they were, they are in blocks already (%s); for %s give the weights they were made of\n", n, quantise.Counts(r.Kept), c.Quant)
	}
	if len(r.Left) > 0 {
		fmt.Printf("  %d matrices stay as they were, their rows are no whole blocks of 32: %s\n", len(r.Left), strings.Join(firstFew(r.Left), ", "))
	}
	return nil
}

// blockBytes is what the tensors of a base take in blocks, by what is known of
// them before they are.
func blockBytes(base weights.Set, kind string) (n int) {
	for _, name := range base.Names() {
		t, _ := weights.Describe(base, name)
		if naming.Derived(name) || naming.Bookkeeping(name, t.Shape) {
			continue
		}
		if hf := naming.HF(name); hf != "" {
			name = hf
		}
		d, ok := ir.ParseDType(strings.ToLower(quantise.Type(kind, name, t.Shape, t.DType)))
		if !ok {
			n += bytesOf(t)
			continue
		}
		elems, bytes := d.Block()
		for _, dim := range t.Shape {
			bytes *= dim
		}
		n += bytes / elems
	}
	return n
}

func firstFew(list []string) []string {
	if len(list) > 3 {
		return append(slices.Clone(list[:3]), "…")
	}
	return list
}

// quantiseTypes gives the frozen storages the types that `quant` leads to.
func quantiseTypes(m *ir.Module, kind string) error {
	if kind == "" {
		return nil
	}
	already := false // as the trainer does, a base in blocks is taken as it is
	for _, s := range m.Storages {
		if s.Kind != ir.Param || adapterParam(s) {
			continue
		}
		if s.Trainable {
			return fmt.Errorf("quant: %s keeps the base in blocks, but %s trains\n  = help: take it out of freeze_exclude in pet_config, or leave quant away", kind, s.Name)
		}
		elems, _ := s.Type.DType.Block()
		already = already || elems > 1
	}
	if already {
		return nil
	}
	m.Settings = slices.DeleteFunc(m.Settings, func(s *ir.Setting) bool { return s.Key == inMemory }) // of the new file it is
	for _, s := range m.Storages {
		if s.Kind != ir.Param || adapterParam(s) {
			continue
		}
		var shape []int
		for _, d := range s.Type.Shape {
			shape = append(shape, d.N)
		}
		name := tensorName(s, 0)
		if d, ok := ir.ParseDType(strings.ToLower(quantise.Type(kind, name, shape, strings.ToUpper(s.Type.DType.String())))); ok {
			s.Type.DType = d
		}
	}
	return nil
}

// computeTypes puts the frozen linears of the layers in eight bits with
// `compute: int8`; the trainer makes them so from whatever is stored.
func computeTypes(m *ir.Module, compute string) error {
	if compute != "int8" {
		return nil
	}
	found := false
	for _, s := range m.Storages {
		if s.Kind == ir.Param && !s.Trainable && !adapterParam(s) && s.Stack != nil && s.Type.Rank() == 2 {
			s.Type.DType = ir.I8
			found = true
		}
	}
	if !found {
		return fmt.Errorf("compute: int8 is for the frozen linears of the layers, but all of them train\n  = help: take some out of freeze_exclude in pet_config, or leave compute away")
	}
	return nil
}
