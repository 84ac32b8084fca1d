package bench

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/google/pprof/profile"

	"lorac/cmd/test/testkit"
	"lorac/compiler"
	"lorac/compiler/config"
)

// A report holds together: the parts of a step add up to it, its rate is its
// work by its time, and the work is what plan counts.
func TestBench(t *testing.T) {
	testkit.Slow(t, "bench")
	if testing.Short() {
		t.Skip("builds a trainer")
	}
	cmd := exec.Command("go", "run", "..", "bench", "../../../configs/stories260K/lora_stories260K.yaml", "--rows", "96", "--steps", "200", "--json")
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var r Report
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, l := range r.Machine {
		if l.Peak <= 0 || l.Read <= 0 || l.Copy <= 0 {
			t.Errorf("machine: %+v", l)
		}
	}
	for _, k := range r.Kernels {
		if k.Millis <= 0 || (k.GFLOPS > 0) == (k.GBps > 0) || k.Share <= 0 || k.Rows != 96 {
			t.Errorf("kernel: %+v", k)
		}
		if want := map[bool]string{true: ofPeak, false: ofCopy}[k.GFLOPS > 0]; k.ShareOf != want {
			t.Errorf("%s is a share of %q, not of %s", k.Op, k.ShareOf, want)
		}
	}
	s := r.Step
	if s == nil || s.Tokens != 96 || s.Steps != 200 || s.Layers != s.Of || s.DType != "f32" || s.Compute != "f32" || s.ShareOf != ofPeak || s.Serial == nil {
		t.Fatalf("step: %+v", s)
	}
	sum := 0.0
	for _, o := range s.Ops {
		sum += o.Share
	}
	near := func(what string, got, want float64) {
		if math.Abs(got-want) > 1e-9*math.Abs(want) {
			t.Errorf("%s is %v, not %v", what, got, want)
		}
	}
	near("the sum of the ops", sum, 1)
	near("tokens a second", s.TokensPS, 96/s.Seconds)
	near("useful GFLOP/s", s.GFLOPS, s.FLOPs/s.Seconds/1e9)

	text, err = exec.Command("go", "run", "..", "plan", "../../../configs/stories260K/lora_stories260K.yaml", "--tokens", "96", "--json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var p struct {
		FLOPs float64 `json:"flops"`
	}
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatal(err)
	}
	near("useful FLOPs", s.FLOPs, p.FLOPs)
}

// Samples are separated by who took them and what for.
func TestAttribute(t *testing.T) {
	cfg, list := config.Load("../../../configs/stories260K/lora_stories260K.yaml", nil)
	if list.HasErrors() {
		t.Fatal(list)
	}
	m, err := compiler.Compile(cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	const k = "lorac/kernels."
	step := []string{"main.(*model).step", "main.train", "main.main", "runtime.main"}
	p := &profile.Profile{SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}}}
	funcs := map[string]*profile.Location{}
	add := func(n int64, stack ...string) {
		s := &profile.Sample{Value: []int64{n}}
		for _, name := range stack {
			if funcs[name] == nil {
				id := uint64(len(funcs) + 1)
				f := &profile.Function{ID: id, Name: name}
				p.Function = append(p.Function, f)
				funcs[name] = &profile.Location{ID: id, Line: []profile.Line{{Function: f}}}
				p.Location = append(p.Location, funcs[name])
			}
			s.Location = append(s.Location, funcs[name])
		}
		p.Sample = append(p.Sample, s)
	}
	run := []string{k + "(*pool).run", k + "Parallel", k + "multiply", k + "matMulNT", k + "AddMatMulNT"}
	add(5, append([]string{k + "gemm512x14", k + "narrowBlock.func1", k + "(*job).work", k + "(*pool).run", k + "Parallel", k + "HeadLoss"}, step...)...)
	add(55, append(append([]string{k + "gemm512x14", k + "multiply.func1", k + "(*job).work"}, run...), step...)...)
	add(10, append(append([]string{k + "pause"}, run...), step...)...) // waits for the other
	add(5, append([]string{k + "multiply", k + "MatMulNT"}, step...)...)
	add(20, append([]string{k + "adamw512", k + "AdamW"}, step...)...)
	add(5, "lorac/runtime.(*Run).Next", "main.train", "main.main", "runtime.main")
	add(75, k+"gemm512x14", k+"multiply.func1", k+"(*job).work", k+"(*pool).worker")
	add(25, k+"pause", k+"(*pool).worker")
	add(1000, "runtime.gcBgMarkWorker")
	path := filepath.Join(t.TempDir(), "profile")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Write(f); err != nil {
		t.Fatal(err)
	}
	f.Close()
	s := &stepRate{Seconds: 1}
	if err := s.attribute(path, m.Module, benchEnv(64)); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, o := range append(s.Ops, s.Serial...) {
		got[o.Name] = o.Share
	}
	for name, want := range map[string]float64{"MatMulNT": 0.7, "HeadLoss": 0.05, "AdamW": 0.2, "runtime: (*Run).Next": 0.05, "kernels.multiply": 0.05, "kernels.adamw512": 0.2} {
		if math.Abs(got[name]-want) > 1e-12 {
			t.Errorf("%s: %v of the step, not %v", name, got[name], want)
		}
	}
	for _, o := range s.Ops { // 70 samples say how fast it was, 5 do not
		if (o.GFLOPS > 0) != (o.Name == "MatMulNT") {
			t.Errorf("%s: %v GFLOP/s", o.Name, o.GFLOPS)
		}
	}
	if s.Waiting != 0.1 || s.Idle != 0.25 {
		t.Errorf("waiting %v, idle %v; 0.1 and 0.25 wanted", s.Waiting, s.Idle)
	}
}
