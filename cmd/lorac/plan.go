package main

import (
	"fmt"
	"strings"

	"lorac/compiler/passes"
	"lorac/ir"
)

type planCmd struct {
	source
	Tokens int  `help:"Live tokens of a pass (default: the most one takes)." placeholder:"N"`
	JSON   bool `help:"For programs."`
}

// plan is what a job takes, read off the IR that is emitted.
type plan struct {
	Config     string        `json:"config"`
	Tokens     int           `json:"tokens"`
	Parameters int           `json:"parameters"`
	Trainable  int           `json:"trainable"`
	Step       []groupFLOPs  `json:"step"`
	FLOPs      float64       `json:"flops"`
	Unpruned   float64       `json:"flops_unpruned"`
	BaseOnly   float64       `json:"flops_unpruned_without_adapters"`
	Bytes      []namedBytes  `json:"bytes"`
	Total      int           `json:"bytes_total"`
	Passes     []passes.Step `json:"-"`
}

type groupFLOPs struct {
	Group    string  `json:"group"`
	Unpruned float64 `json:"flops_unpruned"`
	FLOPs    float64 `json:"flops"`
}

type namedBytes struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

// Run prints the plan.
func (c *planCmd) Run() error {
	p := &plan{}
	var unpruned []ir.Work
	env := func(m *ir.Module) ir.Env {
		e := m.MaxEnv()
		if c.Tokens > 0 {
			e["T"] = c.Tokens
		}
		e["S"], e["N"] = e["T"], 1
		return e
	}
	r, err := c.compile(c.options(), func(pass string, m *ir.Module) {
		if pass == "autodiff" {
			unpruned = passes.Work(m, passes.Root(m), env(m))
		}
	})
	if err != nil {
		return err
	}
	m := r.Module
	e := env(m)
	p.Config, p.Tokens = m.Source, e["T"]
	for _, s := range m.Storages {
		n := s.Count() * s.Type.Elems(nil)
		if s.Kind == ir.Param {
			if !adapterParam(s) {
				p.Parameters += n
			}
			if s.Trainable {
				p.Trainable += n
			}
		}
	}
	p.flops(unpruned, passes.Work(m, passes.Root(m), e))
	p.bytes(m)
	if c.JSON {
		return printJSON(p)
	}
	p.print()
	return nil
}

func adapterParam(s *ir.Storage) bool { return strings.Contains(s.Attrs.Str("name"), "_lora_") }

func (p *plan) flops(before, after []ir.Work) {
	index := map[string]int{}
	add := func(work []ir.Work, set func(g *groupFLOPs, f float64)) {
		for _, w := range work {
			i, ok := index[w.Group]
			if !ok {
				i = len(p.Step)
				index[w.Group] = i
				p.Step = append(p.Step, groupFLOPs{Group: w.Group})
			}
			set(&p.Step[i], w.FLOPs)
		}
	}
	add(before, func(g *groupFLOPs, f float64) { g.Unpruned += f })
	add(after, func(g *groupFLOPs, f float64) { g.FLOPs += f })
	for _, g := range p.Step {
		p.FLOPs += g.FLOPs
		p.Unpruned += g.Unpruned
		if !strings.HasPrefix(g.Group, "lora") {
			p.BaseOnly += g.Unpruned
		}
	}
}

func (p *plan) bytes(m *ir.Module) {
	sums := map[string]int{}
	var order []string
	add := func(name string, n int) {
		if n == 0 {
			return
		}
		if _, ok := sums[name]; !ok {
			order = append(order, name)
		}
		sums[name] += n
		p.Total += n
	}
	for _, s := range m.Storages {
		n := s.Count() * s.Type.Bytes(nil)
		switch {
		case s.Kind == ir.Param && !s.Trainable:
			add("frozen weights (mapped, as "+s.Type.DType.String()+")", n)
		case s.Kind == ir.Param:
			add("trainable parameters", n)
		case s.Kind == ir.Grad:
			add("gradients", n)
		case s.Kind == ir.State:
			add("optimizer state", n)
		default:
			add("tables", n)
		}
	}
	root := passes.Root(m)
	l := m.Layout(root)
	for _, r := range l.Records {
		what := "handed on by "
		if len(r.Func.Keep) > 0 {
			what = "kept and handed on by "
		}
		add(fmt.Sprintf("%s%s, %d ×", what, r.Func.Name, r.Count), r.Stride*r.Count)
	}
	add("working memory of a pass", l.Size-l.Frame)
	for _, name := range order {
		p.Bytes = append(p.Bytes, namedBytes{name, sums[name]})
	}
}

func (p *plan) print() {
	fmt.Printf("%s, a step of %d live tokens\n\n", p.Config, p.Tokens)
	fmt.Printf("parameters %s, trainable %s\n\n", commas(p.Parameters), commas(p.Trainable))
	fmt.Printf("%-18s %14s %14s\n", "TFLOP", "unpruned", "a step")
	for _, g := range p.Step {
		fmt.Printf("  %-16s %14.4f %14.4f\n", g.Group, g.Unpruned/1e12, g.FLOPs/1e12)
	}
	fmt.Printf("  %-16s %14.4f %14.4f\n", "total", p.Unpruned/1e12, p.FLOPs/1e12)
	fmt.Printf("\na step takes %.1f TFLOP; before pruning %.1f (and %.1f for the adapters)\n\n", p.FLOPs/1e12, p.BaseOnly/1e12, (p.Unpruned-p.BaseOnly)/1e12)
	for _, b := range p.Bytes {
		fmt.Printf("  %-52s %12s bytes %10.1f MiB\n", b.Name, commas(b.Bytes), float64(b.Bytes)/(1<<20))
	}
	fmt.Printf("  %-52s %12s bytes %10.1f MiB\n", "total", commas(p.Total), float64(p.Total)/(1<<20))
}

func commas(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
