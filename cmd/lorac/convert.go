package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"lorac/cmd/lorac/formats"
	"lorac/runtime/sys/atomicfile"
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

// AfterApply is called by kong before a conversion runs.
func (c *convertCmd) AfterApply() error {
	atomicfile.RemoveOnSignal()
	return nil
}

func dtypeName(asked, stored string) string {
	if asked == "keep" {
		return stored
	}
	return strings.ToUpper(asked)
}

// encode stores numbers that every type can hold.
func encode(x []float32, dtype string) []byte {
	b, err := formats.Encode(x, dtype)
	if err != nil {
		panic("BUG: convert: " + err.Error())
	}
	return b
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
		if err := atomicfile.WriteFile(filepath.Join(out, name), func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
			return err
		}
	}
	return nil
}
