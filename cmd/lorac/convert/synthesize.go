package convert

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/synthetic"
	"lorac/compiler/config"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights"
	"lorac/runtime/weights/safetensors"
)

// Synthesize writes a checkpoint of random weights.
type Synthesize struct {
	Config string `arg:"" help:"Config that gives the shapes."`
	Out    string `short:"o" required:"" help:"Directory for the checkpoint." placeholder:"DIR"`
	DType  string `name:"dtype" enum:"f32,f16,bf16" default:"f16" help:"Stored type: f32, f16 or bf16."`
	Seed   int    `default:"1" help:"Of the random weights."`
}

// Run writes a checkpoint of random weights of the config's shapes, for
// measuring (synthetic.Base).
func (c *Synthesize) Run() error {
	if is, err := weights.Open(c.Out); err == nil { // which may have taken long to make
		is.Close()
		return fmt.Errorf("%s holds weights already\n  = help: write to another directory with -o, or remove them first", c.Out)
	}
	file, total, err := SynthesizeBase(c.Config, nil, c.Out, c.DType, c.Seed)
	if err != nil {
		return err
	}
	fmt.Printf("wrote %s random parameters as %s to %s\n", human.Thousands(total), strings.ToUpper(c.DType), file)
	return nil
}

// SynthesizeBase writes the checkpoint of a config with some keys overridden: the
// file and its number of parameters.
func SynthesizeBase(path string, o []config.Override, out, stored string, seed int) (file string, total int, err error) {
	o = append(slices.Clip(o), config.Override{Path: "run_mode", Value: "predict", Origin: "synthesize"})
	cfg, err := build.Load(path, o)
	if err != nil {
		return "", 0, err
	}
	entries, total, err := synthetic.Base(cfg, stored, seed)
	if err != nil {
		return "", 0, err
	}
	file = filepath.Join(out, "model.safetensors")
	if err := build.CheckSpace(filepath.Base(file), out, synthetic.Bytes(total, stored), disk.Free(out), "write to another disk with -o, or free space"); err != nil {
		return "", 0, err
	}
	done := writing(file, synthetic.Bytes(total, stored))
	defer done()
	return file, total, safetensors.Write(file, entries, map[string]string{"format": "pt"})
}
