package main

import (
	"fmt"
	"os"
	"strings"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/start"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/disk"
)

type initCmd struct {
	Base string            `arg:"" help:"Base weights: a Hugging Face or Meta directory, or a .gguf, .safetensors, .ckpt, .pth or llama2.c file."`
	Out  string            `short:"o" help:"File to write; - is the terminal (default: lora_NAME.yaml)." placeholder:"FILE.yaml"`
	Data string            `name:"train_dataset_dir" help:"Rows to train on; written into the config." placeholder:"PATH"`
	Eval string            `name:"eval_dataset_dir" help:"Rows to evaluate on; written into the config." placeholder:"PATH"`
	Set  map[string]string `help:"A key of the model that the base does not say, as model.model_config.num_heads; --key.path VALUE does the same." placeholder:"key.path=VALUE"`
}

// Run writes the config, and says what comes next.
func (c *initCmd) Run() error {
	if !disk.Exists(c.Base) {
		return cli.Usage("there is nothing at %s", c.Base)
	}
	if !start.IsBase(c.Base) {
		if d := start.Recognise(c.Base); d != nil {
			return build.ShowOne(d)
		}
		return cli.Usage("%s is a text, not base weights\n  = help: give the directory or file of the model", c.Base)
	}
	source := configSource{Set: c.Set}
	for key := range c.Set {
		if !start.OfModel(key) {
			return cli.Usage("%s: lorac init takes keys of the model (model.model_config.num_heads); edit others in the file that it writes", key)
		}
	}
	base := build.Base{}
	d, list := base.Draft(c.Base, source.overrides())
	if d == nil {
		return build.Show(list, true)
	}
	d.Train.Path, d.Eval.Path = c.Data, c.Eval
	build.TakeTemplate(d)
	return write(d, c.Out)
}

// write writes a draft that the compiler takes, and says what comes next.
func write(d *start.Draft, out string) error {
	if out == "" {
		out = "lora_" + strings.ToLower(d.Name) + ".yaml"
	}
	if out != "-" {
		if disk.Exists(out) {
			return cli.Usage("%s is there already; remove it, or give another -o", out)
		}
		d.File = out
	}
	text := d.YAML()
	base := build.Base{}
	cfg, list := base.CheckText(out, text)
	if err := build.Show(list, list.HasErrors(), cfg.Sources); err != nil {
		return err
	}
	if err := build.CheckWeights(cfg, build.Target{}); err != nil {
		return err
	}
	if out == "-" {
		_, err := os.Stdout.Write(text)
		return err
	}
	if err := atomicfile.WriteText(out, text); err != nil {
		return err
	}
	fmt.Printf("wrote %s: %s\n", out, start.Choice(cfg))
	for _, n := range d.Notes {
		fmt.Println("note:", n)
	}
	fmt.Println("next:")
	for _, line := range d.Next(out) {
		fmt.Println("    " + line)
	}
	return nil
}
