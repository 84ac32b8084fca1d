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
	steps, err := passes.Run(m, o, after)
	if err != nil {
		return nil, err
	}
	if (o == nil || o.Last == "") && m.Setting("pruned") == nil {
		m.Settings = append(m.Settings, &ir.Setting{Key: "pruned", Val: pruned(steps)})
	}
	return &Result{m, steps}, nil
}

// pruned says for people what prune-frozen saved.
func pruned(steps []passes.Step) string {
	for _, s := range steps {
		if s.Name == "prune-frozen" && s.Before.FLOPs > s.After.FLOPs {
			return fmt.Sprintf("pruned: gradients of the frozen base, %.4g of %.4g GFLOP a pass of most rows", (s.Before.FLOPs-s.After.FLOPs)/1e9, s.Before.FLOPs/1e9)
		}
	}
	return ""
}
