package main

import (
	"fmt"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/kong"

	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/kernels"
	rt "lorac/runtime"
)

// bytesFlag is a size on the command line: 16GiB, 500MB, 1024.
type bytesFlag int

// Decode reads it, and refuses in the words of a trainer.
func (b *bytesFlag) Decode(c *kong.DecodeContext) error {
	var text string
	if err := c.Scan.PopValueInto("size", &text); err != nil {
		return err
	}
	n, err := rt.ParseBytes(text)
	if err != nil {
		return usage("--%s %s: %v", c.Value.Name, text, err)
	}
	*b = bytesFlag(n)
	return nil
}

// target is what a job will run on and with, where that is known.
type target struct {
	weights string   // base weights; "" as the config says
	trans   *bool    // weights may lie spread over ranks; nil as the config says
	layout  string   // their strategy files; "" as the config says
	mode    string   // run mode; "" as the config says
	args    []string // of the trainer
	runs    bool     // with these args and their data; else with any data
	threads int      // of the trainer, 0 for one a core
	limit   int      // bytes of memory, 0 for none
	here    bool     // it starts on this machine, at once: data must be there, and without a limit the memory that is free is one
}

// read takes from the trainer's flags what the compiler wants to know.
func (t *target) read(args []string) error {
	t.args, t.runs = args, true
	for i := 0; i+1 < len(args); i++ {
		name, value := strings.TrimPrefix(args[i], "--"), args[i+1]
		if rt.Switch(name) {
			continue
		}
		i++
		switch name {
		case "load_checkpoint":
			t.weights = value
		case "auto_trans_ckpt":
			trans := strings.EqualFold(value, "true")
			t.trans = &trans
		case "src_strategy_path_or_dir":
			t.layout = value
		case "run_mode":
			t.mode = value
		case "threads":
			n, err := strconv.Atoi(value)
			if err != nil || n < 1 {
				return usage("--threads %s: must be a whole number from 1 up", value)
			}
			t.threads = n
		case "mem_limit":
			n, err := rt.ParseBytes(value)
			if err != nil {
				return usage("--mem_limit %s: %v", value, err)
			}
			t.limit = int(n)
		}
	}
	return nil
}

// programBytes is the emitted program and Go's own share of a process, beside
// what its processors take: what runs of 5 to 32 layers were seen to take
// beside the rest (docs/memory.md).
func programBytes(m *ir.Module) int {
	layers := 0
	for _, s := range m.Storages {
		layers = max(layers, s.Count())
	}
	return 34<<18 - 2*rt.ProcBytes + layers*52<<10
}

// leastBytes is what a process takes that has done nothing yet but read its
// flags, a tokenizer and some data.
const leastBytes = 21 << 19

// behind is how far the collector may be behind the reading of data.
const behind = 1 << 20

// use is what a run makes of a module: its largest passes, the bytes of its
// data, and on how many threads.
type use struct {
	mode    string
	env     ir.Env
	data    int
	threads int
	prompt  int  // token rows of the largest pass that goes on with a text
	text    int  // ids of the longest one; 0 where none is generated
	whole   bool // it is computed anew for each id, without caches
	parsed  int  // bytes of a tokenizer while it is read
}

// anyUse is the most that a target can make of a module with any data.
func anyUse(m *ir.Module, t *target) use {
	u := use{mode: t.mode, env: m.MaxEnv(), threads: t.threads}
	if u.threads == 0 {
		u.threads = kernels.Threads()
	}
	return u
}

// memory is the peak of a process, in bytes, by what it is for.
type memory struct {
	Parts  []namedBytes
	Total  int
	Thread int // of the total, what each thread takes
	before int // of the total, what a small job takes more before it begins
	use    use
}

func (p *memory) add(name string, n int) {
	if n > 0 {
		p.Parts = append(p.Parts, namedBytes{name, n})
		p.Total += n
	}
}

// measure is the peak memory of a trainer of the module.
func measure(m *ir.Module, u use) *memory {
	p := &memory{use: u}
	sums, order := map[string]int{}, []string{}
	for _, s := range m.Storages {
		name, bytes := "tables", s.Type.Bytes(nil)
		switch {
		case s.Kind == ir.Cache && (u.text == 0 || u.whole):
			continue // nothing is written to it
		case s.Kind == ir.Cache:
			name, bytes = "keys and values of a text, at its longest", written(s.Type, u.text)
		case (s.Kind == ir.Grad || s.Kind == ir.State) && (u.mode == "eval" || u.mode == "predict"):
			continue // nothing is written to it
		case m.OnlyEmbeds(s) && m.Setting(inMemory) == nil:
			continue // its rows are read from the file
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
		if sums[name] == 0 {
			order = append(order, name)
		}
		sums[name] += s.Count() * bytes
		if s.Type.DType == ir.I8 { // two pieces of the collector's heap, in pages of 8 KiB
			sums[name] += s.Count() * 16 << 10
		}
		if n, ok := m.Setting(narrower(s)).(int); ok && s.Type.DType != ir.I8 {
			sums[name] -= n
		}
	}
	for _, name := range order {
		p.add(name, sums[name])
	}
	if n, ok := m.Setting("memory.joined").(int); ok {
		p.add("weights that the checkpoint stores in pieces, joined", n)
	}
	p.add(fmt.Sprintf("activations of a pass of %d token rows", u.env["T"]), touched(m, u))
	procs := runtime.GOMAXPROCS(0) // as many as the trainer will have
	shared := scratch(m, u.env, 0)
	p.Thread = scratch(m, u.env, 1) - shared
	p.add(fmt.Sprintf("packed operands of %d threads", u.threads), shared+u.threads*p.Thread)
	p.add("data", u.data)
	p.add("the program and Go", programBytes(m)+procs*rt.ProcBytes)
	p.before = max(leastBytes+u.parsed+u.data+min(u.data, behind)-p.Total, 0)
	p.add("reading of flags and data, before all this", p.before)
	return p
}

// touched is what a run touches of the arena. What training or losses and texts
// both touch counts once; how much that is, two bounds say.
func touched(m *ir.Module, u use) int {
	entries := passes.Training
	switch u.mode {
	case "eval":
		entries = []string{"loss"}
	case "predict":
		entries = nil
	}
	n := passes.Touched(m, u.env, passes.Page, entries...)
	if u.text == 0 {
		return n
	}
	return min(n+touchedByTexts(m, u), passes.Touched(m, u.env, passes.Page, append(slices.Clone(entries), u.entry())...))
}

// touchedByTexts is what generating texts touches of it: of a pass, one row has logits.
func touchedByTexts(m *ir.Module, u use) int {
	if u.text == 0 {
		return 0
	}
	return passes.Touched(m, ir.Env{"T": min(u.prompt, u.env["T"]), "S": 1, "N": 1}, passes.Page, u.entry())
}

// entry is the function that texts are generated by.
func (u *use) entry() string {
	if u.whole {
		return "logits"
	}
	return "next"
}

// written is how much of a cache a text of n ids takes, in the pages it comes in.
func written(t ir.Type, n int) int {
	all, page := t.Bytes(nil), 4<<10
	if all >= passes.Page {
		page = passes.Page
	}
	return min(all, (4*n*t.Shape[1].N+page-1)/page*page)
}

// scratch is what the kernels pack into.
func scratch(m *ir.Module, env ir.Env, threads int) int {
	z := kernels.Sizes{Rows: env["T"], Supervised: env["S"], Widest: 1, HeadSize: 1, Heads: 1, Share: 1, Threads: threads}
	most := 0
	for _, s := range m.Storages {
		if s.Kind == ir.Param && s.Type.Rank() == 2 && s.Stack != nil {
			z.Widest = max(z.Widest, s.Type.Shape[0].N, s.Type.Shape[1].N)
		}
	}
	for _, f := range m.Funcs {
		for _, s := range f.Body {
			if s.Op.Name == "attention" {
				z.Heads = s.Attrs.Int("heads")
				z.HeadSize, z.Share = s.Results[0].Type.Shape[1].N/z.Heads, z.Heads/s.Attrs.Int("kv_heads")
			}
			z.Trains = z.Trains || s.Attrs.Str("trans") == "lhs"
			z.HeadTrains = z.HeadTrains || s.Op.Name == "head_loss" && len(s.Args) > 4
			if s.Op.Name != "lora_linear" {
				continue
			}
			var here []int
			sum, r := 0, 0
			for _, kind := range s.Attrs.List("parts") {
				if r++; kind != "plain" { // y, and xa behind it
					here = append(here, s.Results[r].Type.Shape[1].N)
					sum += here[len(here)-1]
					r++
				}
			}
			if sum > most {
				z.Ranks, most = here, sum
			}
		}
	}
	z.Vocab, _ = m.Setting("size.vocab").(int)
	z.Hidden, _ = m.Setting("size.hidden").(int)
	return kernels.ScratchBytes(z)
}

// usesOf finds what a run makes of a module: by its data, where they are known.
// A path of the config that is not there is left to the trainer, unless that
// would start at once: then reading the data says so, in the trainer's words,
// before it is built. Prediction reads none.
func usesOf(m *ir.Module, t *target) (use, error) {
	u := anyUse(m, t)
	job, err := codegen.Job(m)
	if err != nil {
		return u, err
	}
	if u.mode == "predict" || slices.Contains(job.Metrics, "EmF1Metric") {
		u.prompt, u.text = u.env["T"], u.env["T"]
	}
	if !t.runs {
		return u, nil
	}
	job.RunMode = t.mode
	data := job.TrainData.Path
	if t.mode == "eval" {
		data = job.EvalData.Path
	}
	given := data != ""
	for _, path := range strings.Split(data, ",") {
		_, err := os.Stat(strings.TrimSpace(path))
		given = given && err == nil
	}
	given = given || slices.Contains(t.args, "--train_dataset_dir") || slices.Contains(t.args, "--eval_dataset_dir")
	if !given && (!t.here || t.mode == "predict") {
		return u, nil
	}
	job.LoadCheckpoint = t.weights
	d := rt.Measure(job, t.args)
	if d.Rows == 0 && d.Text > 0 { // an evaluation of nothing but texts
		u.mode, d.Rows, d.Sequences, d.Tokens = "predict", 1, 1, max(d.Tokens, d.Prompt)
	}
	if d.Tokens > 0 {
		u.env = ir.Env{"T": d.Tokens, "S": d.Rows, "N": d.Sequences}
		u.data, u.parsed, u.prompt, u.text, u.whole = d.Data, d.Parsed, d.Prompt, d.Text, d.Whole
	}
	return u, nil
}

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

// frozenBytes is what the frozen weights of some types take in memory.
func frozenBytes(m *ir.Module, of func(ir.Type) bool) (n int) {
	for _, s := range m.Storages {
		if s.Kind == ir.Param && !s.Trainable && of(s.Type) && !(m.OnlyEmbeds(s) && m.Setting(inMemory) == nil) {
			n += s.Count() * s.Type.Bytes(nil)
		}
	}
	return n
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
	frozen := frozenBytes(m, func(ir.Type) bool { return true })
	if wide := frozenBytes(m, func(t ir.Type) bool { return t.DType == ir.F32 && len(t.Shape) > 1 }); wide > 0 {
		help = append(help, fmt.Sprintf("a base stored in f16 or bf16 saves %s", size(wide/2)))
	}
	quantised := *c
	quantised.Quant.V = "int4"
	if r, err := compileOnce(&quantised, t, nil, nil, nil); err == nil {
		if less := frozen - frozenBytes(r.Module, func(ir.Type) bool { return true }); less > 0 {
			help = append(help, fmt.Sprintf("--quant int4 saves about %s", size(less)))
		}
	}
	if help == nil {
		help = []string{"more memory"}
	}
	return fmt.Errorf("the job takes at least %s, %s bytes more than the limit of %s, with everything computed again that can be\n  = help: %s",
		size(p.Total), commas(p.Total-limit), size(limit), strings.Join(help, "; "))
}

// freeMemory is what the system says a new process may take without swapping
// (MemAvailable of proc(5)), 0 where it does not.
func freeMemory() int {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0
	}
	_, rest, ok := strings.Cut(string(text), "MemAvailable:")
	fields := strings.Fields(rest)
	if !ok || len(fields) == 0 {
		return 0
	}
	n, err := strconv.Atoi(fields[0])
	if err != nil {
		return 0
	}
	return n << 10
}

// size writes bytes for people.
func size(n int) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.2f GiB", float64(n)/(1<<30))
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
