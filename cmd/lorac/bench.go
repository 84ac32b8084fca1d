package main

import (
	"os"

	"lorac/cmd/lorac/bench"
	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
)

type benchCmd struct {
	configSource
	compilerFlags
	From string `hidden:""`
	deviceFlags
	socFlag
	Rows    []int  `help:"Token rows the kernels are measured at; the step takes the most of them (default 1024, the step no more than seq_length; on a card a whole micro-batch)." placeholder:"N,…"`
	Steps   *int   `help:"Steps of the whole-step run (default: about ten seconds of them)." placeholder:"N"`
	Layers  *int   `help:"Layers of the whole-step run (default: as many as memory and a minute allow; on a card all)." placeholder:"N"`
	Threads *int   `help:"Threads (default: all)." placeholder:"N"`
	Only    string `help:"Measure this part alone: machine, kernels, step, or the texts that are generated: decode, prompt." enum:"machine,kernels,step,decode,prompt," default:"" placeholder:"PART"`
	JSON    bool   `help:"For programs."`
}

// Run measures and prints.
func (c *benchCmd) Run() error {
	if c.From != "" {
		return cli.Usage("bench takes a config, not an IR dump: it makes weights and data of the config's shapes")
	}
	o := bench.Options{Overrides: c.overrides(), Compiler: c.options(), Limit: int(c.Limit),
		Rows: c.Rows, Steps: c.Steps, Layers: c.Layers, Threads: c.Threads, Only: c.Only}
	if c.Config != "" || c.Flag != "" {
		path, err := c.path()
		if err != nil {
			return err
		}
		o.Config = path
	}
	device, err := c.device(build.Source{Config: o.Config, Overrides: o.Overrides})
	if err != nil {
		return err
	}
	r, err := o.Run(device)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(r)
	}
	r.Print(os.Stdout)
	return nil
}

// device is what is measured; nil: this machine, whatever the config is for.
func (c *benchCmd) device(s build.Source) (*build.Device, error) {
	if c.Device != "ascend" {
		if err := c.unused(); err != nil || c.Only == "machine" {
			return nil, err
		}
	}
	return build.ChooseDevice(configOf(s), c.flags(c.SoC), false)
}
