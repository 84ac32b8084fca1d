package main

import (
	"fmt"
	"io"
	"os"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/launch"
	"lorac/compiler/config"
)

type checkCmd struct {
	configSource
	baseFlags
	deviceFlags
	JSON   bool `help:"For programs."`
	Schema bool `help:"Write the JSON Schema of the accepted YAML instead, for editors."`
}

// Run accounts for every key, wrong ones included.
func (c *checkCmd) Run() error {
	if c.Schema {
		return config.JSONSchema(os.Stdout)
	}
	path, err := c.path()
	if err != nil {
		return err
	}
	base, err := c.base()
	if err != nil {
		return err
	}
	cfg, list := base.Check(path, c.overrides())
	err = build.Show(list, list.HasErrors(), cfg.Sources)
	build.SayDrafted(cfg)
	if err == nil {
		err = c.device(cfg)
	}
	if err == nil { // those of the config, too, where they are here
		err = build.CheckWeights(cfg, c.target(base))
	}
	if c.JSON {
		if e := cfg.ReportJSON(os.Stdout); e != nil {
			return e
		}
		return err
	}
	if !list.HasErrors() {
		cfg.ReportText(os.Stdout)
	}
	return err
}

// device says what the config would run on, and what keeps it from there.
func (c *checkCmd) device(cfg *config.Config) error {
	d, err := build.ChooseDevice(cfg, c.flags(""), false)
	if err != nil {
		return err
	}
	out := os.Stdout
	if c.JSON {
		out = os.Stderr
	}
	fmt.Fprintln(out, d)
	sayProcesses(out, cfg.Devices.Job().Count)
	printSlow(out, build.SlowPaths(cfg, d, &build.Target{}))
	if err := build.CheckDevice(cfg, d); err != nil {
		return err
	}
	return build.CheckProgram(cfg, d)
}

// sayProcesses says how many processes a launch would have.
func sayProcesses(out io.Writer, devices int) {
	if text := launch.Planned(devices); text != "" {
		fmt.Fprintln(out, text)
	}
}
