package main

import (
	"fmt"
	"os"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/convert"
	"lorac/cmd/lorac/preview"
	"lorac/compiler/config"
	rt "lorac/runtime"
)

type dataCmd struct {
	File      string            `arg:"" help:"Training data: file, directory or several with commas."`
	Config    string            `arg:"" optional:"" help:"Config whose trainer would read them; without one, rows are as long as they are."`
	Set       map[string]string `help:"Override a key of the config; --key.path VALUE does the same." placeholder:"key.path=VALUE"`
	Tokenizer string            `help:"tokenizer.model or tokenizer.json (default: beside the checkpoint)." placeholder:"PATH"`
	Weights   string            `name:"load_checkpoint" help:"Base weights, for the tokenizer beside them." placeholder:"PATH"`
	Special   string            `name:"special_tokens" enum:",ids,text" default:"" help:"ids: control tokens that a text spells become their ids; text: they stay text." placeholder:"ids"`
	Prompt    string            `help:"How questions are rendered, as in finetune." placeholder:"NAME"`
	TrainOn   string            `name:"train_on" help:"What of a conversation is supervised: turns, last or all." placeholder:"turns"`
	Format    string            `help:"Format of rows, where their keys do not say it." placeholder:"auto"`
	SeqLength *int              `name:"seq_length" help:"Longest row (default: the config's)." placeholder:"N"`
	Rows      int               `default:"3" help:"Rows that are shown; 0: none." placeholder:"N"`
	Row       int               `default:"1" help:"The first of them." placeholder:"N"`
	JSON      bool              `help:"For programs."`
}

// Run shows the rows.
func (c *dataCmd) Run() error {
	switch {
	case c.Rows < 0:
		return cli.Usage("--rows %d: must be a whole number from 0 up", c.Rows)
	case c.Row < 1:
		return cli.Usage("--row %d: must be a whole number from 1 up", c.Row)
	case c.SeqLength != nil && *c.SeqLength < 1:
		return cli.Usage("--seq_length %d: must be a whole number from 1 up", *c.SeqLength)
	case c.Config == "" && len(c.Set) > 0:
		return cli.Usage("keys are overridden, but no config is given: lorac data %s CONFIG", c.File)
	}
	args := c.args()
	t := build.Target{}
	if err := t.Read(args); err != nil {
		return err
	}
	var cfg *config.Config
	var j *rt.Job
	var err error
	if c.Config != "" {
		s := configSource{Config: c.Config, Set: c.Set}
		base := build.Base{Weights: c.Weights}
		if cfg, err = base.Load(c.Config, s.overrides()); err != nil {
			return err
		}
		j, err = build.JobOf(cfg, t)
	} else {
		j, err = build.JobWithout(t, c.Tokenizer, c.Prompt)
	}
	if err != nil {
		return err
	}
	if c.SeqLength != nil {
		j.SeqLength = *c.SeqLength
		j.TrainData.SeqLength = 0
	}
	if c.Format != "" {
		j.TrainData.Format = c.Format
	}
	if args, err = convert.ReadableRows(cfg, args); err != nil {
		return err
	}
	var said []string
	say := func(format string, a ...any) { said = append(said, fmt.Sprintf(format, a...)) }
	return rt.ReadRows(j, args, say, func(r *rt.Rows) {
		p := preview.Of(r, said, c.Row, c.Rows)
		if c.JSON {
			err = printJSON(p)
			return
		}
		p.Print(os.Stdout)
	})
}

// args are the flags as those of the trainer.
func (c *dataCmd) args() []string {
	args := []string{"--run_mode", "finetune", "--train_dataset_dir", c.File}
	for _, f := range [][2]string{{"tokenizer", c.Tokenizer}, {"load_checkpoint", c.Weights}, {"special_tokens", c.Special}, {"prompt", c.Prompt}, {"train_on", c.TrainOn}} {
		if f[1] != "" {
			args = append(args, "--"+f[0], f[1])
		}
	}
	return args
}
