package main

import (
	"fmt"
	"strings"

	"lorac/compiler/passes"
	"lorac/ir"
)

type planCmd struct {
	source
	Tokens  int      `help:"Live tokens of a pass (default: those of the largest pass of the data, or the most one takes)." placeholder:"N"`
	Weights string   `name:"load_checkpoint" help:"Base weights, for the type they are stored in." placeholder:"PATH"`
	Trans   string   `name:"auto_trans_ckpt" enum:",True,False,true,false" default:"" help:"True: the base weights may lie spread over ranks." placeholder:"True"`
	Layout  string   `name:"src_strategy_path_or_dir" help:"As these strategy files say." placeholder:"PATH"`
	Data    string   `name:"train_dataset_dir" help:"Training data, for the rows a pass will have." placeholder:"PATH"`
	Trainer []string `name:"trainer" hidden:"" sep:"none" help:"Flags of the trainer (keysAsSet)."`
	JSON    bool     `help:"For programs."`
}

// plan is what a job takes, read off the IR that is emitted.
type plan struct {
	Config     string       `json:"config"`
	Tokens     int          `json:"tokens"`
	Parameters int          `json:"parameters"`
	Trainable  int          `json:"trainable"`
	Step       []groupFLOPs `json:"step"`
	FLOPs      float64      `json:"flops"`
	Unpruned   float64      `json:"flops_unpruned"`
	BaseOnly   float64      `json:"flops_unpruned_without_adapters"`
	Bytes      []namedBytes `json:"bytes"`
	Total      int          `json:"bytes_total"` // the peak resident memory of the process
	Limit      int          `json:"mem_limit,omitempty"`
	Choice     string       `json:"mem_choice,omitempty"`
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
	var complete *ir.Module // with the gradients of everything
	after := func(pass string, m *ir.Module) {
		if pass == "autodiff" {
			complete = m.Clone()
		}
	}
	if c.Tokens < 0 {
		return usage("--tokens %d: must be a whole number from 1 up", c.Tokens)
	}
	if c.Weights != "" { // one that only the config names may be where the trainer will run
		if err := statBase(c.Weights); err != nil {
			return err
		}
	}
	t := target{}
	if err := t.read(c.args()); err != nil {
		return err
	}
	r, mem, err := c.compileFor(&t, c.options(), after)
	if err != nil {
		return err
	}
	m := r.Module
	if c.Tokens > 0 {
		u := mem.use
		if u.env["T"] < c.Tokens {
			return usage("--tokens %d: a pass takes at most %d", c.Tokens, u.env["T"])
		}
		u.env = ir.Env{"T": c.Tokens, "S": c.Tokens, "N": 1}
		mem = measure(m, u)
	}
	e := mem.use.env
	if c.Tokens == 0 && mem.use.data == 0 {
		e = passes.Dearest(m)
	}
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
	var unpruned []ir.Work
	if complete != nil {
		unpruned = passes.Work(complete, passes.Root(complete), e)
	}
	p.flops(unpruned, passes.Work(m, passes.Root(m), e))
	p.Bytes, p.Total = mem.Parts, mem.Total
	p.Limit, _ = m.Setting("memory.limit").(int)
	p.Choice, _ = m.Setting("memory.choice").(string)
	if c.JSON {
		return printJSON(p)
	}
	p.print()
	return nil
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

func (p *plan) print() {
	fmt.Printf("%s, a step of %d live tokens\n\n", p.Config, p.Tokens)
	fmt.Printf("parameters %s, trainable %s\n\n", commas(p.Parameters), commas(p.Trainable))
	unit, name := passes.FLOPUnit(max(p.Unpruned, p.FLOPs))
	fmt.Printf("%-18s %14s %14s\n", name, "unpruned", "a step")
	for _, g := range p.Step {
		fmt.Printf("  %-16s %14.4f %14.4f\n", g.Group, g.Unpruned/unit, g.FLOPs/unit)
	}
	fmt.Printf("  %-16s %14.4f %14.4f\n", "total", p.Unpruned/unit, p.FLOPs/unit)
	fmt.Printf("\na step takes %s; before pruning %s (and %s for the adapters)\n\n", passes.FLOPs(p.FLOPs), passes.FLOPs(p.BaseOnly), passes.FLOPs(p.Unpruned-p.BaseOnly))
	for _, b := range p.Bytes {
		fmt.Printf("  %-52s %12s bytes %10.1f MiB\n", b.Name, commas(b.Bytes), float64(b.Bytes)/(1<<20))
	}
	fmt.Printf("  %-52s %12s bytes %10.1f MiB\n", "peak resident memory", commas(p.Total), float64(p.Total)/(1<<20))
	if p.Choice != "" {
		fmt.Printf("\nfor --mem_limit %s: %s\n", size(p.Limit), p.Choice)
	}
}

func commas(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
