// Package compiler leads from a config to an optimised module. It knows
// nothing of the program that will be made of it.
package compiler

import (
	"fmt"

	"lorac/compiler/config"
	"lorac/compiler/model"
	"lorac/compiler/passes"
	"lorac/ir"
)

// Result is a compiled module with what each pass did.
type Result struct {
	Module *ir.Module
	Steps  []passes.Step
}

// Compile is the story: the config becomes a forward graph, the passes make a
// training step of it. after, when given, is shown the module behind the model
// builder ("model") and every pass.
func Compile(c *config.Config, o *passes.Options, after func(pass string, m *ir.Module)) (*Result, error) {
	m, err := model.Build(c)
	if err != nil {
		return nil, err
	}
	if after != nil {
		after("model", m)
	}
	return optimise(m, o, after)
}

// Resume goes on from a dump, edited or not, behind the pass it was taken after.
func Resume(file, text string, o *passes.Options, after func(pass string, m *ir.Module)) (*Result, error) {
	m, err := ir.Parse(file, text)
	if err != nil {
		return nil, err
	}
	return optimise(m, o, after)
}

func optimise(m *ir.Module, o *passes.Options, after func(pass string, m *ir.Module)) (*Result, error) {
	complete := passes.Count(m).FLOPs // of the complete gradient, once there is one
	steps, err := passes.Run(m, o, func(pass string, m *ir.Module) {
		switch pass {
		case "autodiff":
			complete = passes.Count(m).FLOPs
		case "prune-frozen":
			pruned(m, complete, passes.Count(m).FLOPs)
		}
		if after != nil {
			after(pass, m)
		}
	})
	if err != nil {
		return nil, err
	}
	return &Result{m, steps}, nil
}

// pruned records, for the trainer to say, what prune-frozen saved.
func pruned(m *ir.Module, before, after float64) {
	if before > after {
		m.Settings = append(m.Settings, &ir.Setting{Key: "pruned", Val: fmt.Sprintf(
			"pruned: gradients of the frozen base, %s of %s a pass of most rows", passes.FLOPs(before-after), passes.FLOPs(before))})
	}
}
