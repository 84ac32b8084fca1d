package main

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strings"

	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/ir"
	rt "lorac/runtime"
)

// compileFor compiles a config for a target. The arena is made for the largest
// pass of the data, where they are known. Under a memory limit the graph
// keeps in f32 what it wants when that fits; else kept values wait in
// compute_dtype and the cheapest of them are computed again.
func compileFor(c *config.Config, t target, o *passes.Options, after func(string, *ir.Module)) (*compiler.Result, *memory, error) {
	if t.weights == "" {
		t.weights = c.LoadCheckpoint.V
	}
	if t.mode == "" {
		t.mode = c.RunMode.V
	}
	if t.trans == nil {
		t.trans = &c.AutoTrans.V
	}
	if t.layout == "" {
		t.layout = c.SrcStrategy.V
	}
	r, err := compileOnce(c, &t, o, after, nil)
	if err != nil {
		return nil, nil, err
	}
	job := ""
	if t.runs {
		job = codegen.Identity(r.Module)
	}
	u, err := usesOf(r.Module, &t)
	if err != nil {
		return nil, nil, err
	}
	fitted := func(m *ir.Module) {
		for _, d := range m.Dims {
			d.Max = ir.N(u.env[d.Name])
		}
	}
	if !maps.Equal(u.env, r.Module.MaxEnv()) {
		if r, err = compileOnce(c, &t, o, after, fitted); err != nil {
			return nil, nil, err
		}
	}
	p := measure(r.Module, u)
	limit := t.limit
	if limit == 0 && t.here {
		if free := freeMemory(); free > 0 && p.Total > free {
			limit = free / 100 * 97
		}
	}
	if limit == 0 || p.Total <= limit {
		resident(r.Module, p, job)
		return r, p, nil
	}
	if t.limit == 0 {
		fmt.Fprintf(os.Stderr, "note: the job would take %s, %s is free: compiled as with --mem_limit %dMiB\n", size(p.Total), size(limit), limit>>20)
	}
	base := p.Total - touched(r.Module, u) + touchedByTexts(r.Module, u) - storages(r.Module)
	settings := func(m *ir.Module) {
		fitted(m)
		keep := ""
		if d := c.Model.ComputeDType.V; d == "f16" || d == "bf16" {
			keep = d
		}
		m.Settings = append(m.Settings, &ir.Setting{Key: "memory.limit", Val: limit},
			&ir.Setting{Key: "memory.base", Val: base}, &ir.Setting{Key: "memory.keep", Val: keep})
	}
	if r, err = compileOnce(c, &t, o, after, settings); err != nil {
		return nil, nil, err
	}
	p = measure(r.Module, u)
	if p.Total > limit {
		return nil, nil, shortfall(c, &t, r.Module, p, limit)
	}
	resident(r.Module, p, job)
	return r, p, nil
}

// storages is what the search under a limit counts itself.
func storages(m *ir.Module) int {
	f := passes.Footprint(m)
	return f.Total - f.Arena
}

// resident tells the trainer what it may take, for its own --mem_limit, and, if
// it is fitted to a run, of which job: that may go on under another limit. A
// dump of an earlier pass does not know yet.
func resident(m *ir.Module, p *memory, job string) {
	if after, _ := m.Setting("ir.after").(string); after != "plan-memory" {
		return
	}
	set := func(key string, v any) {
		m.Settings = slices.DeleteFunc(m.Settings, func(s *ir.Setting) bool { return s.Key == key })
		m.Settings = append(m.Settings, &ir.Setting{Key: key, Val: v})
	}
	set("memory.resident", p.Total-p.before-p.use.threads*p.Thread-runtime.GOMAXPROCS(0)*rt.ProcBytes)
	set("memory.thread", p.Thread)
	if job != "" {
		set("hash", job)
	}
}

// compileOnce compiles, with the base weights' types where they are known.
func compileOnce(c *config.Config, t *target, o *passes.Options, after func(string, *ir.Module), settings func(*ir.Module)) (*compiler.Result, error) {
	var fault error
	r, err := compiler.Compile(c, o, func(pass string, m *ir.Module) {
		if pass == "model" {
			if fault = matchWeights(m, t.weights, *t.trans, t.layout); fault == nil {
				fault = quantiseTypes(m, c.Quant.V)
			}
			if fault == nil {
				fault = computeTypes(m, c.Compute.V)
			}
			if settings != nil {
				settings(m)
			}
		}
		if after != nil {
			after(pass, m)
		}
	})
	if fault != nil {
		return nil, fault
	}
	return r, err
}

// shortfall says what lacks and what would help.
func shortfall(c *config.Config, t *target, m *ir.Module, p *memory, limit int) error {
	var help []string
	rows, seq := p.use.env["T"], c.Model.SeqLength.V
	one := p.use.env["N"] == 1 || p.use.data == 0 && rows == seq // else it does not cut all of them
	for _, part := range p.Parts {
		if strings.HasPrefix(part.Name, "activations") && one && rows > seq/2 {
			help = append(help, fmt.Sprintf("half of seq_length saves about %s", size(part.Bytes/rows*(rows-seq/2))))
		}
	}
	if !one {
		help = append(help, "a smaller --batch_size makes smaller passes")
	}
	if more := p.use.threads - runtime.GOMAXPROCS(0); more > 0 {
		help = append(help, fmt.Sprintf("a thread a core saves %s", size(more*p.Thread)))
	}
	frozen, wide := frozenBytes(m)
	if wide > 0 {
		help = append(help, fmt.Sprintf("a base stored in f16 or bf16 saves %s", size(wide/2)))
	}
	quantised := *c
	quantised.Quant.V = "int4"
	if r, err := compileOnce(&quantised, t, nil, nil, nil); err == nil {
		if then, _ := frozenBytes(r.Module); then < frozen {
			help = append(help, fmt.Sprintf("--quant int4 saves about %s", size(frozen-then)))
		}
	}
	if help == nil {
		help = []string{"more memory"}
	}
	return fmt.Errorf("the job takes at least %s, %s bytes more than the limit of %s, with everything computed again that can be\n  = help: %s",
		size(p.Total), commas(p.Total-limit), size(limit), strings.Join(help, "; "))
}
