package main

import (
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/kernels/ascend/ascendtest"
)

// onNPU is a job with everything that draws or remembers, of sizes that a card takes:
// GQA, dropout, accumulation, clipping, left-over batches, an odd rank.
var onNPU = map[string]string{
	"model.model_config.hidden_size":               "64",
	"model.model_config.intermediate_size":         "112",
	"model.model_config.n_kv_heads":                "2",
	"model.model_config.num_layers":                "2",
	"model.model_config.compute_dtype":             "bfloat16",
	"model.model_config.pet_config.lora_dropout":   "0.2",
	"model.model_config.pet_config.lora_rank":      "5",
	"model.model_config.pet_config.target_modules": ".*wq|.*wv|.*w2",
	"runner_config.gradient_accumulation_steps":    "2",
	"runner_config.epochs":                         "2",
}

// npu is a job compiled for a card, which the stand-in plays, and for the CPU.
type npu struct {
	*tiny
	cpu    *tiny
	target *compiler.Target
}

func newNPU(t *testing.T, set map[string]string) *npu {
	t.Helper()
	kernels, err := ascendtest.Libraries()
	if err != nil {
		t.Fatal(err)
	}
	if kernels == "" {
		t.Skip("the kernels for Ascend need a C++17 compiler: g++ (Debian: g++)")
	}
	all := maps.Clone(onNPU)
	maps.Copy(all, set)
	x := &npu{cpu: newTiny(t, all), target: &compiler.Target{Ascend: &passes.Ascend{SoC: "910b3"}}}
	r, err := compiler.Compile(x.cpu.cfg, x.target)
	x.cpu.must(err)
	on := *x.cpu
	on.bin, _, err = codegen.BuildHere(filepath.Join(trainers, r.Module.Hash()+".ascend"), "tiny", r.Module, filepath.Join(trainers, "sources"))
	x.cpu.must(err)
	on.env = append(os.Environ(), "LORAC_ACL="+os.Getenv("LORAC_ACL"), "LORAC_ASCEND_KERNELS="+kernels)
	x.tiny = &on
	return x
}

// in is the job in a subtest.
func (x *npu) in(t *testing.T) *npu {
	y, on := *x, *x.tiny
	on.t, y.tiny = t, &on
	return &y
}

// pretending is the command with what the stand-in pretends.
func (x *npu) pretending(env []string, out string, args ...string) *exec.Cmd {
	cmd := x.command(out, args...)
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// rounded trains with the evaluator on the graph as the card has it: float64, rounded
// where its kernels round.
func (x *npu) rounded(steps int, lr []float64) (out []record) {
	r, err := compiler.Compile(x.cfg, &compiler.Target{Ascend: x.target.Ascend, Passes: passes.Options{Last: "device-types"}})
	x.must(err)
	env := ir.Env{"T": 1, "S": 1, "N": 1}
	in := ir.NewInterp(r.Module, env)
	x.fill(in, r.Module)
	in.Refresh()
	size := x.cfg.Run.BatchSize.V * x.cfg.Run.GradAccum.V
	perEpoch := (len(x.rows) + size - 1) / size
	for s := range steps {
		from := s % perEpoch * size
		args := x.pass(x.rows[from:min(from+size, len(x.rows))], s, env)
		var ordered []*ir.Array
		for _, p := range r.Module.Func("step").Params {
			ordered = append(ordered, args[p.Name])
		}
		loss := in.Call("step", ordered...)[0].F[0]
		norm := in.Call("update", &ir.Array{F: []float64{lr[s]}}, &ir.Array{I: []int64{int64(s + 1)}})[0].F[0]
		out = append(out, record{Loss: loss, GradNorm: norm, LR: lr[s]})
	}
	return out
}

// near holds steps against others.
func (x *npu) near(what string, got, want []record, loss, norm float64) {
	x.t.Helper()
	if len(got) != len(want) || len(got) < 4 {
		x.t.Fatalf("%d steps, %s has %d", len(got), what, len(want))
	}
	off := func(a, b float64) float64 { return math.Abs(a-b) / b }
	worst := [2]float64{}
	for i := range want {
		worst[0], worst[1] = max(worst[0], off(got[i].Loss, want[i].Loss)), max(worst[1], off(got[i].GradNorm, want[i].GradNorm))
		if off(got[i].Loss, want[i].Loss) > loss || !(off(got[i].GradNorm, want[i].GradNorm) <= norm) {
			x.t.Errorf("step %d: loss %v, norm %v; %s: %v, %v", i+1, got[i].Loss, got[i].GradNorm, what, want[i].Loss, want[i].GradNorm)
		}
	}
	x.t.Logf("%s: losses differ by %.1e at most, norms by %.1e", what, worst[0], worst[1])
}

// TestNPUEqualsEvaluator: a whole run on the stand-in is that of the evaluator rounded
// at the same places, and close to f32's on the CPU.
func TestNPUEqualsEvaluator(t *testing.T) {
	x := newNPU(t, nil)
	out, plain := filepath.Join(x.dir, "npu"), filepath.Join(x.dir, "cpu")
	said := x.run(out)
	mustContain(t, said, "tiny (tiny.yaml): train, on Ascend device 0: Ascend910B3 with 20 cube cores and 40 vector cores")
	got := metricsOf(t, out)
	var lr []float64
	for _, m := range got {
		lr = append(lr, m.LR)
	}
	x.near("the rounding evaluator", got, x.rounded(len(got), lr), 2e-4, 2e-3)
	x.cpu.run(plain)
	x.near("the CPU", got, metricsOf(t, plain), 3e-3, 2e-2)
}
