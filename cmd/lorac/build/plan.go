package build

import (
	"fmt"
	"strings"

	"lorac/cmd/lorac/cli"
	"lorac/codegen"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/ir"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/limits"
)

// Plan is what a job takes, read off the IR that is emitted.
type Plan struct {
	Device     string         `json:"device"` // what it is for, and why
	Config     string         `json:"config"`
	Devices    int            `json:"devices"` // of the job
	Rows       int            `json:"rows"`    // of a step of all of them
	Batch      string         `json:"batch"`   // the same for people
	Tokens     int            `json:"tokens"`
	Parameters int            `json:"parameters"`
	Trainable  int            `json:"trainable"`
	Step       []GroupFLOPs   `json:"step"`
	FLOPs      float64        `json:"flops"`
	Unpruned   float64        `json:"flops_unpruned,omitempty"`                  // not known of a dump of after prune-frozen
	BaseOnly   float64        `json:"flops_unpruned_without_adapters,omitempty"` // the same
	Bytes      []cost.Part    `json:"bytes"`
	Total      int            `json:"bytes_total"` // the peak resident memory of the process
	Limit      int            `json:"mem_limit,omitempty"`
	Choice     string         `json:"mem_choice,omitempty"`
	Slow       []string       `json:"slow,omitempty"` // fast paths that this machine lacks
	Here       *Memory        `json:"memory_here,omitempty"`
	Ascend     *AscendPlan    `json:"ascend,omitempty"`
	Run        *RunPlan       `json:"run,omitempty"` // of all steps, where the data are known
	Workers    *Workers       `json:"workers,omitempty"`
	Mesh       string         `json:"mesh,omitempty"`   // how the processes share a step
	Meshes     []MeshForecast `json:"meshes,omitempty"` // how they could

	one    *ir.Module // of a process that computes all
	meshes func(tokens int, rate float64, l cost.Link) ([]MeshForecast, error)
}

// Memory is that of this machine and what a run here would do about it.
type Memory struct {
	Limit     int    `json:"bytes"` // whatever else runs
	LimitFrom string `json:"bytes_from"`
	Free      int    `json:"free"` // of them, what others do not hold
	FreeFrom  string `json:"free_from"`
	Fit       string `json:"fit,omitempty"`     // what a run recomputes to fit in
	Refused   string `json:"refused,omitempty"` // why a run cannot start
}

// GroupFLOPs is a group of operations, before and after pruning.
type GroupFLOPs struct {
	Group    string  `json:"group"`
	Unpruned float64 `json:"flops_unpruned,omitempty"`
	FLOPs    float64 `json:"flops"`
}

// Pruned reports whether it is known what a step took before pruning.
func (p *Plan) Pruned() bool { return p.Unpruned > 0 || p.FLOPs == 0 }

// batch says what a step of the job takes.
func (p *Plan) batch(m *ir.Module) error {
	j, err := codegen.Job(m)
	if err != nil {
		return err
	}
	p.Devices, p.Rows, p.Batch = max(j.Devices.Count, 1), j.Batch().Rows(), j.Step()
	return nil
}

// PlanOf compiles what a source says for a target and counts what it takes: at
// some live tokens of a micro-batch; 0: those of the data's largest, or the most
// one takes.
func PlanOf(s Source, t Target, tokens int) (*Plan, error) {
	var complete *ir.Module // with the gradients of everything
	s.After = func(pass string, m *ir.Module) {
		if pass == "autodiff" {
			complete = m.Clone()
		}
	}
	r, err := s.Compile(t)
	if err != nil {
		return nil, err
	}
	m, mem := r.Module, r.Process
	if m.Low() != 0 {
		use := cost.Use{}
		if r.Use != nil {
			use = *r.Use
		}
		p, err := ascendPlan(m, t.Ascend, tokens, complete, use)
		if err == nil {
			p.Here = hostHere(p.Ascend.HostBytes)
		}
		if err == nil && t.Processes > 0 {
			err = p.workers(s, t, m, tokens)
		} else if err == nil {
			err = p.run(t, m)
		}
		return p, err
	}
	env := mem.Use.Env
	switch {
	case tokens > env["T"]:
		return nil, cli.Usage("--tokens %d: a micro-batch takes at most %d", tokens, env["T"])
	case tokens > 0:
		u := mem.Use
		u.Env = ir.Env{"T": tokens, "S": tokens, "N": 1}
		env, mem = u.Env, cost.ProcessOf(m, u, device(t.Runs))
	case mem.Use.Data == 0:
		env = cost.LargestMicroBatch(m)
	}
	p := &Plan{Config: human.Line(m.Source), Tokens: env["T"], Bytes: mem.Parts, Total: mem.Total}
	if err := p.batch(m); err != nil {
		return nil, err
	}
	p.count(m)
	var unpruned []ir.Work
	if complete != nil {
		unpruned = cost.Work(cost.Root(complete), env)
	}
	p.flops(unpruned, cost.Work(cost.Root(m), env))
	p.Limit, _ = m.Setting("memory.limit").(int)
	p.Choice, _ = m.Setting("memory.choice").(string)
	p.Here = memoryHere(s, t, p)
	if t.Processes > 0 {
		return p, p.workers(s, t, m, tokens)
	}
	return p, p.run(t, m)
}

// hostHere says what a run on a device, whose host part takes so much, would do for the
// memory of this machine; nil where that is not known.
func hostHere(takes int) *Memory {
	all := limits.Here().Memory()
	if all.Limit.N == 0 {
		return nil
	}
	m := &Memory{Limit: all.Limit.N, LimitFrom: all.Limit.From, Free: all.Free.N, FreeFrom: all.Free.From}
	if err := hostShort(takes, all.Free); err != nil {
		m.Refused = err.Error()
	}
	return m
}

// hostShort is the error of a run on a device whose host lacks memory.
func hostShort(takes int, there limits.Bound) error {
	if there.N == 0 || takes <= there.N {
		return nil
	}
	return fmt.Errorf("the job takes about %s of the host's memory besides what the device's driver takes, and there are %s (%s)\n  = help: fewer rows, a smaller lora_rank, or a container with more memory", human.Bytes(takes), human.Bytes(there.N), there.From)
}

// memoryHere says what a run on this machine would do for the memory that there is;
// nil where that is not known.
func memoryHere(s Source, t Target, p *Plan) *Memory {
	all := limits.Here().Memory()
	if all.Limit.N == 0 {
		return nil
	}
	m := &Memory{Limit: all.Limit.N, LimitFrom: all.Limit.From, Free: all.Free.N, FreeFrom: all.Free.From}
	t.Here = true
	if there := t.there(); p.Total <= there.N || s.From != "" {
		return m
	}
	c, _ := config.Load(s.Config, s.Overrides) // what is wrong with it was shown
	if c == nil {
		return m
	}
	s.After = nil
	t.Here, t.Bound = false, true
	switch r, err := Compile(c, t, s.Options); {
	case err != nil:
		m.Refused = err.Error()
	default:
		m.Fit, _ = r.Module.Setting("memory.choice").(string)
	}
	return m
}

// count counts parameters, those of adapters as trainable alone.
func (p *Plan) count(m *ir.Module) {
	for _, s := range m.Storages {
		n := s.Count() * s.Type.Elems(nil)
		if s.Kind != ir.Param {
			continue
		}
		if !s.Adapter() {
			p.Parameters += n
		}
		if s.Trainable {
			p.Trainable += n
		}
	}
}

func (p *Plan) flops(before, after []ir.Work) {
	index := map[string]int{}
	add := func(work []ir.Work, set func(g *GroupFLOPs, f float64)) {
		for _, w := range work {
			i, ok := index[w.Group]
			if !ok {
				i = len(p.Step)
				index[w.Group] = i
				p.Step = append(p.Step, GroupFLOPs{Group: w.Group})
			}
			set(&p.Step[i], w.FLOPs)
		}
	}
	add(before, func(g *GroupFLOPs, f float64) { g.Unpruned += f })
	add(after, func(g *GroupFLOPs, f float64) { g.FLOPs += f })
	for _, g := range p.Step {
		p.FLOPs += g.FLOPs
		p.Unpruned += g.Unpruned
		if !strings.HasPrefix(g.Group, "lora") {
			p.BaseOnly += g.Unpruned
		}
	}
}
