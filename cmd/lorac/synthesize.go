package main

import (
	"fmt"
	"hash/fnv"
	"io"
	"math"
	"path/filepath"
	"slices"

	"lorac/compiler/config"
	"lorac/compiler/model"
	"lorac/ir"
	"lorac/kernels"
	"lorac/runtime/weights"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
)

type synthesizeCmd struct {
	Config string `arg:"" help:"Config that gives the shapes."`
	Out    string `short:"o" required:"" help:"Directory for the checkpoint." placeholder:"DIR"`
	DType  string `name:"dtype" enum:"f32,f16,bf16" default:"f16" help:"Stored type: f32, f16 or bf16."`
	Seed   int    `default:"1" help:"Of the random weights."`
}

// Run writes a checkpoint of random weights of the config's shapes, for
// measuring: element i of a tensor is
//
//	u = splitmix64(fnv1a64(name) + seed·0xD1342543DE82EF95 + i) >> 40
//	w = (u/2²⁴ − ½)·2·√3·0.02, norms all ones
//
// under its Hugging Face name, so that another program can make the same.
func (c *synthesizeCmd) Run() error {
	if is, err := weights.Open(c.Out); err == nil { // which may be dear
		is.Close()
		return fmt.Errorf("%s holds weights already\n  = help: write to another directory with -o, or remove them first", c.Out)
	}
	file, total, err := synthesize(c.Config, nil, c.Out, c.DType, c.Seed)
	if err != nil {
		return err
	}
	fmt.Printf("wrote %s random parameters as %s to %s\n", commas(total), dtypeName(c.DType, ""), file)
	return nil
}

// synthesize writes the checkpoint of a config with some keys overridden: the
// file and its number of parameters.
func synthesize(path string, o []config.Override, out, stored string, seed int) (file string, total int, err error) {
	o = append(slices.Clip(o), config.Override{Path: "run_mode", Value: "predict", Origin: "synthesize"})
	cfg, err := loadConfig(path, o)
	if err != nil {
		return "", 0, err
	}
	entries, total, err := randomBase(cfg, stored, seed)
	if err != nil {
		return "", 0, err
	}
	file = filepath.Join(out, "model.safetensors")
	if err := checkRoom(filepath.Base(file), out, baseBytes(total, stored), freeAt(out), "write to another disk with -o, or make room"); err != nil {
		return "", 0, err
	}
	return file, total, safetensors.Write(file, entries, map[string]string{"format": "pt"})
}

// randomBase is the tensors of such a checkpoint, made as they are written, and
// the number of parameters.
func randomBase(cfg *config.Config, stored string, seed int) (entries []safetensors.Entry, total int, err error) {
	m, err := model.Build(cfg)
	if err != nil {
		return nil, 0, err
	}
	dtype := dtypeName(stored, "")
	for _, s := range m.Storages {
		if s.Kind != ir.Param || adapterParam(s) {
			continue
		}
		for i := range s.Count() {
			name := tensorName(s, i)
			hf := naming.HF(name)
			if hf == "" {
				return nil, 0, fmt.Errorf("%s has no Hugging Face name (qkv_concat): use a config without it", name)
			}
			var shape []int
			for _, d := range s.Type.Shape {
				shape = append(shape, d.N)
			}
			n := s.Type.Elems(nil)
			total += n
			ones := s.Type.Rank() == 1
			entries = append(entries, safetensors.Entry{Name: hf, DType: dtype, Shape: shape,
				Write: func(w io.Writer) error { return writeRandom(w, hf, n, ones, seed, dtype) }})
		}
	}
	return entries, total, nil
}

// writeRandom makes a tensor piece by piece, on all threads.
func writeRandom(w io.Writer, name string, n int, ones bool, seed int, dtype string) error {
	h := fnv.New64a()
	h.Write([]byte(name))
	base := h.Sum64() + uint64(seed)*0xD1342543DE82EF95
	bound := 2 * math.Sqrt(3) * 0.02
	const part, block = 1 << 22, 1 << 16
	buf := make([]float32, min(n, part))
	k := kernels.New(0)
	defer k.Close()
	for at := 0; at < n; at += part {
		x := buf[:min(part, n-at)]
		k.Parallel((len(x)+block-1)/block, func(_, t int) {
			for i := t * block; i < min((t+1)*block, len(x)); i++ {
				x[i] = 1
				if !ones {
					x[i] = float32((float64(splitmix(base+uint64(at+i))>>40)/(1<<24) - 0.5) * bound)
				}
			}
		})
		if _, err := w.Write(encode(x, dtype)); err != nil {
			return err
		}
	}
	return nil
}

func splitmix(z uint64) uint64 {
	z += 0x9E3779B97F4A7C15
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	return z ^ z>>31
}
