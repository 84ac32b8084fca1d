package main

import (
	"lorac/cmd/lorac/convert"
	"lorac/runtime/sys/atomicfile"
)

type convertCmd struct {
	Merge      convert.Merge      `cmd:"" help:"Add an adapter to its base: W + scale·B·A, as a full checkpoint."`
	Layout     convert.Layout     `cmd:"" help:"Distribute a MindSpore checkpoint over other ranks: ranks to one file, one file to ranks, 8 to 2."`
	Ckpt       convert.Ckpt       `cmd:"" help:"Convert MindSpore .ckpt to safetensors and back."`
	Weights    convert.Weights    `cmd:"" help:"Convert base weights between Hugging Face, MindFormers, Meta, llama2.c, torchtune and GGUF."`
	Adapter    convert.Adapter    `cmd:"" help:"Convert a LoRA adapter between PEFT, MindFormers, torchtune and GGUF."`
	Alpaca     convert.Alpaca     `cmd:"" help:"Make conversations of alpaca rows, as alpaca_converter.py."`
	Mindrecord convert.MindRecord `cmd:"" help:"Make a MindRecord file of conversations or text, as llama_preprocess.py."`
	Rows       convert.Rows       `cmd:"" help:"Make JSON lines of a Parquet file; lorac finetune does so itself."`
	Quantize   convert.Quantize   `cmd:"" help:"Write a base in blocks of 8 or 4 bits, as GGUF."`
	Synthesize convert.Synthesize `cmd:"" help:"Write a checkpoint of random weights of a config's shapes, for measuring."`
}

// AfterApply is called by kong before a conversion runs.
func (c *convertCmd) AfterApply() error {
	atomicfile.RemoveOnSignal()
	return nil
}
