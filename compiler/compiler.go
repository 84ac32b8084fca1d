// Package compiler leads from a config to an optimised module. It knows
// nothing of the program that will be made of it.
package compiler

import (
	"errors"
	"fmt"
	"maps"
	"math/bits"
	"strings"

	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/compiler/model"
	"lorac/compiler/passes"
	"lorac/ir"
)

// Target is what the caller has found out about where and on what a job runs.
// The zero value knows nothing: weights are stored as the config says, any data
// fit, and memory is not counted. Quantisation and the type that is computed in
// are keys of the config.
type Target struct {
	Base   *passes.Base     // how the base weights are stored; nil: as the config says
	Blocks passes.BlockType // types that quantising gives; nil: none
	Fit    ir.Env           // extents T, S and N of the data's largest micro-batches; nil: any data
	Use    *cost.Use        // what the run makes of the module
	Device *cost.Device     // what it runs on; memory is counted where both are known
	Limit  int              // bytes of memory the process may take; 0: as many as there are
	Free   int              // bytes that are there where it runs: where more would be taken, activations are recomputed, which changes no bit; 0: not known
	Over   string           // what processes that share the job meet over: mpi; "": there is one
	Ascend *passes.Ascend   // the card that computes; nil: the processor

	Passes passes.Options                  // fuel, passes switched off, the last one; its facts are set here
	After  func(pass string, m *ir.Module) // is shown the module after the model builder ("model") and every pass
}

// Result is a compiled module with what each pass did.
type Result struct {
	Module  *ir.Module
	Steps   []passes.Step
	Process *cost.Process // nil where memory was not counted
	Use     *cost.Use     // what it was compiled for; nil: not known
	Limit   int           // bytes it was compiled for, 0 where all was kept that is wanted
	Wanted  int           // bytes it would take without that limit
}

// Compile is the story: the config becomes a forward graph, the passes make a
// training step of it. What is known of the target comes in one after the other,
// since each needs what is compiled without it: the text that any data fit names
// the job, and what it takes for these data says whether a limit matters.
func Compile(c *config.Config, t *Target) (*Result, error) {
	if t == nil {
		t = &Target{}
	}
	graph, err := model.Build(c)
	if err == nil {
		err = passes.CheckTypes(graph)
	}
	if err != nil {
		return nil, err
	}
	if t.Over != "" {
		graph.Settings = append(graph.Settings, &ir.Setting{Key: "over", Val: t.Over})
	}
	facts := passes.Facts{Base: t.Base, Blocks: t.Blocks, Use: t.Use, Device: t.Device}
	if t.Ascend != nil {
		switch list, err := OnAscend(c); {
		case err != nil:
			return nil, err
		case list.HasErrors():
			return nil, list
		}
		return t.forAscend(c, graph, facts)
	}
	wanted := 0
	for {
		m := graph.Clone()
		t.show("model", m)
		r, err := t.optimise(m, facts)
		if err != nil {
			return nil, err
		}
		switch limit := t.limit(r.Process); {
		case facts.Dims == nil && t.Fit != nil && !maps.Equal(t.Fit, m.MaxEnv()):
			facts.Job, facts.Dims = m.Identity(), t.Fit
		case facts.Limit == nil && limit > 0:
			facts.Job, wanted = m.Identity(), r.Process.Total
			facts.Limit = &passes.Limit{Bytes: limit, Base: r.Process.Fixed(m, t.Device)}
			if t.Limit > 0 && wanted > t.Limit {
				facts.Limit.Keep = half(c)
			}
		case facts.Limit != nil && r.Process.Total > facts.Limit.Bytes:
			return nil, &Shortfall{m, r.Process, facts.Limit.Bytes, wanted, facts.Limit.Keep != "" || half(c) == ""}
		default:
			if facts.Limit != nil {
				r.Limit, r.Wanted = facts.Limit.Bytes, wanted
			}
			return r, nil
		}
	}
}

// Resume continues from a dump, edited or not, after the pass it was taken
// after. Data and a limit are those that the dump was made for.
func Resume(m *ir.Module, t *Target) (*Result, error) {
	for _, f := range m.Funcs {
		if v, err := passes.Misplaced(m, f); err != nil {
			at := m.Dump
			if v.Def != nil && v.Def.Line > 0 {
				at = fmt.Sprintf("%s:%d", m.Dump, v.Def.Line)
			}
			return nil, fmt.Errorf("%s: %w\n  = help: edit a dump from before plan-memory, which places values again", at, err)
		}
	}
	r, err := t.optimise(m, passes.Facts{Base: t.Base, Blocks: t.Blocks, Use: t.Use, Device: t.Device, Ascend: t.Ascend})
	var fault *passes.Fault
	if !errors.As(err, &fault) {
		return r, err
	}
	at := m.Dump
	if wrong := (*ir.Problem)(nil); errors.As(fault.Err, &wrong) && wrong.Line > 0 {
		at = fmt.Sprintf("%s:%d", m.Dump, wrong.Line)
	}
	return nil, fmt.Errorf("%s: pass `%s` cannot take the module as it is: %s", at, fault.Pass, strings.ReplaceAll(fault.Err.Error(), "BUG: ", ""))
}

// optimise runs the passes with some facts and counts what the result takes.
func (t *Target) optimise(m *ir.Module, f passes.Facts) (*Result, error) {
	o := t.Passes
	o.Facts = f
	steps, err := passes.Run(m, &o, t.show)
	if err != nil {
		return nil, err
	}
	if f.Ascend != nil && t.Passes.Last == "" {
		if m.Low() == 0 { // a dump
			return nil, fmt.Errorf("the module is one for the CPU\n  = help: resume a dump from before pass device-types, or compile with --device cpu")
		}
		if list := WithoutKernel(m); list.HasErrors() {
			return nil, list
		}
	}
	r := &Result{Module: m, Steps: steps, Use: t.Use}
	if t.Use != nil && t.Device != nil && f.Ascend == nil {
		r.Process = cost.ProcessOf(m, *t.Use, t.Device)
	}
	return r, nil
}

func (t *Target) show(pass string, m *ir.Module) {
	if t.After != nil {
		t.After(pass, m)
	}
}

// limit is the bytes that a process must be kept within, 0 for none: the limit that
// was asked for, and what is there, of which some is left to others. Saved
// activations are rounded where that limit alone demands less than the job wants:
// how much is there never changes bits.
func (t *Target) limit(p *cost.Process) (limit int) {
	if p == nil {
		return 0
	}
	if t.Limit > 0 && p.Total > t.Limit {
		limit = t.Limit
	}
	if there := roundDown(t.Free / 100 * 97); t.Free > 0 && p.Total > t.Free && (limit == 0 || there < limit) {
		limit = there
	}
	return limit
}

// roundDown leaves the first six bits of a number: free memory is never the same
// twice, and trainers of one job should be.
func roundDown(n int) int {
	low := max(bits.Len(uint(n))-6, 0)
	return n >> low << low
}

// half is the half precision that activations may be saved in, "" for none.
func half(c *config.Config) string {
	if d := c.Model.ComputeDType.V; d == "f16" || d == "bf16" {
		return d
	}
	return ""
}

// Shortfall is the error of a job that a limit leaves too little memory.
type Shortfall struct {
	Module  *ir.Module // with everything recomputed that can be
	Process *cost.Process
	Limit   int
	Wanted  int  // bytes it would take without the limit
	Rounded bool // saved activations are stored in compute_dtype, or that is f32
}

func (s *Shortfall) Error() string {
	return fmt.Sprintf("the job takes at least %d bytes, %d more than the limit", s.Process.Total, s.Process.Total-s.Limit)
}
