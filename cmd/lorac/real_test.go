package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/codegen"
	"lorac/codegen/toolchain"
	"lorac/runtime/weights/peft"
)

// sharedData is where real weights and reference runs are on machines that
// have them.
const sharedData = root + "/../shared/data"

// needShared skips a test where the files are not.
func needShared(t *testing.T, parts ...string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join(append([]string{sharedData}, parts...)...))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("this machine has no reference data: %v", err)
	}
	return path
}

// buildFile compiles and builds the trainer of a config file.
func buildFile(t *testing.T, path string) string {
	t.Helper()
	m := compileFile(t, path).Module
	bin, _, err := codegen.Build(filepath.Join(t.TempDir(), "build"), m.Name, m, toolchain.Here())
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// TestTorchReference trains a real Llama from the same start on the same
// tokens as PyTorch did in float64, and compares every step and the result.
func TestTorchReference(t *testing.T) {
	t.Parallel()
	golden := needShared(t, "goldens", "torch_lora_stories260K_qv")
	var ref struct {
		Batches [][][]int
		Steps   int
		Log     []struct {
			Loss     float64
			GradNorm float64 `json:"grad_norm"`
		}
	}
	text, err := os.ReadFile(filepath.Join(golden, "run.json"))
	if err == nil {
		err = json.Unmarshal(text, &ref)
	}
	if err != nil || len(ref.Log) != ref.Steps || ref.Steps < 1 {
		t.Fatalf("run.json: %d steps, a log of %d, %v", ref.Steps, len(ref.Log), err)
	}
	dir := t.TempDir()
	var rows strings.Builder
	for _, batch := range ref.Batches {
		for _, ids := range batch {
			line, _ := json.Marshal(map[string]any{"input_ids": ids, "labels": ids})
			fmt.Fprintf(&rows, "%s\n", line)
		}
	}
	data := filepath.Join(dir, "rows.jsonl")
	if err := os.WriteFile(data, []byte(rows.String()), 0o666); err != nil {
		t.Fatal(err)
	}
	start := loadBare(t, filepath.Join(golden, "adapter_init.safetensors"))
	if err := peft.Save(filepath.Join(dir, "init"), peft.Config{Rank: 8, Alpha: 16}, start); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(dir, "out")
	run := testkit.Command(t, buildFile(t, root+"/testdata/script/stories260K_torch.yaml"), "--steps", fmt.Sprint(ref.Steps), "--output_dir", out,
		"--load_checkpoint", filepath.Join(needShared(t, "models", "stories260K"), "hf"), "--load_adapter", filepath.Join(dir, "init"), "--train_dataset_dir", data)
	if text, err := run.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	got := metricsOf(t, out)
	if len(got) != ref.Steps {
		t.Fatalf("%d steps, PyTorch took %d", len(got), ref.Steps)
	}
	worstLoss, worstNorm, worst := 0.0, 0.0, 0.0
	for i, want := range ref.Log {
		worstLoss = max(worstLoss, math.Abs(got[i].Loss-want.Loss)/want.Loss)
		worstNorm = max(worstNorm, math.Abs(got[i].GradNorm-want.GradNorm)/want.GradNorm)
	}
	mine, err := peft.Load(filepath.Join(out, "adapter"))
	if err != nil {
		t.Fatal(err)
	}
	theirs := loadBare(t, filepath.Join(golden, "adapter_final.safetensors"))
	if len(mine.Tensors) != len(theirs) || len(theirs) != 20 {
		t.Fatalf("%d matrices, PyTorch has %d", len(mine.Tensors), len(theirs))
	}
	moved := 0.0
	for i, want := range theirs {
		have := mine.Tensors[want.Name]
		if have.Rows != want.Rows || have.Cols != want.Cols {
			t.Fatalf("%s is %d×%d, PyTorch has %d×%d", want.Name, have.Rows, have.Cols, want.Rows, want.Cols)
		}
		for k := range want.Data {
			worst = max(worst, math.Abs(float64(have.Data[k]-want.Data[k])))
			moved = max(moved, math.Abs(float64(start[i].Data[k]-want.Data[k])))
		}
	}
	t.Logf("loss within %.2g, gradient norm within %.2g (relative), adapter within %.2g of PyTorch, having moved by up to %.2g", worstLoss, worstNorm, worst, moved)
	if !(worstLoss <= 1e-5) || !(worstNorm <= 1e-4) || !(worst <= 1e-4) {
		t.Errorf("allowed are 1e-5, 1e-4 and 1e-4")
	}
}

// loadBare reads the tensors of an adapter in the order of their names.
func loadBare(t *testing.T, path string) []peft.Tensor {
	t.Helper()
	a, err := peft.LoadBare(path, 16)
	if err != nil {
		t.Fatal(err)
	}
	var out []peft.Tensor
	for _, name := range slices.Sorted(maps.Keys(a.Tensors)) {
		out = append(out, a.Tensors[name])
	}
	return out
}

// TestPublishedGreedyTexts: prediction repeats the two texts that were
// published with the model, byte for byte.
func TestPublishedGreedyTexts(t *testing.T) {
	t.Parallel()
	model := needShared(t, "models", "stories260K")
	bin := buildFile(t, root+"/configs/stories260K/lora_stories260K.yaml")
	for _, length := range []string{"200", "256"} {
		want, err := os.ReadFile(filepath.Join(model, "expected_greedy_"+length+"_steps.txt"))
		if err != nil {
			t.Fatal(err)
		}
		out := t.TempDir()
		steps, _ := strconv.Atoi(length) // ids after the one that begins the text
		if text, err := testkit.Command(t, bin, "--run_mode", "predict", "--max_length", strconv.Itoa(steps+1), "--load_checkpoint", filepath.Join(model, "hf"),
			"--tokenizer", filepath.Join(model, "tok512.model"), "--output_dir", out, "--save_file", filepath.Join(out, "list.txt")).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		got, err := os.ReadFile(filepath.Join(out, "text_generation_result.txt"))
		if err != nil {
			t.Fatal(err)
		}
		if strings.TrimRight(string(got), "\n") != strings.TrimRight(string(want), "\n") {
			t.Errorf("%s steps: the text is not the published one\n%s", length, firstDifference(string(want), string(got)))
		}
	}
}
