package compiler

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/compiler/cost"
	"lorac/compiler/passes"
	"lorac/ir"
)

// meshConfig is a job of eight heads; %s are the number of key heads, further
// keys of the model, and what trains.
const meshConfig = `
run_mode: finetune
trainer: {model_name: m}
runner_config: {batch_size: 8}
optimizer: {type: %s, weight_decay: 0.1}
lr_schedule: {type: ConstantWarmUpLR, learning_rate: 1.e-2}
runner_wrapper: {use_clip_grad: True, max_grad_norm: 0.5}
model:
  arch: {type: LlamaForCausalLM}
  model_config:
    type: LlamaConfig
    seq_length: 16
    hidden_size: 16
    intermediate_size: 24
    num_layers: 3
    num_heads: 8
    n_kv_heads: %d
    vocab_size: %d
    param_init_type: float32
    compute_dtype: float32
    %s
    %s
`

// meshJob is what differs between jobs.
type meshJob struct {
	optimizer string
	kv, vocab int
	keys      string
	targets   string // "" trains everything
	pet       string // further keys of the adapter
	dropout   float64
	stages    bool // no axis cuts a tensor
	rows      bool // axis mp cuts nothing
}

func (j meshJob) text() string {
	pet := ""
	if j.targets != "" {
		pet = fmt.Sprintf("pet_config: {pet_type: lora, lora_rank: 3, lora_alpha: 6, lora_dropout: %g, target_modules: '%s'%s}", j.dropout, j.targets, j.pet)
	}
	if j.optimizer == "" {
		j.optimizer = "AdamW"
	}
	return fmt.Sprintf(meshConfig, j.optimizer, j.kv, j.vocab, j.keys, pet)
}

const allSeven = ".*wq|.*wk|.*wv|.*wo|.*w1|.*w2|.*w3"

// meshRows is a batch: sequences of different lengths, supervised in part.
type meshRows struct {
	tokens, pos, starts, seeds, rows, targets []int64
	weights                                   []float64
}

func newMeshRows(vocab int) []meshRows {
	rng := rand.New(rand.NewPCG(1, 2))
	var out []meshRows
	for i := range 8 {
		r := meshRows{starts: []int64{0}}
		for k := range 2 + i%3 {
			r.tokens, r.pos, r.seeds = append(r.tokens, rng.Int64N(int64(vocab))), append(r.pos, int64(k)), append(r.seeds, rng.Int64())
			if k > 0 || i == 3 {
				r.rows, r.targets, r.weights = append(r.rows, int64(k)), append(r.targets, rng.Int64N(int64(vocab))), append(r.weights, rng.Float64()/8)
			}
		}
		out = append(out, r)
	}
	return out
}

// joinRows is a micro-batch of some sequences.
func joinRows(list []meshRows) meshRows {
	var out meshRows
	for _, r := range list {
		first := int64(len(out.tokens))
		out.starts = append(out.starts, first)
		out.tokens, out.pos, out.seeds = append(out.tokens, r.tokens...), append(out.pos, r.pos...), append(out.seeds, r.seeds...)
		for _, row := range r.rows {
			out.rows = append(out.rows, first+row)
		}
		out.targets, out.weights = append(out.targets, r.targets...), append(out.weights, r.weights...)
	}
	return out
}

func (r meshRows) env() ir.Env {
	return ir.Env{"T": len(r.tokens), "S": len(r.rows), "N": len(r.starts)}
}

func (r meshRows) args(f *ir.Func) (out []*ir.Array) {
	ints := map[string][]int64{"tokens": r.tokens, "pos": r.pos, "starts": r.starts, "base": make([]int64, len(r.starts)), "seeds": r.seeds, "rows": r.rows, "targets": r.targets, "step": {3}}
	for _, p := range f.Params {
		switch {
		case p.Name == "weights":
			out = append(out, &ir.Array{Shape: []int{len(r.weights)}, F: r.weights})
		case p.Name == "lr":
			out = append(out, &ir.Array{F: []float64{0.01}})
		default:
			out = append(out, &ir.Array{Shape: []int{len(ints[p.Name])}, I: ints[p.Name]})
		}
	}
	return out
}

// fillMesh gives parameters and tables numbers that depend on their names.
func fillMesh(in *ir.Interp) {
	for _, s := range in.M.Storages {
		if s.Kind == ir.Param || s.Kind == ir.Table {
			h := fnv.New64()
			h.Write([]byte(s.Name))
			rng := rand.New(rand.NewPCG(h.Sum64(), 0))
			for i := range in.Storage[s.Name].F {
				in.Storage[s.Name].F[i] = 0.5 * rng.NormFloat64()
			}
		}
	}
}

// same checks that two tensors differ by rounding alone.
func same(t *testing.T, what string, bound float64, want, got []float64) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s has %d elements, not %d", what, len(got), len(want))
		return
	}
	most, worst := 0.0, 0.0
	for i := range want {
		most, worst = max(most, math.Abs(want[i])), max(worst, math.Abs(want[i]-got[i]))
	}
	if !(worst <= bound*most) || most == 0 && worst != 0 {
		t.Errorf("%s differs by %.2g, its largest is %.2g", what, worst, most)
	}
}

// checkMesh compares what all ranks of a mesh compute with what one process does.
func checkMesh(t *testing.T, j meshJob, mesh string) *ir.Module {
	t.Helper()
	c := parse(t, j.text())
	m := compile(t, c, &Target{Mesh: axesOf(t, mesh)}).Module
	compareRanks(t, compile(t, c, nil).Module, m, j.vocab, 1e-12)
	return m
}

func axesOf(t *testing.T, mesh string) []ir.Axis {
	t.Helper()
	axes, err := ParseMesh(mesh)
	if err != nil {
		t.Fatal(err)
	}
	return axes
}

// compareRanks compares what all ranks of a module compute with what another one
// does on one process.
func compareRanks(t *testing.T, one, m *ir.Module, vocab int, bound float64) {
	t.Helper()
	if m.Mesh == nil || m.Identity() != one.Identity() {
		t.Errorf("mesh %v; the job is %s, on one process %s", m.Mesh, m.Identity(), one.Identity())
	}
	if again := ir.MustParse(m.String()); again.String() != m.String() {
		t.Fatal("the text does not parse back")
	}
	same := func(t *testing.T, what string, want, got []float64) {
		t.Helper()
		same(t, what, bound, want, got)
	}
	list := newMeshRows(vocab)
	all := joinRows(list)
	ref := ir.NewInterp(one, all.env())
	fillMesh(ref)
	shares := m.Mesh.Axis(ir.Optimizer)
	data := m.Mesh.Axis(ir.Data) * shares
	lane := func(rank int) int { return m.Mesh.Coord(rank, ir.Data)*shares + m.Mesh.Coord(rank, ir.Optimizer) }
	of := func(rank int) meshRows {
		d := lane(rank)
		return joinRows(list[d*8/data : (d+1)*8/data])
	}
	ranks := ir.NewRanks(m, func(rank int) ir.Env { return of(rank).env() })
	ranks.Load(ref)
	entry := func(rank int, name string) *ir.Func { // each stage has its own
		if f := m.Func(name); f != nil {
			return f
		}
		return m.Func(fmt.Sprintf("%s.%d", name, m.Mesh.Coord(rank, ir.Stage)))
	}
	call := func(name string) [][]*ir.Array {
		t.Helper()
		out, err := ranks.Call(func(rank int) string { return entry(rank, name).Name }, func(rank int) []*ir.Array { return of(rank).args(entry(rank, name)) })
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return out
	}
	// Values of rows are a data rank's own, losses are sums over them; ranks that
	// share rows have the same bits, and stages that do not compute a loss zeros.
	results := func(name string) {
		t.Helper()
		want, got := ref.Call(name, all.args(one.Func(name))...), call(name)
		parts := make([][]float64, data)
		for rank, r := range got {
			first := m.Mesh.Group(rank, ir.Model)[0]
			if !slices.Equal(r[0].F, got[first][0].F) {
				t.Errorf("%s: ranks %d and %d differ", name, first, rank)
			}
			d, stage := lane(rank), m.Mesh.Coord(rank, ir.Stage)
			switch {
			case first != rank:
			case stage > 0 && (m.Func(name) != nil || len(r[0].Shape) > 0):
				if !slices.Equal(r[0].F, parts[d]) {
					t.Errorf("%s: stages 0 and %d differ", name, stage)
				}
			case stage > 0:
				for i, v := range r[0].F {
					parts[d][i] += v
				}
			default:
				parts[d] = slices.Clone(r[0].F)
			}
		}
		whole := slices.Concat(parts...)
		if r := entry(0, name).Results[0]; r.Type.Rank() == 0 {
			whole = parts[0]
			if r.Type.On(ir.Data) == ir.IsSum || r.Type.On(ir.Optimizer) == ir.IsSum {
				for _, p := range parts[1:] {
					whole[0] += p[0]
				}
			}
		}
		same(t, name, want[0].F, whole)
	}
	storages := func(kind ir.StorageKind) {
		t.Helper()
		for _, s := range m.Storages {
			if s.Kind == kind && (kind != ir.Param || s.Trainable) {
				got, apart := ranks.Gather(s)
				if apart != 0 {
					t.Errorf("$%s differs between ranks by %g", s.Name, apart)
				}
				same(t, "$"+s.Name, ref.Storage[s.Name].F, got.F)
			}
		}
	}
	results("loss")
	results("logits")
	results("step")
	storages(ir.Grad)
	results("update")
	storages(ir.Param)
	storages(ir.State)
	results("loss")
	if data == 1 { // one text that is continued
		results("next")
		storages(ir.Cache)
	}
}

// TestTensorBytes: what is forecast for tensor parallelism is what the graph sends.
func TestTensorBytes(t *testing.T) {
	for _, name := range []string{"attention", "all seven", "dropout", "grouped", "feed-forward", "down alone"} {
		if name != "all seven" && !testkit.Wanted("passes") {
			continue
		}
		j := meshJobs[name]
		one := compile(t, parse(t, j.text()), nil).Module
		for _, mesh := range []string{"mp=2", "mp=4", "mp=2,sp=2", "mp=4,sp=4"} {
			axes := axesOf(t, mesh)
			m := compile(t, parse(t, j.text()), &Target{Mesh: axes}).Module
			sent := cost.Wire(m, m.Func("step"))[ir.Model] + cost.Wire(m, m.Func("update"))[ir.Model]
			for _, s := range m.Func("update").Body { // the norm is a number
				if s.Op.Name == "all_reduce" {
					sent -= s.Attrs.Int("bytes")
				}
			}
			if want, _ := cost.TensorBytes(one, m.Mesh.Axis(ir.Model), m.MaxEnv()["T"], m.Mesh.Divided()); float64(sent) != want {
				t.Errorf("%s over %s: the graph sends %d bytes, %v are forecast", name, mesh, sent, want)
			}
		}
	}
}

// TestMeshLimit: under a memory limit, what is not saved is recomputed on all
// ranks alike, with the sums in between; rounded values are summed, not parts.
func TestMeshLimit(t *testing.T) {
	testkit.Slow(t, "passes")
	j := meshJob{kv: 8, vocab: 24, targets: allSeven, dropout: 0.3}
	for _, x := range [][2]string{{"float32", "dp=2,mp=2"}, {"bfloat16", "dp=2,mp=2"}, {"float32", "pp=2"}} {
		dtype, mesh := x[0], x[1]
		c := parse(t, strings.Replace(j.text(), "compute_dtype: float32", "compute_dtype: "+dtype, 1))
		target := small()
		target.Mesh = axesOf(t, mesh)
		target.Fit = ir.Env{"T": 16, "S": 16, "N": 8}
		full := compile(t, c, target)
		target.Limit = full.Process.Total - full.Module.Arena()/8
		m := compile(t, c, target).Module
		bound := 1e-12
		if dtype != "float32" {
			bound = 0.1
		}
		recomputed := 0
		for _, f := range m.Funcs {
			for _, s := range f.Body {
				if f.Of != "" && s.Op.Name == "lora_linear" {
					recomputed++
				}
			}
		}
		if recomputed == 0 && dtype == "float32" {
			t.Error("nothing is recomputed")
		}
		compareRanks(t, compile(t, c, nil).Module, m, j.vocab, bound)
	}
}

// meshJobs are graphs of every kind.
var meshJobs = map[string]meshJob{
	"attention":    {kv: 8, vocab: 24, targets: ".*wq|.*wv"},
	"all seven":    {kv: 8, vocab: 24, targets: allSeven},
	"dropout":      {kv: 8, vocab: 24, targets: allSeven, dropout: 0.3},
	"part of base": {kv: 8, vocab: 24, targets: allSeven, dropout: 0.3, pet: ", init_lora_weights: pissa"},
	"dora":         {kv: 8, vocab: 24, keys: "qkv_has_bias: True", targets: allSeven, dropout: 0.3, pet: ", use_dora: True", rows: true},
	"down alone":   {kv: 8, vocab: 24, targets: ".*w2", dropout: 0.3},
	"modules":      {kv: 8, vocab: 24, targets: allSeven, dropout: 0.3, pet: ", modules_to_save: [embed_tokens, lm_head, norm]"},
	"modules tied": {kv: 8, vocab: 23, keys: "tie_word_embeddings: True", targets: ".*wq", pet: ", modules_to_save: [embed_tokens], ensure_weight_tying: True"},
	"full":         {kv: 8, vocab: 24},
	"full tied":    {kv: 8, vocab: 24, keys: "tie_word_embeddings: True"},
	"tied":         {kv: 8, vocab: 24, keys: "tie_word_embeddings: True", targets: ".*wo|.*w3"},
	"other vocab":  {kv: 8, vocab: 23, targets: allSeven, dropout: 0.3},
	"full odd":     {kv: 8, vocab: 23},
	"concat":       {kv: 8, vocab: 24, keys: "qkv_concat: True", targets: ".*w_qkv|.*w_gate_hidden|.*wo", dropout: 0.3},
	"concat full":  {kv: 8, vocab: 24, keys: "qkv_concat: True"},
	"grouped":      {kv: 4, vocab: 24, targets: allSeven, dropout: 0.3},
	"grouped two":  {kv: 2, vocab: 24, targets: allSeven},
	"biases":       {kv: 8, vocab: 24, keys: "qkv_has_bias: True\n    attn_proj_has_bias: True\n    mlp_has_bias: True", targets: allSeven, dropout: 0.3},
	"full bias":    {kv: 4, vocab: 24, keys: "qkv_has_bias: True\n    attn_proj_has_bias: True\n    mlp_has_bias: True\n    tie_word_embeddings: True"},
	"concat bias":  {kv: 8, vocab: 24, keys: "qkv_concat: True\n    qkv_has_bias: True\n    mlp_has_bias: True"},
	"momentum":     {kv: 8, vocab: 24, targets: ".*wq|.*w2", optimizer: "SGD, momentum: 0.9"},
	"feed-forward": {kv: 8, vocab: 24, targets: ".*w1|.*w2"},
	"lamb":         {kv: 8, vocab: 24, targets: ".*wq|.*w2", optimizer: "Lamb", stages: true},
	"came":         {kv: 8, vocab: 24, optimizer: "Came", stages: true},
}

// TestMesh: all ranks of a mesh together compute what one process does.
func TestMesh(t *testing.T) {
	for name, mesh := range map[string]string{"dropout": "dp=2,mp=2", "full tied": "pp=2,mp=2", "concat": "mp=2", "grouped two": "dp=4,mp=2", "other vocab": "mp=8", "all seven": "dp=2,pp=2", "full odd": "dp=4,os=2", "full": "os=2,pp=2", "biases": "os=2,mp=2", "tied": "mp=4,sp=4"} {
		t.Run(name, func(t *testing.T) { checkMesh(t, meshJobs[name], mesh) })
	}
}

// TestMeshes does the same for every graph on every mesh.
func TestMeshes(t *testing.T) {
	testkit.Slow(t, "passes")
	for name, j := range meshJobs {
		t.Run(name, func(t *testing.T) {
			for _, mesh := range []string{"dp=2", "mp=2", "dp=4", "dp=2,mp=2", "mp=4", "dp=8", "dp=4,mp=2", "dp=2,mp=4", "mp=8", "pp=2", "dp=2,pp=2", "pp=2,mp=2", "dp=2,pp=2,mp=2", "pp=3",
				"os=2", "os=4", "os=8", "dp=4,os=2", "os=2,pp=2", "os=2,mp=2", "os=4,mp=2", "os=2,mp=4", "os=2,pp=2,mp=2",
				"mp=2,sp=2", "mp=4,sp=4", "mp=8,sp=8", "dp=2,mp=2,sp=2", "pp=2,mp=2,sp=2", "os=2,mp=2,sp=2"} {
				axes, _ := ParseMesh(mesh)
				m := &ir.Mesh{Axes: axes}
				if n := m.Axis(ir.Model); j.kv%n == 0 && !(j.stages && n*m.Axis(ir.Optimizer) > 1) && !(j.rows && n > 1) {
					t.Run(mesh, func(t *testing.T) { checkMesh(t, j, mesh) })
				}
			}
		})
	}
}

// TestMegatron: a layer sums twice in each direction, and nothing of the adapters.
func TestMegatron(t *testing.T) {
	m := checkMesh(t, meshJob{kv: 8, vocab: 24, targets: allSeven}, "dp=2,mp=2")
	for name, want := range map[string]int{"layer.forward": 2, "layer.last.forward": 2, "layer.backward": 2, "layer.first.backward": 1} {
		n := 0
		for _, s := range m.Func(name).Body {
			if s.Op.Name == "all_reduce" {
				n++
			}
		}
		if n != want {
			t.Errorf("%s sums %d times, not %d:\n%s", name, n, want, m.Func(name))
		}
	}
	// Each sum of n bytes over two ranks sends n: of the embedding, two a layer in each
	// direction but for the lowest, whose input needs no gradient, and the head's.
	env := m.MaxEnv()
	if got, want := cost.Wire(m, m.Func("step"))[ir.Model], 4*(9*env["T"]*16+4*env["S"]*16+2*env["S"]); got != want {
		t.Errorf("a micro-batch sends %d bytes over model, by hand %d", got, want)
	}
	grads := map[string]int{}
	for _, s := range m.Storages {
		for _, o := range s.Type.Over {
			grads[o.Axis] += s.Count() * s.Type.Bytes(nil)
		}
	}
	wire := cost.Wire(m, m.Func("update"))
	if wire[ir.Data] != grads[ir.Data] || wire[ir.Model] != grads[ir.Model]+4 {
		t.Errorf("a step sends %v bytes, gradients that are partial have %v", wire, grads)
	}
	for name, want := range map[string]string{
		"layer.wq.w":      "f32[q_width/model,hidden]",
		"layer.wq.a.grad": "f32[rank,hidden] sum(data,model)",
		"layer.wq.b.grad": "f32[q_width/model,rank] sum(data)",
		"layer.w2.w":      "f32[hidden,ffn/model]",
		"layer.w2.a.grad": "f32[rank,ffn/model] sum(data)",
		"layer.w2.b.grad": "f32[hidden,rank] sum(data,model)",
		"embed":           "f32[vocab/model,hidden]",
		"layer.norm1":     "f32[hidden]",
	} {
		if got := m.Storage(name).Type.String(); got != want {
			t.Errorf("$%s is %s, not %s", name, got, want)
		}
	}
}

// TestMeshMemory: each process has its part of the base, and what trains twice: its
// part, and the whole for checkpoints.
func TestMeshMemory(t *testing.T) {
	c := parse(t, meshJobs["all seven"].text())
	parts := func(mesh string) map[string]int {
		target := small()
		if mesh != "" {
			target.Mesh = axesOf(t, mesh)
		}
		out := map[string]int{}
		for _, p := range compile(t, c, target).Process.Parts {
			out[p.Name] = p.Bytes
		}
		return out
	}
	one, four, staged, shared := parts(""), parts("mp=4"), parts("pp=3"), parts("os=4")
	const base = "frozen weights (mapped, as f32)"
	if four[base] >= one[base]/3 || four["gradients"] >= one["gradients"] || four["the whole of what trains, which other processes have parts of"] == 0 {
		t.Errorf("of four processes, each takes %v; one takes %v", four, one)
	}
	// Shares are whole blocks of a norm, of which these stacks have one each.
	if shared["optimizer state"] != one["optimizer state"] || shared["a tensor of the optimizer's states, as it is put together"] == 0 {
		t.Errorf("of four that share the states, one takes %v", shared)
	}
	// The last of three stages has one layer of three, and the head; the first has three
	// micro-batches under way.
	if staged[base] >= one[base]*2/3 || staged["activations on their way between stages"] == 0 {
		t.Errorf("of three stages, one takes %v; one process %v", staged, one)
	}
}

// TestTokens: what stands between the linears that are cut is of a part of the tokens; the
// sums of a layer are a scatter and a gather each, and what is saved of it are parts.
func TestTokens(t *testing.T) {
	j := meshJob{kv: 8, vocab: 24, targets: allSeven}
	m := checkMesh(t, j, "mp=4,sp=4")
	whole := compile(t, parse(t, j.text()), &Target{Mesh: axesOf(t, "mp=4")}).Module
	count := map[string]int{}
	for _, s := range m.Func("layer.forward").Body {
		count[s.Op.Name]++
	}
	if count["all_reduce"] != 0 || count["reduce_scatter"] != 2 || count["all_gather"] != 2 {
		t.Errorf("a layer has %v:\n%s", count, m.Func("layer.forward"))
	}
	sent := func(m *ir.Module) int { return cost.Wire(m, m.Func("layer.forward"))[ir.Model] }
	if a, b := sent(m), sent(whole); a < b || a > b+b/8 { // parts differ by one
		t.Errorf("a layer sends %d bytes, with all tokens %d", a, b)
	}
	env := ir.Env{"T": 64, "S": 64, "N": 8}
	if a, b := cost.SavedBytes(m, env), cost.SavedBytes(whole, env); a >= b-b/8 {
		t.Errorf("%d bytes are saved, with all tokens %d", a, b)
	}
}

// TestShares: each process has its share of the states of a whole model, and a step sends
// what a sum of all would.
func TestShares(t *testing.T) {
	c := parse(t, strings.Replace(meshJobs["full"].text(), "hidden_size: 16", "hidden_size: 256", 1))
	state := func(mesh string) (int, *ir.Module) {
		target := small()
		target.Mesh = axesOf(t, mesh)
		r := compile(t, c, target)
		for _, p := range r.Process.Parts {
			if p.Name == "optimizer state" {
				return p.Bytes, r.Module
			}
		}
		t.Fatal("no states")
		return 0, nil
	}
	all, rows := state("dp=4")
	own, shares := state("os=4")
	if own < all/4 || own > all/4+all/20 {
		t.Errorf("the states take %d bytes of a process, all %d", own, all)
	}
	sums, numbers := cost.Wire(rows, rows.Func("update"))[ir.Data], cost.Wire(shares, shares.Func("update"))[ir.Optimizer]
	if numbers < sums || numbers > sums+sums/50 {
		t.Errorf("it sends %d bytes, a sum of all %d", numbers, sums)
	}
	if _, parts := state("os=2,pp=2"); cost.Wire(parts, parts.Func("update"))[ir.Stage] == 0 {
		t.Error("stages do not sum what both have")
	}
}

// TestMeshRefused: what a mesh cannot divide is refused by name.
func TestMeshRefused(t *testing.T) {
	for _, c := range []struct {
		j    meshJob
		mesh string
		want string
	}{
		{meshJob{kv: 2, vocab: 24, targets: ".*wq"}, "mp=4", "4 processes cannot divide the 2 key and value heads of this model"},
		{meshJob{kv: 8, vocab: 24, targets: ".*wq"}, "mp=5", "5 processes cannot divide the 24 width of the feed-forward network of this model"},
		{meshJob{kv: 8, vocab: 24, targets: ".*wq", optimizer: "Lamb"}, "mp=2", "several processes cannot share the step of model.layers.{i}.attention.wq.mindpet_delta_lora_b"},
		{meshJob{kv: 8, vocab: 24, targets: ".*wq", optimizer: "Lamb"}, "os=2", "several processes cannot share the states of model.layers.{i}.attention.wq.mindpet_delta_lora_b"},
	} {
		if _, err := Compile(parse(t, c.j.text()), &Target{Mesh: axesOf(t, c.mesh)}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.mesh, err)
		}
	}
	// A base in blocks is cut at their edges.
	j := meshJob{kv: 8, vocab: 24, targets: ".*wq", keys: "intermediate_size: 96"}
	c := parse(t, strings.Replace(j.text(), "    intermediate_size: 24\n", "", 1))
	blocks := &passes.Base{Stored: map[string]passes.Stored{"layer.w2.w": {DType: ir.Q8_0}}}
	if _, err := Compile(c, &Target{Mesh: axesOf(t, "mp=2"), Base: blocks}); err == nil || !strings.Contains(err.Error(), "2 processes cannot divide the columns of model.layers.{i}.feed_forward.w2.weight, which are stored as q8_0 in blocks of 32") {
		t.Errorf("blocks: %v", err)
	}
	if _, err := Compile(c, &Target{Mesh: axesOf(t, "pp=4"), Base: blocks}); err == nil || !strings.Contains(err.Error(), "4 stages for 3 layers") {
		t.Errorf("stages: %v", err)
	}
	if _, err := Compile(c, &Target{Mesh: axesOf(t, "dp=2"), Ascend: &passes.Ascend{}}); err == nil || !strings.Contains(err.Error(), "on the CPU only") {
		t.Errorf("a card: %v", err)
	}
	for text, want := range map[string]string{"dp=2,dp=3": "stands twice", "tp=2": "is no axis", "dp=0": "is no axis", "dp": "is no axis", "cp=2": "is no axis", "dp=4,os=3": "cannot divide the 4 of dp", "mp=4,sp=2": "are those of mp"} {
		if _, err := ParseMesh(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
	}
}
