package main

import (
	"fmt"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/convert"
	"lorac/compiler/cost"
	"lorac/runtime/sys/human"
)

type planCmd struct {
	source
	Tokens  int      `help:"Live tokens of a micro-batch (default: those of the largest of the data, or the most one takes)." placeholder:"N"`
	Weights string   `name:"load_checkpoint" help:"Base weights, for the type they are stored in." placeholder:"PATH"`
	Trans   string   `name:"auto_trans_ckpt" enum:",True,False,true,false" default:"" help:"True: the base weights may be spread over ranks." placeholder:"True"`
	Layout  string   `name:"src_strategy_path_or_dir" help:"As these strategy files say." placeholder:"PATH"`
	Data    string   `name:"train_dataset_dir" help:"Training data, for the rows a micro-batch will have." placeholder:"PATH"`
	Trainer []string `name:"trainer" hidden:"" sep:"none" help:"Flags of the trainer (keysAsSet)."`
	JSON    bool     `help:"For programs."`
	deviceFlags
	socFlag
}

// Run prints the plan.
func (c *planCmd) Run() error {
	if c.Tokens < 0 {
		return cli.Usage("--tokens %d: must be a whole number from 1 up", c.Tokens)
	}
	if c.Weights != "" { // one that only the config names may be where the trainer will run
		if err := build.StatBase(c.Weights); err != nil {
			return err
		}
	}
	s, err := c.source.source()
	if err != nil {
		return err
	}
	args, err := convert.ReadableRows(configOf(s), c.args())
	if err != nil {
		return err
	}
	t := build.Target{}
	if err := t.Read(args); err != nil {
		return err
	}
	d, err := c.choose(s)
	if err != nil {
		return err
	}
	t.For(d)
	p, err := build.PlanOf(s, t, c.Tokens)
	if err != nil {
		return err
	}
	p.Device = d.String()
	if c.JSON {
		return printJSON(p)
	}
	fmt.Println(d)
	printPlan(p)
	return nil
}

// choose is the device that the plan is for.
func (c *planCmd) choose(s build.Source) (*build.Device, error) {
	dump, err := s.ForAscend()
	if err != nil {
		return nil, err
	}
	if c.Device != "ascend" && !dump {
		if err := c.unused(); err != nil {
			return nil, err
		}
	}
	f := c.flags(c.SoC)
	f.Read(c.Trainer)
	f.Device, f.Dump = c.Device, dump
	return build.ChooseDevice(configOf(s), f, false)
}

// args are the flags of the plan as those of the trainer that it is about.
func (c *planCmd) args() []string {
	args := []string{"--run_mode", "finetune"}
	add := func(name, value string) {
		if value != "" {
			args = append(args, "--"+name, value)
		}
	}
	add("load_checkpoint", c.Weights)
	add("auto_trans_ckpt", c.Trans)
	add("src_strategy_path_or_dir", c.Layout)
	if c.Limit > 0 {
		add("mem_limit", fmt.Sprint(int(c.Limit)))
	}
	args = append(args, c.Trainer...)
	add("train_dataset_dir", c.Data)
	return args
}

func printPlan(p *build.Plan) {
	fmt.Printf("%s, a step of %d live tokens\n\n", p.Config, p.Tokens)
	fmt.Printf("parameters %s, trainable %s\n\n", human.Thousands(p.Parameters), human.Thousands(p.Trainable))
	unit, name := cost.FLOPUnit(max(p.Unpruned, p.FLOPs))
	fmt.Printf("%-18s %14s %14s\n", name, "unpruned", "a step")
	for _, g := range p.Step {
		fmt.Printf("  %-16s %14.4f %14.4f\n", g.Group, g.Unpruned/unit, g.FLOPs/unit)
	}
	fmt.Printf("  %-16s %14.4f %14.4f\n", "total", p.Unpruned/unit, p.FLOPs/unit)
	if p.Ascend != nil {
		fmt.Println()
		p.Ascend.Print(p.Tokens)
		return
	}
	fmt.Printf("\na step takes %s; before pruning %s (and %s for the adapters)\n\n", cost.FLOPs(p.FLOPs), cost.FLOPs(p.BaseOnly), cost.FLOPs(p.Unpruned-p.BaseOnly))
	for _, b := range p.Bytes {
		fmt.Printf("  %-52s %12s bytes %10.1f MiB\n", b.Name, human.Thousands(b.Bytes), float64(b.Bytes)/(1<<20))
	}
	fmt.Printf("  %-52s %12s bytes %10.1f MiB\n", "peak resident memory", human.Thousands(p.Total), float64(p.Total)/(1<<20))
	if p.Choice != "" {
		fmt.Printf("\nfor --mem_limit %s: %s\n", human.Bytes(p.Limit), p.Choice)
	}
}
