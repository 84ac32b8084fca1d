package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/convert/formats"
	"lorac/compiler/config"
	"lorac/ir"
	"lorac/kernels"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/quantise"
)

// Quantize writes a base in blocks.
type Quantize struct {
	Config string `arg:"" help:"Config of the model."`
	Base   string `required:"" help:"Base weights of any format that is read." placeholder:"PATH"`
	Out    string `short:"o" required:"" help:"Directory for model.gguf; tokenizer and chat template are in it and beside it." placeholder:"DIR"`
	Ignore string `name:"base_config" enum:"compare,ignore" default:"compare" help:"ignore: the config counts where config.json and the like say another thing." placeholder:"ignore"`
	Quant  string `required:"" enum:"int8,int4" help:"int8 (Q8_0) or int4 (Q4_0, embedding and head Q8_0)."`
}

// Run writes the base in blocks. A trainer does the same on its way when its
// config says quant.
func (c *Quantize) Run() error {
	compared := build.Base{Weights: c.Base, Ignore: c.Ignore == "ignore"}
	cfg, err := compared.Load(c.Config, []config.Override{{Path: "run_mode", Value: "predict", Origin: "quantize"}})
	if err != nil {
		return err
	}
	build.SayBase(cfg)
	base, err := build.OpenBase(c.Base)
	if err != nil {
		return fmt.Errorf("cannot open the base weights: %w", err)
	}
	defer base.Close()
	if err := build.CheckBase(cfg, base, c.Base, compared.Ignore); err != nil {
		return err
	}
	m := &cfg.Model
	out := filepath.Join(c.Out, "model.gguf")
	if err := build.CheckSpace(filepath.Base(out), c.Out, blockBytes(base, c.Quant), disk.Free(c.Out), "write to another disk with -o, or free space"); err != nil {
		return err
	}
	_, missing := os.Stat(c.Out)
	k := kernels.New(build.DefaultThreads())
	defer k.Close()
	more, note, err := formats.GGUFTokenizer(c.Base, m.Vocab.V)
	if err != nil {
		return err
	}
	done := writing(out, blockBytes(base, c.Quant))
	r, err := quantise.Write(k, out, base, c.Quant, quantise.Model{Name: cfg.Name, Width: m.Hidden.V, Hidden: m.FFN.V, Layers: m.Layers.V,
		Heads: m.Heads.V, KVHeads: m.KVHeads.V, Context: m.SeqLength.V, Vocab: m.Vocab.V, Eps: m.RMSEps.V, Theta: m.Theta.V,
		Method: m.RopeMethod.V, Factors: m.RopeFactors, More: more})
	done()
	if err != nil {
		if missing != nil {
			os.Remove(c.Out) // nothing is in it
		}
		return err
	}
	if err := copyBeside(c.Base, c.Out); err != nil {
		return err
	}
	fmt.Printf("wrote %s: %s from %s bytes (%.3f), relative error of the numbers %.2g\n", out, human.Thousands(r.After), human.Thousands(r.Before),
		float64(r.After)/float64(max(r.Before, 1)), r.Error)
	if note != "" {
		fmt.Println("  " + note)
	}
	fmt.Printf("  tensors: %s\n", quantise.Counts(r.Types))
	if len(r.Kept) > 0 {
		n := 0
		for _, k := range r.Kept {
			n += k
		}
		fmt.Printf("  %d matrices stay as they were, they are in blocks already (%s); for %s give the weights they were made of\n", n, quantise.Counts(r.Kept), c.Quant)
	}
	if len(r.Left) > 0 {
		fmt.Printf("  %d matrices stay as they were, their rows are no whole blocks of 32: %s\n", len(r.Left), few(r.Left))
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
			n += t.Bytes()
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
