package main

import (
	"fmt"
	"os"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/convert"
	"lorac/cmd/lorac/launch"
	"lorac/compiler/config"
	"lorac/ir/diag"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/signals"
)

type finetuneCmd struct {
	Args []string `arg:"" optional:"" passthrough:"" help:"CONFIG (or --config CONFIG) and the trainer's flags; --help-trainer lists them."`
}

// Help is the flags, for lorac finetune --help.
func (c *finetuneCmd) Help() string { return launch.Help() }

// Run compiles and then is the trainer, or starts as many as --workers says.
func (c *finetuneCmd) Run() error {
	prepared := signals.Prepare()
	call, err := launch.Parse(c.Args)
	if err != nil {
		return err
	}
	call.Mesh = build.CompleteMesh(call.Mesh, call.Started())
	mesh, err := build.MeshOf(call.Mesh, &call.Workers, call.Launch.HostCount())
	if err != nil {
		return err
	}
	p, err := call.Processes()
	if err != nil {
		return err
	}
	bin, args, err := p.Once(func() (string, []string, error) { return compileTrainer(call, p, mesh, prepared) })
	prepared.Release() // from here on the trainer answers signals
	if err != nil {
		return err
	}
	return p.Run(bin, args)
}

// compileTrainer compiles what the arguments ask for, and gives those that are for the
// trainer.
func compileTrainer(call *launch.Call, p *launch.Processes, mesh build.Mesh, prepared *signals.Preparation) (string, []string, error) {
	if call.From != "" {
		return compileDump(call, p, prepared)
	}
	base := build.Base{}
	if err := base.Read(call.Rest); err != nil {
		return "", nil, err
	}
	cfg, err := base.Load(call.Config, call.Overrides)
	if err != nil {
		return "", nil, err
	}
	if trainsAs(cfg.RunMode.V, call.Rest) {
		prepared.Training(endedEarly)
	}
	f := build.DeviceFlags{}
	f.Read(call.Rest)
	d, err := build.ChooseDevice(cfg, f, true)
	if err != nil {
		return "", nil, err
	}
	fmt.Fprintln(os.Stderr, d)
	if d.Card != nil {
		trains := trainsAs(cfg.RunMode.V, call.Rest)
		if err := p.OnCards(call, cfg.Devices.Job().Count, d.ID, d.Cards, trains); err != nil {
			return "", nil, err
		}
	}
	p.Say(cfg.Devices.Job().Count)
	call.Say(func(o []config.Override) (*config.Config, diag.List) { return base.Check(call.Config, o) })
	build.SayTaken(cfg)
	if err := call.Check(cfg.RunMode.V); err != nil {
		return "", nil, err
	}
	args, err := convert.ReadableRows(cfg, call.Rest)
	if err != nil {
		return "", nil, err
	}
	if p.Over == "" { // there is one process, which does it all
		mesh = nil
	}
	t := build.Target{Here: true, Ascend: d.Card, Over: p.Over, Processes: p.N, Local: p.Local, Mesh: mesh}
	if err := t.Read(args); err != nil {
		return "", nil, err
	}
	if err := build.RefuseSlow(build.SlowPaths(cfg, d, &t), args); err != nil {
		return "", nil, err
	}
	for i, a := range args[:max(len(args)-1, 0)] {
		if a == "--train_dataset_dir" || a == "--eval_dataset_dir" {
			if err := convert.CheckIndexes(args[i+1]); err != nil {
				return "", nil, err
			}
		}
	}
	if err := build.FindBase(cfg, t.Weights); err != nil {
		return "", nil, err
	}
	bin, err := build.Trainer(cfg, t)
	if err == nil && d.Card != nil {
		err = build.LinkKernels(d, bin)
	}
	return bin, args, err
}

// endedEarly ends the process by a signal that came before training.
func endedEarly(s os.Signal) {
	atomicfile.RemoveTemps()
	fmt.Fprintln(os.Stderr, "error: ended by "+signals.Name(s)+" before training began")
	signals.Raise(s)
}

// compileDump compiles the dump that takes the place of a config.
func compileDump(call *launch.Call, p *launch.Processes, prepared *signals.Preparation) (string, []string, error) {
	if p.Over != "" {
		return "", nil, cli.Usage("--from %s runs as one process; of several, start the trainer that lorac compile --from %s -o DIR makes", call.From, call.From)
	}
	if trainsAs("finetune", call.Rest) {
		prepared.Training(endedEarly)
	}
	s := build.Source{From: call.From}
	ascend, err := s.ForAscend()
	if err != nil {
		return "", nil, err
	}
	f := build.DeviceFlags{Dump: ascend}
	f.Read(call.Rest)
	d, err := build.ChooseDevice(nil, f, true)
	if err != nil {
		return "", nil, err
	}
	fmt.Fprintln(os.Stderr, d)
	t := build.Target{Here: true, Ascend: d.Card}
	if err := t.Read(call.Rest); err != nil {
		return "", nil, err
	}
	bin, err := build.TrainerOf(s, t)
	if err == nil && d.Card != nil {
		err = build.LinkKernels(d, bin)
	}
	return bin, call.Rest, err
}

// trainsAs reports whether a run trains: as --run_mode says, else the config.
func trainsAs(mode string, args []string) bool {
	for i := 0; i+1 < len(args); i++ {
		if args[i] == "--run_mode" {
			mode = args[i+1]
		}
	}
	return mode == "finetune" || mode == "train"
}
