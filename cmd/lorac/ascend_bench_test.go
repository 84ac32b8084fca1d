package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/lorac/bench"
	"lorac/cmd/test/testkit"
	"lorac/kernels/ascend/ascendtest"
)

const benchYAML = `
run_mode: finetune
trainer: {model_name: small}
optimizer: {type: AdamW}
runner_wrapper: {use_clip_grad: True, max_grad_norm: 0.5}
lr_schedule: {type: ConstantWarmUpLR, learning_rate: 1.e-3}
model:
  arch: {type: LlamaForCausalLM}
  model_config:
    type: LlamaConfig
    seq_length: 32
    hidden_size: 64
    intermediate_size: 48
    num_layers: 2
    num_heads: 4
    n_kv_heads: 2
    vocab_size: 40
    compute_dtype: bfloat16
    pet_config: {pet_type: lora, lora_rank: 4, lora_alpha: 8, lora_dropout: 0.1, target_modules: '.*wq|.*wv'}
`

// benchOnCard runs bench on the stand-in.
func benchOnCard(t *testing.T, args ...string) string {
	t.Helper()
	t.Setenv("LORAC_ASCEND_KERNELS", ascendtest.Kernels(t))
	file := filepath.Join(t.TempDir(), "small.yaml")
	if err := os.WriteFile(file, []byte(benchYAML), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := selfCommand(t, append([]string{"bench", file, "--device", "ascend", "--rows", "20"}, args...)...)
	var fault strings.Builder
	cmd.Stderr = &fault
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, fault.String())
	}
	return string(out)
}

// TestAscendBench: where a card answers, each kernel is measured.
func TestAscendBench(t *testing.T) {
	var r bench.AscendReport
	text := benchOnCard(t, "--only", "kernels", "--json", "--device", "auto", "--context.device_target", "Ascend")
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if !r.Measured || r.SoC != "910b3" || len(r.Missing) > 0 || len(r.Calls) < 20 || r.Step != nil || !strings.Contains(r.Device, "Ascend 0 (Ascend910B3") || !strings.HasSuffix(r.Device, ", as context.device_target (--set context.device_target) says") {
		t.Errorf("%+v", r)
	}
	for _, c := range r.Calls {
		sum := 0.0
		for _, k := range c.Kernels {
			if k.Seconds <= 0 {
				t.Errorf("%s of %s is not measured", k.Kernel, c.Call)
			}
			sum += k.Seconds
		}
		if c.Rows != 20 || c.Share <= 0 || sum < 0.999*c.Seconds || sum > 1.001*c.Seconds {
			t.Errorf("%s: %+v", c.Call, c)
		}
	}
}

// TestAscendBenchStep: so is a whole step of its trainer.
func TestAscendBenchStep(t *testing.T) {
	testkit.Slow(t, "ascend")
	text := benchOnCard(t, "--steps", "2", "--layers", "1")
	mustContain(t, text, "device: Ascend 0 (Ascend910B3", "measured µs", "of roofline", "ms measured one by one",
		"a whole step of 20 live tokens, 1 of 2 layers, median of 2 steps", "tokens/s")
}

// liar is a library of kernels that computes one wrongly: what one should, another does.
const liar = `
#include <cstdint>
#include <cstring>
#include <dlfcn.h>
namespace {
void* call(const char* name)
{
    static void* lib = dlopen(KERNELS, RTLD_NOW);
    return dlsym(lib, name);
}
const char* other(const char* name) { return strcmp(name, "swiglu_bf16") ? name : "add_bf16"; }
}
extern "C" {
int twin_has(const char* name) { return ((int (*)(const char*))call("twin_has"))(name); }
void twin_allocated(void* p, size_t n) { ((void (*)(void*, size_t))call("twin_allocated"))(p, n); }
void twin_freed(void* p) { ((void (*)(void*))call("twin_freed"))(p); }
int twin_launch(const char* name, uint32_t blocks, const void* args, size_t bytes, char* why, size_t room)
{
    return ((int (*)(const char*, uint32_t, const void*, size_t, char*, size_t))call("twin_launch"))(other(name), blocks, args, bytes, why, room);
}
}
`

// TestAscendWrongKernel: a kernel that differs from the host ends a run before its first
// step, with its name.
func TestAscendWrongKernel(t *testing.T) {
	testkit.Slow(t, "ascend")
	x := newTinyOnAscend(t, nil)
	source, lib := filepath.Join(x.dir, "liar.cpp"), filepath.Join(x.dir, "liar.so")
	x.must(os.WriteFile(source, []byte(liar), 0o666))
	flags := []string{"-std=c++17", "-shared", "-fPIC", `-DKERNELS="` + os.Getenv("LORAC_ASCEND_KERNELS") + `"`, source, "-o", lib, "-ldl"}
	if text, err := exec.Command("g++", flags...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	t.Setenv("LORAC_ASCEND_KERNELS", lib)
	out := filepath.Join(x.dir, "out")
	text := x.failing(3, x.command(out))
	mustContain(t, text, "the device computes SwiGLU wrongly: h[", ", the host has ", "= help: ", "compile with --device cpu")
	if n := metricLines(out); n != 0 {
		t.Errorf("%d steps were done", n)
	}
}
