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
)

// Weights converts base weights between formats.
type Weights struct {
	In        string    `arg:"" help:"Base weights of any format: Hugging Face or Meta directory, .safetensors, .ckpt, .pth, .pt, .bin of torch or llama2.c, .gguf." name:"in"`
	Out       string    `short:"o" required:"" help:"Directory (hf, meta, torchtune) or file (mindformers: .ckpt, llama2c: .bin, gguf: .gguf)." placeholder:"PATH"`
	To        string    `required:"" enum:"hf,mindformers,meta,llama2c,torchtune,gguf" help:"hf, mindformers, meta, llama2c, torchtune or gguf." placeholder:"FORMAT"`
	Config    string    `help:"What the model is, where the files do not say: MindFormers YAML, config.json or params.json." placeholder:"FILE"`
	DType     string    `name:"dtype" enum:"keep,f32,f16,bf16" default:"keep" help:"Stored type: keep, f32, f16 or bf16."`
	MaxShard  cli.Bytes `name:"max_shard_size" help:"hf: most bytes of a file, e.g. 5GB; all in one file if not given." placeholder:"SIZE"`
	QKVConcat bool      `name:"qkv_concat" help:"mindformers: w_qkv and w_gate_hidden instead of wq, wk, wv and w1, w3."`
	Version   int       `name:"llama2c_version" enum:"0,1,2" default:"0" help:"llama2c: 0 (what run.c reads), 1, or 2 (8 bits, runq.c)."`
	Ignore    string    `name:"base_config" enum:"compare,ignore" default:"compare" help:"ignore: --config counts where config.json and the like beside the weights say another thing." placeholder:"ignore"`
	Name      string    `help:"gguf: name of the model." placeholder:"NAME"`
	Tokenizer string    `help:"gguf: the tokenizer, where it is not beside the weights: its directory or a GGUF file." placeholder:"PATH"`
}

// Run converts; one tensor at a time is in memory.
func (c *Weights) Run() error {
	known, err := knownModel(c.Config)
	if err != nil {
		return err
	}
	s, err := formats.OpenAs(c.In, known, c.Ignore == "ignore")
	if err != nil {
		return fmt.Errorf("cannot open the weights: %w", err)
	}
	defer s.Close()
	note(s.Noted)
	o := formats.Options{MaxShard: int64(c.MaxShard), QKVConcat: c.QKVConcat, Version: c.Version, Name: c.Name, Tokenizer: c.Tokenizer}
	if c.DType != "keep" {
		o.DType = strings.ToUpper(c.DType)
	}
	done := writing(c.Out, formats.Size(s, o))
	files, err := formats.Write(s, c.To, c.Out, o)
	done()
	if err != nil {
		return err
	}
	fmt.Printf("wrote %d parameters to %s\n", len(s.Names()), strings.Join(files, ", "))
	if s.Unwrapped != "" {
		fmt.Println(s.Unwrapped)
	}
	sayBeside(s, c.To, files)
	if len(s.Left) > 0 {
		fmt.Printf("left out what is no weight: %s\n", few(s.Left))
	}
	if c.To == "hf" && s.Model.HeadDim == 0 {
		fmt.Println("no config.json is written: nothing says how many heads the model has (--config)")
	}
	return nil
}

// knownModel is what a file says of a model: a config of MindFormers, or
// config.json or params.json, or the directory of one. nil without a file.
func knownModel(path string) (*formats.Model, error) {
	if path == "" {
		return nil, nil
	}
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		for _, name := range []string{"config.json", "params.json"} {
			if _, err := os.Stat(filepath.Join(path, name)); err == nil {
				return knownModel(filepath.Join(path, name))
			}
		}
		return nil, fmt.Errorf("%s holds neither config.json nor params.json", path)
	}
	if filepath.Ext(path) == ".json" {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		m, err := formats.ModelOf(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return &m, nil
	}
	cfg, err := build.Load(path, []config.Override{{Path: "run_mode", Value: "predict", Origin: "convert"}})
	if err != nil {
		return nil, err
	}
	return modelOf(cfg), nil
}

// modelOf is what a config of MindFormers says of its model.
func modelOf(cfg *config.Config) *formats.Model {
	c := &cfg.Model
	m := formats.Unknown()
	m.Hidden, m.FFN, m.Layers, m.Heads, m.KVHeads, m.HeadDim = c.Hidden.V, c.FFN.V, c.Layers.V, c.Heads.V, c.KVHeads.V, c.HeadDim.V
	m.Vocab, m.MaxPosition, m.Eps, m.Theta, m.Tied, m.BOS = c.Vocab.V, max(c.MaxPosition.V, c.SeqLength.V), c.RMSEps.V, c.Theta.V, c.TieEmbeddings.V, c.BosID.V
	m.QKVBias, m.ProjBias, m.MLPBias = c.QKVBias.V, c.ProjBias.V, c.MLPBias.V
	if len(c.EosIDs.V) > 0 {
		m.EOS = c.EosIDs.V[0]
	}
	switch f := c.RopeFactors; c.RopeMethod.V {
	case "pi":
		m.Scaling = map[string]any{"rope_type": "linear", "factor": f["factor"]}
	case "ntk": // MindFormers multiplies the base
		m.Theta *= f["factor"]
	case "yarn", "llama3":
		m.Scaling = map[string]any{"rope_type": c.RopeMethod.V}
		for key, x := range f {
			m.Scaling[key] = x
		}
	}
	return &m
}
