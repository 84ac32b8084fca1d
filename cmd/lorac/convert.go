package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"lorac/kernels"
	"lorac/runtime/checkpoint"
	"lorac/runtime/peft"
	"lorac/runtime/safetensors"
	"lorac/runtime/tensorfile"
)

type convertCmd struct {
	Merge      mergeCmd      `cmd:"" help:"Add an adapter to its base: W + scale·B·A, as a full checkpoint."`
	Layout     layoutCmd     `cmd:"" help:"Lay a MindSpore checkpoint out anew: ranks to one file, one file to ranks, 8 to 2."`
	Ckpt       ckptCmd       `cmd:"" help:"Convert MindSpore .ckpt to safetensors and back."`
	Weights    weightsCmd    `cmd:"" help:"Convert base weights between Hugging Face, MindFormers, Meta, llama2.c, torchtune and GGUF."`
	Adapter    adapterCmd    `cmd:"" help:"Convert a LoRA adapter between PEFT, MindFormers, torchtune and GGUF."`
	Alpaca     alpacaCmd     `cmd:"" help:"Make conversations of alpaca rows, as alpaca_converter.py."`
	Mindrecord mindrecordCmd `cmd:"" help:"Make a MindRecord file of conversations or text, as llama_preprocess.py."`
	Quantize   quantizeCmd   `cmd:"" help:"Write a base in blocks of 8 or 4 bits, as GGUF."`
	Synthesize synthesizeCmd `cmd:"" help:"Write a checkpoint of random weights of a config's shapes, for measuring."`
}

type mergeCmd struct {
	Base    string `required:"" help:"Base weights: Hugging Face directory, index, .safetensors or .ckpt file." placeholder:"PATH"`
	Adapter string `required:"" help:"PEFT adapter directory." placeholder:"DIR"`
	Out     string `short:"o" required:"" help:"Directory for the merged checkpoint." placeholder:"DIR"`
	DType   string `name:"dtype" enum:"keep,f32,f16,bf16" default:"keep" help:"Type of the adapted matrices: keep, f32, f16 or bf16."`
}

// Run merges; tensors stream from file to file one at a time.
func (c *mergeCmd) Run() error {
	base, err := tensorfile.Open(c.Base)
	if err != nil {
		return fmt.Errorf("cannot open the base weights: %w", err)
	}
	defer base.Close()
	adapter, err := peft.Load(c.Adapter)
	if err != nil {
		return fmt.Errorf("cannot load the adapter: %w", err)
	}
	used := 0
	var entries []safetensors.Entry
	for _, name := range base.Names() {
		t, _ := base.Tensor(name)
		e := safetensors.Entry{Name: t.Name, DType: t.DType, Shape: t.Shape, Write: func(w io.Writer) error { _, err := w.Write(t.Data); return err }}
		if a, b, scale, ok := adapted(adapter, name); ok {
			if len(t.Shape) != 2 || t.Shape[0] != b.Rows || t.Shape[1] != a.Cols {
				return fmt.Errorf("%s is %v, the adapter was made for [%d %d]", name, t.Shape, b.Rows, a.Cols)
			}
			used += 2
			e.DType = dtypeName(c.DType, t.DType)
			e.Write = func(w io.Writer) error { return writeMerged(w, t, a, b, scale, e.DType) }
		}
		entries = append(entries, e)
	}
	if used != len(adapter.Tensors) {
		return fmt.Errorf("the adapter has %d matrices, the base a place for %d of them; is it the adapter of another model?", len(adapter.Tensors), used)
	}
	if err := safetensors.Write(filepath.Join(c.Out, "model.safetensors"), entries, map[string]string{"format": "pt"}); err != nil {
		return err
	}
	if err := copyBeside(c.Base, c.Out); err != nil {
		return err
	}
	fmt.Printf("merged %d linears into %s\n", used/2, filepath.Join(c.Out, "model.safetensors"))
	return nil
}

// adapted finds the adapter of a base tensor.
func adapted(a *peft.Adapter, name string) (am, bm peft.Tensor, scale float64, ok bool) {
	mf := checkpoint.MindFormers(name)
	if mf == "" {
		mf = name
	}
	root, isWeight := strings.CutSuffix(mf, ".weight")
	am, ok = a.Tensors[root+".mindpet_delta_lora_a"]
	if !ok || !isWeight {
		return am, bm, 0, false
	}
	return am, a.Tensors[root+".mindpet_delta_lora_b"], a.Scale[am.Name], true
}

func dtypeName(asked, stored string) string {
	if asked == "keep" {
		return stored
	}
	return strings.ToUpper(asked)
}

// writeMerged computes W + scale·B·A in f32 and writes it as dtype.
func writeMerged(w io.Writer, t tensorfile.Tensor, a, b peft.Tensor, scale float64, dtype string) error {
	x, err := peft.Floats(t.DType, t.Data)
	if err != nil {
		return fmt.Errorf("%s: %w", t.Name, err)
	}
	m := kernels.MatOf(x, b.Rows, a.Cols)
	bs := kernels.NewMat(b.Rows, b.Cols)
	kernels.Scale(bs, kernels.MatOf(b.Data, b.Rows, b.Cols), float32(scale))
	kernels.AddMatMulNN(m, bs, kernels.MatOf(a.Data, a.Rows, a.Cols).Weight())
	for _, v := range x {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("%s is not finite after merging", t.Name)
		}
	}
	_, err = w.Write(encode(x, dtype))
	return err
}

// encode rounds to the nearest, ties to even.
func encode(x []float32, dtype string) []byte {
	switch dtype {
	case "F16":
		out := make([]byte, 0, 2*len(x))
		for _, v := range x {
			out = binary.LittleEndian.AppendUint16(out, toHalf(v))
		}
		return out
	case "BF16":
		out := make([]byte, 0, 2*len(x))
		for _, v := range x {
			bits := math.Float32bits(v)
			out = binary.LittleEndian.AppendUint16(out, uint16((bits+0x7FFF+bits>>16&1)>>16))
		}
		return out
	case "F64":
		out := make([]byte, 0, 8*len(x))
		for _, v := range x {
			out = binary.LittleEndian.AppendUint64(out, math.Float64bits(float64(v)))
		}
		return out
	}
	return peft.Bytes(x)
}

// toHalf rounds to binary16.
func toHalf(v float32) uint16 {
	sign := uint16(math.Float32bits(v)>>16) & 0x8000
	a := math.Abs(float64(v))
	switch {
	case a >= 65520:
		return sign | 0x7C00
	case a < 1.0/(1<<14): // subnormal: a multiple of 2^-24
		return sign | uint16(math.RoundToEven(a*(1<<24)))
	}
	frac, exp := math.Frexp(a) // a = frac·2^exp, frac in [½, 1)
	m := math.RoundToEven(frac * 2048)
	return sign | uint16(int(m)-1024+(exp+14)<<10)
}

// copyBeside copies what makes a checkpoint a model: its config and tokenizer.
func copyBeside(base, out string) error {
	dir := base
	if info, err := os.Stat(base); err == nil && !info.IsDir() {
		dir = filepath.Dir(base)
	}
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		if err := checkpoint.WriteFile(filepath.Join(out, name), func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
			return err
		}
	}
	return nil
}
