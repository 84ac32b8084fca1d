package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/convert/formats"
	"lorac/compiler/config"
	"lorac/runtime/sys/human"
)

// Merge adds an adapter to its base.
type Merge struct {
	Base     string    `required:"" help:"Base weights of any format." placeholder:"PATH"`
	Adapter  string    `required:"" help:"LoRA adapter of any format; of a .ckpt that holds base and adapter, the same file." placeholder:"PATH"`
	Out      string    `short:"o" required:"" help:"Directory, or for some formats file, of the merged checkpoint." placeholder:"PATH"`
	To       string    `enum:"hf,mindformers,meta,llama2c,torchtune,gguf" default:"hf" help:"hf, mindformers, meta, llama2c, torchtune or gguf." placeholder:"FORMAT"`
	DType    string    `name:"dtype" enum:"keep,f32,f16,bf16" default:"keep" help:"Type of the adapted matrices, and of what the base stores in blocks where the format has none: keep, f32, f16 or bf16."`
	Tok      string    `name:"tokenizer" help:"gguf: the tokenizer, where it is not beside the weights: its directory or a GGUF file." placeholder:"PATH"`
	Config   string    `help:"What the model and its pet_config are, where the files do not say." placeholder:"FILE"`
	Alpha    float64   `name:"lora_alpha" help:"Of an adapter that does not say it." placeholder:"A"`
	Ignore   string    `name:"base_config" enum:"compare,ignore" default:"compare" help:"ignore: --config counts where config.json and the like beside the base say another thing." placeholder:"ignore"`
	MaxShard cli.Bytes `name:"max_shard_size" help:"hf: most bytes of a file, e.g. 5GB." placeholder:"SIZE"`
	Verify   bool      `help:"Compare the logits of what was written with base + adapter; differing beyond rounding is an error."`
	Tokens   int       `name:"verify_tokens" default:"16" help:"How many tokens to compare on, 1 to 512."`
}

// Run merges; one matrix at a time is in memory.
func (c *Merge) Run() error {
	pair, err := knownPair(c.Config, c.Alpha)
	if err != nil {
		return err
	}
	if c.Verify && (c.Tokens < 1 || c.Tokens > 512) {
		return cli.Usage("--verify_tokens is from 1 to 512")
	}
	known := pair.Model
	base, err := formats.OpenAs(c.Base, known, c.Ignore == "ignore")
	if err != nil {
		return fmt.Errorf("cannot open the base weights: %w", err)
	}
	defer base.Close()
	pair.Model = &base.Model
	a, err := formats.OpenAdapter(c.Adapter, pair)
	if err != nil {
		return fmt.Errorf("cannot load the adapter: %w", err)
	}
	if base.Unwrapped != "" {
		note([]string{base.Unwrapped})
	}
	note(base.Noted)
	note(a.Notes())
	if other := a.OtherBase(c.Base); other != "" {
		note([]string{other})
	}
	warnings := a.Warnings()
	if c.Verify && len(warnings) > 0 {
		return fmt.Errorf("cannot verify, so nothing is written: %s\n  = help: without --verify it is merged as it is", strings.Join(warnings, "\n  "))
	}
	warn(warnings)
	if info, err := os.Stat(c.Adapter); err == nil && info.IsDir() {
		base.AdapterDir = c.Adapter
	}
	dtype := ""
	if c.DType != "keep" {
		dtype = strings.ToUpper(c.DType)
	}
	n, err := base.Merge(a, dtype)
	if err != nil {
		return err
	}
	var expected *formats.Expected
	if c.Verify {
		if expected, err = c.expect(known, a); err != nil {
			return fmt.Errorf("cannot verify, so nothing is written: %w", err)
		}
	}
	to := c.To
	if to == "" {
		to = "hf"
	}
	o := formats.Options{MaxShard: int64(c.MaxShard), Tokenizer: c.Tok, Blocks: dtype}
	done := writing(c.Out, formats.Size(base, o))
	files, err := formats.Write(base, to, c.Out, o)
	done()
	if err != nil {
		return err
	}
	also := ""
	if m := a.SavedModules(); m > 0 {
		also = " and " + human.Count(m, "whole module")
	}
	fmt.Printf("merged %s%s into %s\n", human.Count(n, "linear"), also, strings.Join(files, ", "))
	sayBeside(base, to, files)
	if !c.Verify {
		return nil
	}
	return c.verify(expected, &base.Model)
}

// expect opens the base again: in the one that is being merged the adapter is
// in the matrices.
func (c *Merge) expect(known *formats.Model, a *formats.Adapter) (*formats.Expected, error) {
	base, err := formats.OpenAs(c.Base, known, c.Ignore == "ignore")
	if err != nil {
		return nil, err
	}
	defer base.Close()
	return formats.Expect(base, a, c.Tokens)
}

// verify opens the result, so that what was written is what is compared.
func (c *Merge) verify(expected *formats.Expected, model *formats.Model) error {
	written, err := formats.Open(c.Out, model)
	if err != nil {
		return fmt.Errorf("what was written cannot be read: %w", err)
	}
	defer written.Close()
	d, err := expected.Compare(written)
	if err != nil {
		return fmt.Errorf("cannot verify: %w", err)
	}
	fmt.Printf("verified on %d tokens: logits differ from base + adapter by at most %.3g, %.3g is allowed; the greatest logit is %.4g, the adapter changes logits by up to %.4g\n",
		d.Tokens, d.Greatest, d.Tolerance, d.Logit, d.Effect)
	if d.Greatest > d.Tolerance {
		return fmt.Errorf("the merged model in %s is not base + adapter: its logits differ by %.3g, rounding explains %.3g", c.Out, d.Greatest, d.Tolerance)
	}
	if d.Greatest > d.Effect/4 {
		fmt.Println("note: rounding takes a good part of what the adapter does; --dtype f32 keeps it")
	}
	return nil
}

// knownPair is what --config and --lora_alpha say of a model and its adapter.
func knownPair(path string, alpha float64) (formats.Known, error) {
	m, err := knownModel(path)
	if err != nil {
		return formats.Known{}, err
	}
	known := formats.Known{Model: m, Alpha: alpha, Place: "--lora_alpha"}
	if ext := filepath.Ext(path); alpha == 0 && (ext == ".yaml" || ext == ".yml") {
		cfg, err := build.Load(path, []config.Override{{Path: "run_mode", Value: "predict", Origin: "convert"}})
		if err != nil {
			return known, err
		}
		if cfg.LoRA != nil {
			known.Alpha, known.Rank, known.Place = cfg.LoRA.Alpha.V, cfg.LoRA.Rank.V, "pet_config in "+path
		}
	}
	return known, nil
}
