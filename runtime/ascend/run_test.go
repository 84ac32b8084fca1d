package ascend

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	k "lorac/kernels/ascend"
	rt "lorac/runtime"
	"lorac/runtime/exit"
)

// toy trains one vector, whose element t%4 is to become the target's number. It is
// written once for memory of either kind.
type toy struct{ x, grad, state []float32 }

func (m *toy) loss(targets []int32, weights []float32) float64 {
	sum := 0.0
	for i, t := range targets {
		d := float64(m.x[t%4]) - float64(t)
		sum += d * d / 2 * float64(weights[i])
	}
	return sum
}

func (m *toy) step(targets []int32, weights []float32) float64 {
	for i, t := range targets {
		m.grad[t%4] += (m.x[t%4] - float32(t)) * weights[i]
	}
	return m.loss(targets, weights)
}

func (m *toy) update(lr float64) float64 {
	sum := 0.0
	for i, g := range m.grad {
		sum += float64(g) * float64(g)
		m.state[i] = m.state[i]*0.9 + g
		m.x[i] -= float32(lr) * m.state[i]
		m.grad[i] = 0
	}
	return math.Sqrt(sum)
}

var start = Init{Kind: "uniform", Bound: 1}

// onHost is the run of package rt that one on a device must equal.
func onHost(r *rt.Run) error {
	x := r.Trainable([]string{"model.norm_out.weight"}, 4, 0, start)
	m := &toy{x.Data, r.Grad(x).Data, r.State(x, "m").Data}
	if err := r.Loaded(); err != nil {
		return err
	}
	loss := func(b *rt.MicroBatch) float64 { return m.loss(b.Targets, b.Weights) }
	if err := r.Begin(loss); err != nil {
		return err
	}
	for r.Next() {
		norm := 0.0
		for _, b := range r.MicroBatches() {
			r.Add(m.step(b.Targets, b.Weights))
		}
		if r.Ready() {
			norm = m.update(r.LR())
		}
		r.Done(norm, loss)
	}
	return r.Finish(loss)
}

// onFake is the same on a device, whose memory it reads and writes as kernels do.
func onFake(d *fake, lost int) func(r *Run) error {
	return func(r *Run) error {
		x := r.Trainable([]string{"model.norm_out.weight"}, 4, 0, start)
		grad, state := r.Grad(x), r.State(x, "m")
		low := r.Copy(x, k.BF16, 2)
		if err := r.Loaded(); err != nil {
			return err
		}
		got := make([]float32, 4)
		k.BF16.Get(got, d.at(low.Mat(0).At, 8))
		for i, v := range d.floats(x.Data.At, 4) {
			if got[i] != k.BF16.Round(2*v) {
				return fmt.Errorf("the copy of %v is %v", v, got[i])
			}
		}
		there := func(s *Stack) []float32 { return d.floats(s.Data.At, 4) }
		with := func(b *MicroBatch, f func(m *toy, targets []int32, weights []float32) float64) float64 {
			m := &toy{there(x), there(grad), there(state)}
			out := f(m, d.ints(b.Targets), d.floats(b.Weights.At, b.Weights.N))
			k.F32.Put(d.at(grad.Data.At, 16), m.grad)
			return out
		}
		loss := func(b *MicroBatch) float64 { return with(b, (*toy).loss) }
		if err := r.Begin(loss); err != nil {
			return err
		}
		for r.Next() {
			norm := 0.0
			for _, b := range r.MicroBatches() {
				r.Add(with(b, (*toy).step))
			}
			if r.Update() == lost {
				r.Kernels().Layer(3)
				r.Kernels().Clear(k.VecAt(grad.Data.At, 0)) // nothing to launch
				d.fail = "zero"
				r.Kernels().Clear(grad.Data)
			}
			if r.Ready() {
				m := &toy{there(x), there(grad), there(state)}
				norm = m.update(r.LR())
				k.F32.Put(d.at(x.Data.At, 16), m.x)
				k.F32.Put(d.at(grad.Data.At, 16), m.grad)
				k.F32.Put(d.at(state.Data.At, 16), m.state)
			}
			r.Done(norm, loss)
		}
		return r.Finish(loss)
	}
}

const never = math.MaxInt

// fakeRun is one run on a fake device.
func fakeRun(j *Job, lost int, args ...string) (string, *fake, error) {
	d, out := newFake(), bytes.Buffer{}
	c := newCard(func(int, string) (driver, error) { return d, nil })
	err := rt.ExecuteOn(c, j, append(args, "--kernels", "kernels.o"), &out, c.run(onFake(d, lost), nil))
	return out.String(), d, err
}

// toyJob is a job over rows of a file, in a directory of the test.
func toyJob(t *testing.T) *Job {
	t.Helper()
	data := filepath.Join(t.TempDir(), "rows.jsonl")
	var rows strings.Builder
	for i := range 10 {
		fmt.Fprintf(&rows, `{"input_ids":[1,%d,%d,3]}`+"\n", 4+i%5, 9-i%4)
	}
	if err := os.WriteFile(data, []byte(rows.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	return &Job{Name: "toy", Source: "toy.yaml", Hash: "1234", MaxRows: 8, RunMode: "train", Seed: 5, SeqLength: 8, Vocab: 12, EosIDs: []int{2}, IgnoreID: -100,
		Epochs: 3, BatchSize: 2, GradAccum: 2, Device: "ascend", DeviceType: "bf16",
		TrainData: Data{Path: data, Shuffle: true, Repeat: 1, Format: "auto"}, EvalData: Data{Path: data, Repeat: 1, Format: "auto"}, DoEval: true, EvalSteps: 4,
		Schedule:   Schedule{Type: "linear", LR: 0.1, WarmupRatio: -1, WarmupSteps: 2, TotalSteps: -1},
		LossScale:  LossScale{Type: "dynamic", Value: 16, Factor: 2, Window: 4},
		Checkpoint: Checkpoint{Prefix: "toy", SaveSteps: 2, KeepMax: 2}}
}

var dayOfRun = regexp.MustCompile(`,"tokens_per_second.*`)

// result is what a run left: metrics but for times, and the model.
func result(t *testing.T, out string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(out, "metrics.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	model, err := os.ReadFile(filepath.Join(out, "model", "model.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	return dayOfRun.ReplaceAllString(string(text), "") + string(model)
}

// A run on a device gives the bits of one on the host; it may stop and continue on
// either.
func TestRun(t *testing.T) {
	j, dir := toyJob(t), t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	var out bytes.Buffer
	if err := rt.Execute(j, []string{"--output_dir", at("host")}, &out, onHost); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	want := result(t, at("host"))
	said, d, err := fakeRun(j, never, "--output_dir", at("device"))
	if err != nil || !strings.Contains(said, "toy (toy.yaml): train, on Ascend device 0: Ascend910B3 of tests\n") || !d.closed {
		t.Fatalf("%v\n%s", err, said)
	}
	if result(t, at("device")) != want {
		t.Error("the device gives another result")
	}
	for _, format := range []string{"lorac", "ckpt"} {
		args := []string{"--output_dir", at(format), "--checkpoint_format", format}
		said, d, err := fakeRun(j, 6, args...)
		for _, words := range []string{errFault.Error() + " in Clear of layer 3 (", ", run_test.go:", "= help: resume with --resume_training True: checkpoints up to step 4 are good"} {
			if exit.Code(err) != exit.Failed || !strings.Contains(err.Error(), words) {
				t.Fatalf("code %d: %v, want %q\n%s", exit.Code(err), err, words, said)
			}
		}
		if !d.closed {
			t.Error("the device is not given back after a fault")
		}
		args = append(args, "--resume_training", "True")
		out.Reset()
		if err := rt.Execute(j, append(args, "--steps", "6", "--device", "auto"), &out, onHost); err != nil || !strings.Contains(out.String(), "resumed after step 4") {
			t.Fatalf("on the host: %v\n%s", err, out.String())
		}
		if said, _, err := fakeRun(j, never, args...); err != nil || !strings.Contains(said, "resumed after step 6") {
			t.Fatalf("on the device again: %v\n%s", err, said)
		}
		if result(t, at(format)) != want {
			t.Errorf("%s: the result of a run that changed devices is another", format)
		}
	}
}

// Gradients of several devices are added on the device as on the host: the same bits.
func TestDevices(t *testing.T) {
	for _, devices := range []int{2, 3, 8} {
		j, dir := toyJob(t), t.TempDir()
		j.Devices.Count, j.BatchSize, j.GradAccum = devices, 1, 1
		host, dev := filepath.Join(dir, "host"), filepath.Join(dir, "device")
		var out bytes.Buffer
		if err := rt.Execute(j, []string{"--output_dir", host}, &out, onHost); err != nil {
			t.Fatalf("%v\n%s", err, out.String())
		}
		said, d, err := fakeRun(j, never, "--output_dir", dev)
		if err != nil || !slices.Contains(d.launched, "add_f32") {
			t.Fatalf("%v\n%s", err, said)
		}
		if result(t, dev) != result(t, host) {
			t.Errorf("%d devices: the device gives another result", devices)
		}
	}
}

// A micro-batch travels in one copy, each part where the next line of memory begins.
func TestMicroBatch(t *testing.T) {
	d := newFake()
	c := newCard(nil)
	c.d = d
	r := &Run{card: c}
	for _, n := range []int{1, 33, 5} {
		b := &rt.MicroBatch{}
		for i := range n {
			b.Tokens, b.Pos, b.Seeds = append(b.Tokens, int32(i+100)), append(b.Pos, int32(i)), append(b.Seeds, uint64(i)<<40)
		}
		b.Starts, b.Rows, b.Targets, b.Weights = []int32{0}, []int32{int32(n - 1)}, []int32{7}, []float32{0.25}
		before := d.uploads
		x := r.take(b)
		if d.uploads != before+1 {
			t.Errorf("%d copies", d.uploads-before)
		}
		if T, S := x.Size(); T != n || S != 1 || x.Sequences() != 1 {
			t.Errorf("%d tokens, %d rows, %d sequences", T, S, x.Sequences())
		}
		starts := d.ints(k.IntsAt(x.Starts.At, 2))
		if x.Starts.N != 1 || starts[0] != 0 || starts[1] != int32(n) {
			t.Errorf("starts %v", starts)
		}
		tokens, pos := d.ints(x.Tokens), d.ints(x.Pos)
		for i := range n {
			if seed := d.at(x.Seeds.At, 8*n)[8*i+5]; tokens[i] != int32(i+100) || pos[i] != int32(i) || seed != byte(i) {
				t.Errorf("row %d is %d at %d, seed %x", i, tokens[i], pos[i], seed)
			}
		}
		if d.ints(x.Rows)[0] != int32(n-1) || d.ints(x.Targets)[0] != 7 || d.floats(x.Weights.At, 1)[0] != 0.25 {
			t.Error("what is supervised differs")
		}
		for _, at := range []k.Ptr{x.Tokens.At, x.Pos.At, x.Starts.At, x.Seeds.At, x.Rows.At, x.Targets.At, x.Weights.At} {
			if at%blockAlign != 0 {
				t.Errorf("a part at %x", at)
			}
		}
	}
	if len(d.memory) != 1 {
		t.Errorf("%d blocks", len(d.memory))
	}
	r.maxRows = 77
	full := &rt.MicroBatch{}
	for i := range 77 {
		full.Tokens, full.Pos, full.Seeds = append(full.Tokens, 1), append(full.Pos, 1), append(full.Seeds, 1)
		full.Starts, full.Rows, full.Targets, full.Weights = append(full.Starts, int32(i)), append(full.Rows, 1), append(full.Targets, 1), append(full.Weights, 1)
	}
	if r.take(full); r.block.used > blockBytes(77) || r.block.size != blockBytes(77) {
		t.Errorf("the largest micro-batch takes %d bytes of %d, reserved were %d", r.block.used, r.block.size, blockBytes(77))
	}
}

// What is thrown tells whose fault it is: bugs and mapped files are not the device's.
func TestFault(t *testing.T) {
	c := newCard(nil)
	if err := c.Fault(errFault); !errors.Is(err, errFault) {
		t.Errorf("%v", err)
	}
	for _, other := range []any{"a bug", mapped{}, bug()} {
		if err := c.Fault(other); err != nil {
			t.Errorf("%v is the device's: %v", other, err)
		}
	}
}

type mapped struct{}

func (mapped) Error() string { return "a file was shortened" }
func (mapped) Addr() uintptr { return 1 }

func bug() (thrown any) {
	defer func() { thrown = recover() }()
	var m map[string]int
	//lint:ignore SA5000 a fault of the program is what is wanted
	m["x"] = 1
	return nil
}

// What is said of a call is its results and the line of the config, as the comment
// above it has them.
func TestPlaces(t *testing.T) {
	p := places{fstest.MapFS{"forward.go": {Data: []byte(`package main

func (m *model) layerForward(i int) {
	// %query (T, Q), %query.xa (T, R): y = x·wᵀ + scale·xa·bᵀ, xa
	// = x·aᵀ (yaml:44)
	query := frame.Mat(at.query, m.T, qWidth)
	m.k.LoRALinear(norm1,
		k.Adapted{Y: query},
	)

	// gradients back to zero (yaml:8)
	m.k.Clear()
	m.k.Clear()
}
`)}}, "config.yaml"}
	call := k.Call{Name: "LoRALinear", Layer: 3, Func: "main.(*model).layerForward", File: "trainer/forward.go", Line: 7}
	for _, c := range []struct {
		line, layer int
		want        string
	}{
		{7, 3, "LoRALinear of layer 3, for %query, %query.xa (config.yaml:44; layerForward, forward.go:7)"},
		{13, -1, "LoRALinear (config.yaml:8; layerForward, forward.go:13)"},
		{99, -1, "LoRALinear (layerForward, forward.go:99)"},
	} {
		call.Line, call.Layer = c.line, c.layer
		if got := p.describe(call); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	call.Line, call.Layer = 7, 0
	if got := strings.Join(p.calls(), " "); got != "Clear LoRALinear" {
		t.Errorf("the program calls %s", got)
	}
	if got := (places{nil, "config.yaml"}).describe(call); got != "LoRALinear of layer 0 (layerForward, forward.go:7)" {
		t.Errorf("without sources: %q", got)
	}
}
