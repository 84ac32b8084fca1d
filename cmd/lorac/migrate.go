package main

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/start"
	"lorac/ir/diag"
)

type migrateCmd struct {
	Config string   `arg:"" help:"YAML of LLaMA-Factory or Axolotl, or adapter_config.json of PEFT."`
	Base   string   `name:"load_checkpoint" help:"Where the base is, if not where the config says." placeholder:"PATH"`
	Data   string   `name:"train_dataset_dir" help:"Rows to train on, if not those that the config says." placeholder:"PATH"`
	Eval   string   `name:"eval_dataset_dir" help:"Rows to evaluate on, if not those that the config says." placeholder:"PATH"`
	Leave  []string `name:"leave_out" help:"Keys that are left out though they matter: refused or unknown ones." placeholder:"KEY,…"`
	Out    string   `short:"o" help:"File to write; - is the terminal (default: lora_NAME.yaml)." placeholder:"FILE.yaml"`
}

// Run translates, says what became of each key, and writes the config if none is lost.
func (c *migrateCmd) Run() error {
	base := build.Base{}
	m, err := start.Migrate(c.Config, c.Base, c.Leave, func(path string) (*start.Draft, diag.List) { return base.Draft(path, nil) })
	var list diag.List
	if errors.As(err, &list) {
		return build.Show(list, true)
	}
	if err != nil {
		return err
	}
	report := os.Stdout
	if c.Out == "-" {
		report = os.Stderr
	}
	m.Report(report)
	if failed := m.Failed(); len(failed) > 0 {
		return fmt.Errorf("nothing is written: a config without these keys would train another thing\n  = help: change them in %s; or --leave_out %s", c.Config, strings.Join(failed, ","))
	}
	if c.Data != "" {
		m.Draft.Train.Path = c.Data
	}
	if c.Eval != "" {
		m.Draft.Eval.Path = c.Eval
	}
	return write(m.Draft, c.Out)
}
