package main

import (
	"encoding/json"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/codegen"
	"lorac/codegen/toolchain"
)

// TestTrainerOnARM64 trains the same job by a trainer for this processor and by one for
// arm64 under emulation: the losses are equal to rounding, the dropout masks the same.
func TestTrainerOnARM64(t *testing.T) {
	testkit.Slow(t, "systems")
	const emulator = "qemu-aarch64"
	if _, err := exec.LookPath(emulator); err != nil {
		t.Skip(emulator + " is not installed (Debian: qemu-user)")
	}
	dir := t.TempDir()
	text, err := os.ReadFile(root + "/configs/quickstart.yaml")
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "job.yaml")
	write := func(name, text string) {
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(config, strings.Replace(string(text), "lora_dropout: 0.0", "lora_dropout: 0.1", 1))
	base, rows := filepath.Join(dir, "base"), filepath.Join(dir, "rows.jsonl")
	if out, err := selfCommand(t, "convert", "synthesize", config, "-o", base, "--dtype", "f32").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lines := ""
	for i := range 64 {
		var ids []int
		for j := range 8 + i%25 {
			ids = append(ids, 3+(i*7+j*j*5)%54)
		}
		line, _ := json.Marshal(map[string]any{"input_ids": ids, "labels": ids})
		lines += string(line) + "\n"
	}
	write(rows, lines)
	module := compileFile(t, config).Module
	train := func(p toolchain.Platform, before ...string) []record {
		bin, _, err := codegen.Build(filepath.Join(dir, p.Arch), module.Name, module, p)
		if err != nil {
			t.Fatal(err)
		}
		out := filepath.Join(dir, "out-"+p.Arch)
		args := append(before, bin, "--steps", "6", "--load_checkpoint", base, "--train_dataset_dir", rows, "--output_dir", out)
		if text, err := testkit.Command(t, args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", p, err, text)
		}
		return metricsOf(t, out)
	}
	here := train(toolchain.Here())
	there := train(toolchain.Platform{OS: "linux", Arch: "arm64"}, emulator)
	if len(here) != 6 || len(there) != len(here) {
		t.Fatalf("%d and %d steps", len(here), len(there))
	}
	for i, want := range here {
		got := there[i]
		if !(math.Abs(got.Loss-want.Loss) <= 1e-5*want.Loss) || !(math.Abs(got.GradNorm-want.GradNorm) <= 1e-4*want.GradNorm) {
			t.Errorf("step %d: loss %v and gradient norm %v, here %v and %v", i+1, got.Loss, got.GradNorm, want.Loss, want.GradNorm)
		}
	}
}
