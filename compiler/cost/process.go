package cost

import (
	"fmt"
	"slices"
	"strings"

	"lorac/ir"
)

// Use is what a run makes of a module.
type Use struct {
	Mode    string // run mode: eval and predict do not train
	Env     ir.Env // extents of its largest micro-batches; nil: the greatest the module allows
	Threads int
	Data    int  // bytes of its data; 0: they are not known
	Parsed  int  // bytes of a tokenizer while it is read
	Prompt  int  // token rows of the longest prompt of a text that is generated
	Text    int  // ids of the texts generated at once; 0 where none is
	Texts   int  // that are generated at once; 0: one
	Sums    int  // bytes that sums of gradients over units and processes take
	Engine  int  // bytes of the library that processes meet over
	Whole   bool // texts are computed from scratch for each id, without caches
	Stage   int  // of a pipeline, that of the process
}

// Part is a share of a process's memory by what it is for.
type Part struct {
	Name  string `json:"name"`
	Bytes int    `json:"bytes"`
}

// Process is the peak resident memory of a process, in bytes.
type Process struct {
	Parts  []Part
	Total  int
	Thread int // of the total, what each thread takes
	Start  int // of the total, what a small job takes more before it begins
	Use    Use

	procs int // of the total, what the processors take
	many  int // of the total, what follows from the number of processes
}

// Resident is what the process takes beside its threads and processors, once it has
// begun, and beside what follows from how many processes share the job: the same program
// does for any number.
func (p *Process) Resident() int {
	return p.Total - p.Start - p.Use.Threads*p.Thread - p.procs - p.many
}

func (p *Process) add(name string, n int) {
	if n > 0 {
		p.Parts = append(p.Parts, Part{name, n})
		p.Total += n
	}
}

// Settings of a module that say how its base is stored (pass store-types).
const (
	Joined   = "memory.joined"    // bytes of weights that the checkpoint stores in pieces
	InMemory = "memory.embedding" // the embedding is not read from its file row by row
	narrower = "size.narrower."   // and the name of a storage: bytes it takes less than all its layers would in its type
)

// Narrower is the setting of how many bytes a storage takes less than all its
// layers would in its type.
func Narrower(s *ir.Storage) string { return narrower + s.Name }

// ProcessOf is the peak memory of a trainer of the module, placed or not; of a
// pipeline, that of the stage which takes most.
func ProcessOf(m *ir.Module, u Use, d *Device) (most *Process) {
	if u.Env == nil {
		u.Env = m.MaxEnv()
	}
	for u.Stage = range m.Mesh.Axis(ir.Stage) {
		if p := processOf(m, u, d); most == nil || p.Total > most.Total {
			most = p
		}
	}
	return most
}

func processOf(m *ir.Module, u Use, d *Device) *Process {
	p := &Process{Use: u, procs: d.Procs * d.PerProc}
	p.storages(m, d)
	if n, ok := m.Setting(Joined).(int); ok {
		p.add("weights that the checkpoint stores in pieces, joined", n)
	}
	p.add(fmt.Sprintf("activations of a micro-batch of %d token rows", u.Env["T"]), u.touched(m, d))
	p.add("activations on their way between stages", u.underWay(m))
	shared := d.scratch(m, u.Env, 0)
	p.Thread = d.scratch(m, u.Env, 1) - shared
	p.add(fmt.Sprintf("packed operands of %d threads", u.Threads), shared+u.Threads*p.Thread)
	before := p.Total
	if u.Mode != "eval" && u.Mode != "predict" {
		p.add("sums of gradients over units", u.Sums)
	}
	p.add("the library that processes meet over", u.Engine)
	p.many = p.Total - before
	p.add("data", u.Data)
	p.add("the program and Go", d.Program+layersOf(m)*d.PerLayer+p.procs)
	garbage := 0
	if u.Data > 0 { // of reading, however little of what was read stays
		garbage = d.Slack
	}
	p.Start = max(d.Start+u.Parsed+u.Data+garbage-p.Total, 0)
	p.add("reading of flags and data, before all this", p.Start)
	return p
}

// Trained is how many numbers of a module have a gradient.
func Trained(m *ir.Module) (n int) {
	for _, s := range m.Storages {
		if s.Kind == ir.Param && s.Trainable {
			n += s.Count() * s.Type.Bytes(nil) / 4
		}
	}
	return n
}

// layersOf is the most layers that a stack has.
func layersOf(m *ir.Module) (n int) {
	for _, s := range m.Storages {
		n = max(n, s.Count())
	}
	return n
}

// underWay is what a stage has of activations on their way to others, and of those that
// come.
func (u *Use) underWay(m *ir.Module) (n int) {
	stages := m.Mesh.Axis(ir.Stage)
	if f := m.Func(fmt.Sprintf("step.%d", u.Stage)); f != nil && stages > 1 {
		for _, s := range f.Body {
			switch s.Op.Name {
			case "send":
				n += s.Args[0].Type().Bytes(u.Env)
			case "recv":
				n += s.Results[0].Type.Bytes(u.Env)
			}
		}
	}
	return n * (stages - u.Stage + 1)
}

// count is how many tensors of a storage the process has in memory: of frozen weights
// those of its layers, of what stands before and after all layers, what it computes with.
func (u *Use) count(m *ir.Module, s *ir.Storage) (n int) {
	if m.Mesh.Axis(ir.Stage) == 1 || s.Kind != ir.Param || s.Trainable {
		return s.Count()
	}
	if s.Stack == nil {
		suffix := fmt.Sprintf(".%d", u.Stage)
		for _, f := range m.Funcs {
			if f.Entry && strings.HasSuffix(f.Name, suffix) && slices.ContainsFunc(f.Body, func(t *ir.Stmt) bool {
				return slices.ContainsFunc(t.Args, func(a ir.Operand) bool { return a.Storage == s })
			}) {
				return 1
			}
		}
		return 0
	}
	s.Stack.Each(func(layer int) {
		if m.StageOf(layer) == u.Stage {
			n++
		}
	})
	return n
}

// storages adds what outlives a step.
func (p *Process) storages(m *ir.Module, d *Device) {
	u := &p.Use
	sums, order := map[string]int{}, []string{}
	mirrored := 0 // of what is cut and trains, the whole, for checkpoints
	largest := 0  // tensor of a state that is shared
	for _, s := range m.Storages {
		name, bytes := "tables", s.Type.Bytes(nil)
		switch {
		case s.Kind == ir.Cache && (u.Text == 0 || u.Whole):
			continue // nothing is written to it
		case s.Kind == ir.Cache:
			name, bytes = "keys and values of texts, at their longest", written(s.Type, u.Text, d)
		case (s.Kind == ir.Grad || s.Kind == ir.State) && (u.Mode == "eval" || u.Mode == "predict"):
			continue // nothing is written to it
		case ReadByRow(m, s):
			continue
		case s.Kind == ir.Param && !s.Trainable && s.Module():
			name = "modules of the adapter"
		case s.Kind == ir.Param && !s.Trainable:
			name = "frozen weights (mapped, as " + s.Type.DType.String() + ")"
			if s.Type.DType == ir.I8 {
				name = "frozen weights in eight bits"
			}
		case s.Kind == ir.Param:
			name = "trainable parameters"
		case s.Kind == ir.Grad:
			name = "gradients"
		case s.Kind == ir.State:
			name = "optimizer state"
		}
		shares := 1
		if s.Type.On(ir.Optimizer) == ir.IsShare {
			shares, largest = m.Mesh.Axis(ir.Optimizer), max(largest, s.Type.Whole().Bytes(nil))
		}
		if (s.Kind != ir.Param || s.Trainable) && shares == 1 {
			if slices.ContainsFunc(s.Type.Shape, func(d ir.Dim) bool { return d.By != "" }) && s.Kind != ir.Cache {
				mirrored += s.Count() * s.Type.Whole().Bytes(nil)
			}
		}
		if sums[name] == 0 {
			order = append(order, name)
		}
		count := u.count(m, s)
		if shares > 1 {
			sums[name] += sharedBytes(m, s, u.Stage, shares)
			continue
		}
		sums[name] += count * bytes
		if s.Type.DType == ir.I8 { // two pieces of the collector's heap, in pages of 8 KiB
			sums[name] += count * 16 << 10
		}
		if n, ok := m.Setting(Narrower(s)).(int); ok && s.Type.DType != ir.I8 {
			sums[name] -= n * count / s.Count()
		}
	}
	for _, name := range order {
		p.add(name, sums[name])
	}
	p.add("the whole of what trains, which other processes have parts of", mirrored)
	if m.Mesh.Axis(ir.Model) > 1 {
		largest *= 2 // and the part of it
	}
	p.add("a tensor of the optimizer's states, as it is put together", largest)
}

// StateBytes is what the optimizer's states take of a process, of so many that have shares of
// them, which share no row.
func StateBytes(m *ir.Module, shares int) (n int) {
	for _, s := range m.Storages {
		if s.Kind == ir.State {
			n += sharedBytes(m, s, 0, shares)
		}
	}
	return n
}

// sharedBytes is what the process with the largest share has of a state.
func sharedBytes(m *ir.Module, s *ir.Storage, stage, shares int) int {
	from, to := m.Share(s, false, func(string) int { return stage })
	blocks := (to - from + normBlock - 1) / normBlock
	return 4 * min((blocks+shares-1)/shares*normBlock, to-from)
}

// normBlock is what of a stack is one process' alone (kernels.NormBlock).
const normBlock = 4096

// touched is what a run touches of the arena. What training or losses and texts
// both touch counts once; how much that is, two bounds say.
func (u *Use) touched(m *ir.Module, d *Device) int {
	entries := Training
	switch u.Mode {
	case "eval":
		entries = []string{"loss"}
	case "predict":
		entries = nil
	}
	n := touchedBy(m, u.Stage, u.Env, d, entries)
	if u.Text == 0 {
		return n
	}
	return min(n+u.touchedByTexts(m, d), touchedBy(m, u.Stage, u.Env, d, append(slices.Clone(entries), u.entry())))
}

// touchedByTexts is what generating texts touches of it: one row of each has logits.
func (u *Use) touchedByTexts(m *ir.Module, d *Device) int {
	if u.Text == 0 {
		return 0
	}
	texts := max(u.Texts, 1)
	return touchedBy(m, u.Stage, ir.Env{"T": max(min(u.Prompt, u.Env["T"]), texts), "S": texts, "N": texts}, d, []string{u.entry()})
}

// entry is the function that texts are generated by.
func (u *Use) entry() string {
	if u.Whole {
		return "logits"
	}
	return "next"
}

// written is how much of a cache texts of n ids take, in the pages it comes in.
func written(t ir.Type, n int, d *Device) int {
	all, unit := t.Bytes(nil), d.smallPage()
	if all >= d.PageSize() {
		unit = d.PageSize()
	}
	return min(all, (4*n*t.Shape[1].N+unit-1)/unit*unit)
}

// ReadByRow reports whether rows of a storage are read from the file as they are
// needed (rt.Embedding), so that it takes no memory.
func ReadByRow(m *ir.Module, s *ir.Storage) bool {
	return m.OnlyEmbeds(s) && m.Setting(InMemory) == nil
}

// Fixed is what of a process the choice of saved activations does not change:
// all but the storages and what training touches of the arena.
func (p *Process) Fixed(m *ir.Module, d *Device) int {
	return p.Total - p.Use.touched(m, d) + p.Use.touchedByTexts(m, d) - StorageBytes(m)
}

// Frozen is what the frozen weights take in memory, and of it what matrices in
// f32 do.
func Frozen(m *ir.Module) (all, f32 int) {
	for _, s := range m.Storages {
		if s.Kind != ir.Param || s.Trainable || ReadByRow(m, s) {
			continue
		}
		n := s.Count() * s.Type.Bytes(nil)
		all += n
		if s.Type.DType == ir.F32 && s.Type.Rank() == 2 {
			f32 += n
		}
	}
	return all, f32
}

// StorageBytes is what the storages take, caches of texts aside, which are made
// where a text is generated.
func StorageBytes(m *ir.Module) (n int) {
	env := m.MaxEnv()
	for _, s := range m.Storages {
		if s.Kind != ir.Cache {
			n += s.Count() * s.Type.Bytes(env)
		}
	}
	return n
}
