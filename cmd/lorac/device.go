package main

import (
	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/cli"
	"lorac/compiler/config"
)

// deviceFlags say what a job of this machine is for.
type deviceFlags struct {
	Device   string `enum:"auto,cpu,ascend" default:"auto" help:"What computes: cpu, ascend, or auto: an Ascend NPU where context.device_target asks for one and it answers."`
	DeviceID string `name:"device_id" help:"Card of the NPU (default: DEVICE_ID, then context.device_id)." placeholder:"N"`
}

// elsewhereFlags say what is made for another machine: the flag alone decides.
type elsewhereFlags struct {
	Device   string `enum:"auto,cpu,ascend" default:"auto" help:"What it is made for: ascend, or the CPU (cpu, auto)."`
	DeviceID string `name:"device_id" help:"Card that is asked what it is (default: DEVICE_ID, then context.device_id)." placeholder:"N"`
	Mesh     string `help:"What is made for processes that share each step: dp=2,pp=2,mp=2." placeholder:"MESH"`
	socFlag
}

// shared sets the mesh of a target, whose processes meet over MPI; from a dump it is that
// of the dump.
func (f *elsewhereFlags) shared(t *build.Target) (err error) {
	if f.Mesh == "" {
		return nil
	}
	t.Mesh, err = build.MeshOf(f.Mesh, &t.Processes, 1)
	t.Over, t.Local = "mpi", t.Processes
	return err
}

// socFlag is the kind of card, where none needs to be there.
type socFlag struct {
	SoC string `name:"soc" help:"Kind of Ascend card: 910b1, … (default: the one that is found, else 910b3)." placeholder:"910b3"`
}

func (f *deviceFlags) flags(soc string) build.DeviceFlags {
	return build.DeviceFlags{Device: f.Device, ID: f.DeviceID, SoC: soc}
}

// device is that of what need not run on this machine: the flag alone decides, or a
// dump. It is nil for the CPU.
func (f *elsewhereFlags) device(s build.Source) (*build.Device, error) {
	dump, err := s.ForAscend()
	if err != nil {
		return nil, err
	}
	if f.Device != "ascend" && !dump {
		return nil, f.unused()
	}
	flags := build.DeviceFlags{Device: f.Device, ID: f.DeviceID, SoC: f.SoC, Dump: dump}
	return build.ChooseDevice(configOf(s), flags, false)
}

// configOf is the config of a source, nil of a dump. What is wrong with it, the
// compiler says.
func configOf(s build.Source) *config.Config {
	if s.From != "" {
		return nil
	}
	b := s.Base
	if b == nil {
		b = &build.Base{}
	}
	c, list := b.Check(s.Config, s.Overrides)
	if list.HasErrors() {
		return nil
	}
	return c
}

// unused refuses a kind of card that nothing is for.
func (s socFlag) unused() error {
	if s.SoC != "" {
		return cli.Usage("--soc %s: goes with --device ascend", s.SoC)
	}
	return nil
}
