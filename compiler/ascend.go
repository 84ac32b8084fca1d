package compiler

import (
	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/ir"
)

// forAscend compiles a graph for a card. The job keeps the name that it has on
// the processor, so that a run may resume on the other.
func (t *Target) forAscend(c *config.Config, graph *ir.Module, facts passes.Facts) (*Result, error) {
	host := *t
	host.Ascend, host.After, host.Passes = nil, nil, passes.Options{}
	r, err := host.optimise(graph.Clone(), facts)
	if err != nil {
		return nil, err
	}
	card := *t.Ascend
	card.Low, _ = ir.ParseDType(c.Model.ComputeDType.V)
	facts.Ascend, facts.Job, facts.Dims = &card, r.Module.Identity(), t.Fit
	m := graph.Clone()
	t.show("model", m)
	return t.optimise(m, facts)
}
