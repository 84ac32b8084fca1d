package main

import (
	"bufio"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/ir"
	"lorac/kernels"
	"lorac/runtime/weights/safetensors"
)

// compatDir holds what commit 5aff672 left: a config with its base and rows, the
// final IR, a checkpoint of step 10 of 16, and the digests of what it came to.
const compatDir = root + "/testdata/compat/5aff672"

// TestEarlierFiles: a dump, a checkpoint and a command line of commit 5aff672 still
// parse, resume to the same bits and run, on every instruction set of this machine.
func TestEarlierFiles(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skip("the digests of commit 5aff672 are those of amd64")
	}
	sets := map[string][]string{"AVX-512": {"avx512", "avx2", "go"}, "AVX2": {"avx2", "go"}, "plain Go": {"go"}}[kernels.Units()]
	want := compatDigests(t)
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(compatDir)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "final.ir"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ir.Parse("final.ir", string(text)); err != nil {
		t.Fatal(err)
	}
	call := func(cpu, program string, args ...string) {
		t.Helper()
		cmd := testkit.Command(t, program, args...)
		if program == "lorac" {
			cmd = selfCommand(t, args...)
		} else {
			cmd.Env = os.Environ()
		}
		cmd.Dir = dir
		cmd.Env = append(cmd.Env, "LORAC_CPU="+cpu)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s %q: %v\n%s", program, args, err, out)
		}
	}
	holds := func(cpu, what, out string) {
		t.Helper()
		if got := tensorDigest(t, filepath.Join(dir, out, "adapter", "adapter_model.safetensors")); got != want[cpu+" "+what] {
			t.Errorf("%s, %s: the digest is %s, it was %s", cpu, out, got, want[cpu+" "+what])
		}
	}
	call("", "lorac", "compile", "--from", "final.ir", "-o", "build")
	for _, cpu := range sets {
		data := []string{"--load_checkpoint", "base", "--train_dataset_dir", "rows.jsonl"}
		whole, dumped, resumed := "whole_"+cpu, "dumped_"+cpu, "resumed_"+cpu
		if err := os.CopyFS(filepath.Join(dir, resumed), os.DirFS(filepath.Join(dir, "stopped"))); err != nil {
			t.Fatal(err)
		}
		call(cpu, "lorac", slices.Concat([]string{"finetune", "tiny.yaml"}, data, []string{"--output_dir", whole, "--threads", "2"})...)
		holds(cpu, "whole", whole)
		call(cpu, "lorac", slices.Concat([]string{"finetune", "--config", "tiny.yaml"}, data, []string{"--output_dir=" + resumed, "--resume_training", "True"})...)
		holds(cpu, "resumed", resumed)
		call(cpu, "./build/tiny", append(data, "--output_dir", dumped)...)
		holds(cpu, "whole", dumped)
	}
}

// compatDigests are those of digests.txt by instruction set and run.
func compatDigests(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open(compatDir + "/digests.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out := map[string]string{}
	for sc := bufio.NewScanner(f); sc.Scan(); {
		if i := strings.LastIndexByte(sc.Text(), ' '); i > 0 && sc.Text()[0] != '#' {
			out[sc.Text()[:i]] = sc.Text()[i+1:]
		}
	}
	if len(out) != 6 {
		t.Fatalf("%d digests, want 6", len(out))
	}
	return out
}

// tensorDigest covers names and tensors, not the metadata, which name the version.
func tensorDigest(t *testing.T, path string) string {
	t.Helper()
	f, err := safetensors.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	names := f.Names()
	slices.Sort(names)
	h := sha256.New()
	for _, name := range names {
		x, _ := f.Tensor(name)
		fmt.Fprintf(h, "%s\x00%s", name, x.Data)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}
