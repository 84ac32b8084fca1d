package convert

import (
	"fmt"
	"strings"

	"lorac/cmd/lorac/convert/formats"
	"lorac/runtime/sys/human"
)

// Adapter converts adapters between formats.
type Adapter struct {
	In     string  `arg:"" help:"A LoRA adapter of any format: PEFT directory, MindFormers .ckpt (with the base or without), torchtune's adapter_0.pt, GGUF." name:"in"`
	Out    string  `short:"o" required:"" help:"Directory (peft, torchtune) or file (mindformers: .ckpt, gguf: .gguf)." placeholder:"PATH"`
	To     string  `required:"" enum:"peft,mindformers,torchtune,gguf" help:"peft, mindformers, torchtune or gguf." placeholder:"FORMAT"`
	Config string  `help:"The base: MindFormers YAML (its pet_config says the alpha of a .ckpt), config.json or params.json, or a directory with one." placeholder:"FILE"`
	Alpha  float64 `name:"lora_alpha" help:"Of an adapter that does not say it: a .ckpt, a bare file." placeholder:"A"`
	DType  string  `name:"dtype" enum:"keep,f32,f16,bf16" default:"keep" help:"Stored type: keep, f32, f16 or bf16."`
}

// Run converts; what the other side must be told is printed.
func (c *Adapter) Run() error {
	known, err := knownPair(c.Config, c.Alpha)
	if err != nil {
		return err
	}
	a, err := formats.OpenAdapter(c.In, known)
	if err != nil {
		return fmt.Errorf("cannot open the adapter: %w", err)
	}
	note(a.Notes())
	warn(a.Warnings())
	dtype := ""
	if c.DType != "keep" {
		dtype = strings.ToUpper(c.DType)
	}
	w, err := formats.WriteAdapter(a, c.To, c.Out, dtype, known.Model)
	if err != nil {
		return err
	}
	also := ""
	if m := a.SavedModules(); m > 0 {
		also = " and " + human.Count(m, "whole module")
	}
	fmt.Printf("wrote the adapters of %d linears%s to %s\n", len(a.Linears), also, strings.Join(w.Files, ", "))
	if a.Left > 0 {
		fmt.Printf("left out %d tensors that are no part of the adapter\n", a.Left)
	}
	if w.Padded > 0 {
		fmt.Printf("%d linears have a lower rank; they are filled up with zeros to %d, which changes nothing\n", w.Padded, w.Rank)
	}
	if w.Scaled > 0 {
		exact := "exactly"
		if !w.ScaledExact {
			exact = "rounded"
		}
		fmt.Printf("%d linears have another alpha/rank than the rest; their factor B is multiplied to make up for it, %s\n", w.Scaled, exact)
	}
	switch c.To {
	case "mindformers":
		fmt.Printf("train or predict with pet_config: {pet_type: lora, lora_rank: %d, lora_alpha: %g, target_modules: '.*%s'}\n",
			w.Rank, w.Alpha, strings.Join(w.Targets, "|.*"))
	case "torchtune":
		fmt.Printf("the recipe must say lora_rank: %d, lora_alpha: %g\n", w.Rank, w.Alpha)
	}
	return nil
}
