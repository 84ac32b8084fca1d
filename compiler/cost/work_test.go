package cost

import (
	"testing"

	"lorac/ir"
	_ "lorac/ir/op"
)

// text is a step of three equal layers and what it saves, an embedding that is
// read by row, and a head.
const text = `module small from "small.yaml"

setting seq_length = 4 @1:1
setting size.vocab = 12 @1:1
setting size.hidden = 8 @1:1

dim T <= 10 @1:1
dim S <= T @1:1
dim N <= T @1:1

param $embed : bf16[12,8] frozen @1:1
param $layer.w[0..2] : f32[8,8] frozen @1:1
param $head : f32[12,8] trainable @1:1
grad $head.grad : f32[12,8] {of=head} @1:1
state $head.m : f32[12,8] {of=head} @1:1
table $cos : f32[16,4] {fn=rope} @1:1
cache $layer.keys[0..2] : f32[16,8] @1:1

func layer.forward[%i](%x: f32[T,8]) -> (%y) keep (%x) {
  %y = matmul %x, $layer.w {group=linear, trans=rhs} : f32[T,8] in hand+0 @3:1
}

func layer.backward[%i](%d.y: f32[T,8]) saved layer.forward (%x: f32[T,8]) -> (%d.x) {
  %d = matmul %d.y, $layer.w {group=linear, trans=none} : f32[T,8] in frame+0 @3:1
  %d.x = add %d, %x : f32[T,8] in hand+0 @3:1
}

entry func step(%ids: i32[T], %targets: i32[T], %weights: f32[T]) -> (%loss) {
  %x0 = embed %ids, $embed : f32[T,8] in frame+0 @5:1
  %x3, %kept = repeat layer.forward[0..2] %x0 : f32[T,8], kept layer.forward[0..2] @6:1
  %l = matmul %x3, $head {group=head, trans=rhs} : f32[T,12] in frame+320 @7:1
  %loss = cross_entropy %l, %targets, %weights : f32[] @8:1
  %d0 = repeat layer.backward[2..0] %x3, %kept : f32[T,8] @6:1
}
`

func module(t *testing.T) *ir.Module {
	t.Helper()
	m, err := ir.Parse("small.ir", text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestLargestMicroBatch(t *testing.T) {
	m := module(t)
	if env := LargestMicroBatch(m); env["T"] != 10 || env["S"] != 10 || env["N"] != 3 { // of 4 rows at most
		t.Errorf("any data: %v", env)
	}
	m.Dims[2].Max = ir.N(2)
	if env := LargestMicroBatch(m); env["N"] != 2 {
		t.Errorf("fitted: %v", env)
	}
}

func TestWork(t *testing.T) {
	m := module(t)
	env := ir.Env{"T": 10, "S": 10, "N": 1}
	work := map[string]float64{}
	for _, w := range Work(Root(m), env) {
		work[w.Group] = w.FLOPs
	}
	if want := 2.0 * 10 * 8 * 8 * 3; work["linear"] != want || work["linear.dx"] != want {
		t.Errorf("the layers take %v, want %v forward and backward", work, want)
	}
	if want := 2.0 * 10 * 8 * 12; work["head"] != want {
		t.Errorf("the head takes %v, want %v", work["head"], want)
	}
	if got := Total(Root(m), env); got != 2*work["linear"]+work["head"] {
		t.Errorf("%v in all, of %v", got, work)
	}
	if Total(nil, env) != 0 || len(Work(nil, env)) != 0 {
		t.Error("no function takes something")
	}
	s := Count(m)
	if s.FLOPs != 2*work["linear"]+work["head"] || s.KeptBytes != 3*10*8*4 || s.Storages != len(m.Storages) || s.Statements != 8 {
		t.Errorf("%+v", s)
	}
}

func TestSavedBytes(t *testing.T) {
	m := module(t)
	if got, want := SavedBytes(m, ir.Env{"T": 7, "S": 7, "N": 1}), 3*7*8*4; got != want {
		t.Errorf("%d bytes, want %d", got, want)
	}
	m.Funcs = m.Funcs[:2]
	if SavedBytes(m, m.MaxEnv()) != 0 || Root(m) != nil {
		t.Error("without a root something is saved")
	}
}

// What is counted is what is there: each part by hand.
func TestProcessOf(t *testing.T) {
	m := module(t)
	d := &Device{Page: 64, SmallPage: 64, Procs: 2, PerProc: 100, Program: 5000, PerLayer: 10,
		Scratch: func(z KernelSizes) int { return 1000 + z.Rows + 50*z.Threads }}
	arena := Touched(m, m.MaxEnv(), d, Training...)
	p := ProcessOf(m, Use{Mode: "finetune", Threads: 3, Data: 70}, d)
	want := map[string]int{
		"frozen weights (mapped, as f32)": 3 * 8 * 8 * 4, // the embedding is read by row
		"trainable parameters":            12 * 8 * 4,
		"gradients":                       12 * 8 * 4,
		"optimizer state":                 12 * 8 * 4,
		"tables":                          16 * 4 * 4,
		"activations of a micro-batch of 10 token rows": arena,
		"packed operands of 3 threads":                  1010 + 3*50,
		"data":                                          70,
		"the program and Go":                            5000 + 3*10 + 2*100,
	}
	total := 0
	for _, part := range p.Parts {
		if want[part.Name] != part.Bytes {
			t.Errorf("%s: %d bytes, want %d", part.Name, part.Bytes, want[part.Name])
		}
		total += part.Bytes
	}
	if len(p.Parts) != len(want) || p.Total != total {
		t.Errorf("%d parts of %d, %d bytes of %d", len(p.Parts), len(want), p.Total, total)
	}
	if p.Thread != 50 || p.Resident() != total-3*50-2*100 {
		t.Errorf("a thread takes %d, the rest %d of %d", p.Thread, p.Resident(), total)
	}
	if q := ProcessOf(m, Use{Mode: "finetune", Threads: 3, Data: 70, Sums: 4000, Engine: 600}, d); q.Total != total+4600 || q.Resident() != p.Resident() {
		t.Errorf("one of several takes %d, and beside their number %d; alone %d and %d", q.Total, q.Resident(), total, p.Resident())
	}
	if got := p.Fixed(m, d) + StorageBytes(m) + arena; got != total {
		t.Errorf("fixed, storages and arena are %d bytes, want %d", got, total)
	}
	if all, f32 := Frozen(m); all != 3*8*8*4 || f32 != all {
		t.Errorf("frozen: %d, %d in f32", all, f32)
	}
}

// What is not used is not counted; what a small job takes at first is.
func TestProcessByUse(t *testing.T) {
	m := module(t)
	m.Settings = append(m.Settings, &ir.Setting{Key: InMemory, Val: true}, &ir.Setting{Key: Joined, Val: 300}, &ir.Setting{Key: Narrower(m.Storage("layer.w")), Val: 32})
	has := func(u Use) map[string]int {
		parts := map[string]int{}
		for _, p := range ProcessOf(m, u, &Device{Start: 1 << 20, Slack: 8}).Parts {
			parts[p.Name] = p.Bytes
		}
		return parts
	}
	eval := has(Use{Mode: "eval", Text: 5, Prompt: 3, Data: 100, Parsed: 20})
	for _, name := range []string{"gradients", "optimizer state"} {
		if _, ok := eval[name]; ok {
			t.Errorf("an evaluation has %s", name)
		}
	}
	if eval["frozen weights (mapped, as bf16)"] != 12*8*2 || eval["frozen weights (mapped, as f32)"] != 3*8*8*4-32 ||
		eval["weights that the checkpoint stores in pieces, joined"] != 300 || eval["keys and values of texts, at their longest"] != 3*192 {
		t.Errorf("%v", eval)
	}
	sum := 0
	for _, n := range eval {
		sum += n
	}
	if want := 1<<20 + 20 + 100 + 8; sum != want {
		t.Errorf("a small job takes %d bytes, want %d", sum, want)
	}
	if _, ok := has(Use{Mode: "predict", Text: 5, Whole: true})["keys and values of texts, at their longest"]; ok {
		t.Error("texts without caches have keys and values")
	}
	for _, s := range m.Storages {
		if s.Name == "layer.w" {
			s.Type.DType = ir.I8
		}
	}
	if got, want := has(Use{Mode: "finetune"})["frozen weights in eight bits"], 3*(m.Storage("layer.w").Type.Bytes(nil)+16<<10); got != want {
		t.Errorf("eight bits: %d bytes, want %d", got, want)
	}
}

// Pages that are larger than buffers count completely, once.
func TestTouchedPages(t *testing.T) {
	m := module(t)
	exact := Touched(m, m.MaxEnv(), nil, "step")
	if exact > m.Arena() || exact == 0 {
		t.Errorf("%d bytes of %d are touched", exact, m.Arena())
	}
	few := ir.Env{"T": 1, "S": 1, "N": 1}
	if Touched(m, few, nil, "step") >= exact {
		t.Error("fewer rows touch as much")
	}
	for _, page := range []int{256, 1024} {
		got := Touched(m, few, &Device{Page: page, SmallPage: 64}, "step")
		if got < Touched(m, few, nil, "step") || got > (m.Arena()+page-1)/page*page {
			t.Errorf("pages of %d: %d bytes of %d", page, got, m.Arena())
		}
	}
	if Touched(m, few, nil) != 0 || Touched(m, few, nil, "no such") != 0 {
		t.Error("nothing that runs touches something")
	}
}
