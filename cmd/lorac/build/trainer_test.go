package build

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"lorac/cmd/lorac/cli"
	"lorac/codegen/toolchain"
	"lorac/compiler/config"
	"lorac/runtime/weights/mindspore"
)

// fakeGo puts a go in PATH, alone, that writes what it is to build.
func fakeGo(t *testing.T) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the toolchain of this test is a shell script")
	}
	dir := t.TempDir()
	script := "#!/bin/sh\nwhile [ $# -gt 1 ]; do\n  if [ \"$1\" = -o ]; then echo built > \"$2\"; fi\n  shift\ndone\n"
	if err := os.WriteFile(filepath.Join(dir, "go"), []byte(script), 0o777); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
}

// A trainer is built into the user's cache, one directory per content, and
// taken from there.
func TestTrainer(t *testing.T) {
	fakeGo(t)
	home := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", home)
	t.Setenv("HOME", home)
	j := newJob(t, "two_layers")
	first, err := Trainer(j.cfg, Target{Weights: j.base})
	if err != nil {
		t.Fatal(err)
	}
	r := j.compile(Target{Weights: j.base})
	c, err := openCache()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(first, home) || first != filepath.Join(c.of(r.Module), r.Module.Name) {
		t.Errorf("built as %s, the cache is %s", first, c)
	}
	if text, err := os.ReadFile(first); err != nil || string(text) != "built\n" {
		t.Errorf("%q, %v", text, err)
	}
	if list, _ := os.ReadDir(c.sources()); len(list) != 1 {
		t.Errorf("what trainers link is %v", list)
	}
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(filepath.Dir(first), old, old); err != nil {
		t.Fatal(err)
	}
	if again, err := Trainer(j.cfg, Target{Weights: j.base}); err != nil || again != first {
		t.Errorf("again it is %s, %v", again, err)
	}
	if info, err := os.Stat(filepath.Dir(first)); err != nil || !info.ModTime().After(old) {
		t.Errorf("the cache does not know that it was used: %v", err)
	}
	if other, err := Trainer(j.cfg, Target{}); err != nil || other == first { // without a base, in other types
		t.Errorf("for another base it is %s, %v", other, err)
	}
	dir := filepath.Join(t.TempDir(), "out")
	if binary, rebuilt, err := In(dir, r.Module, toolchain.Here()); err != nil || !rebuilt || filepath.Dir(binary) != dir {
		t.Errorf("%s, %v, %v", binary, rebuilt, err)
	}
	if _, rebuilt, err := In(dir, r.Module, toolchain.Here()); err != nil || rebuilt {
		t.Errorf("built again: %v", err)
	}
	j.write(func(name string) bool { return !strings.Contains(name, "layers.1.") })
	if _, err := Trainer(j.cfg, Target{Weights: j.base}); err == nil || !strings.Contains(err.Error(), "does not fit the config") {
		t.Errorf("a base that does not fit: %v", err)
	}
}

// A job that starts at once must have its data; one that is for elsewhere not.
func TestDataHere(t *testing.T) {
	j := newJob(t, "two_layers", "train_dataset.data_loader.dataset_dir", filepath.Join(t.TempDir(), "none.jsonl"))
	if r := j.compile(Target{Weights: j.base, Runs: true}); r.Module.MaxEnv()["T"] != 64 {
		t.Errorf("extents %v for data that are not here", r.Module.MaxEnv())
	}
	if _, err := Compile(j.cfg, Target{Weights: j.base, Runs: true, Here: true}, Options{}); err == nil || !strings.Contains(err.Error(), "none.jsonl") {
		t.Errorf("data that are not here: %v", err)
	}
	j = newJob(t, "two_layers", "train_dataset.data_loader.dataset_dir", j.rows)
	if r := j.compile(Target{Weights: j.base, Runs: true}); r.Module.MaxEnv()["T"] != 6 {
		t.Errorf("extents %v for the data of the config", r.Module.MaxEnv())
	}
	if r := j.compile(Target{Weights: j.base, Runs: true, Mode: "predict"}); r.Module.MaxEnv()["T"] == 6 {
		t.Error("prediction is compiled for the rows of training")
	}
}

// Of a tree of ranks rank 0 is read, or all in the layout of a strategy.
func TestTreeOfRanks(t *testing.T) {
	j := newJob(t, "two_layers")
	tree := t.TempDir()
	for _, rank := range []string{"rank_0", "rank_1"} {
		e := []mindspore.Entry{{Name: "model.norm_out.weight", DType: "F32", Shape: []int{4}, Write: mindspore.Bytes(make([]byte, 16))}}
		if err := mindspore.Write(filepath.Join(tree, rank, "x_"+rank+"-1_1.ckpt"), e, false); err != nil {
			t.Fatal(err)
		}
	}
	set, err := OpenBase(tree)
	if err != nil {
		t.Fatal(err)
	}
	if names := set.Names(); len(names) != 1 {
		t.Errorf("rank 0 holds %v", names)
	}
	set.Close()
	yes, no := true, false
	for words, x := range map[string]Target{
		"holds 2 ranks, of which rank_0 was read":                            {Weights: tree, Trans: &no},
		"cannot open the base weights: " + tree + " holds the slices of 2 r": {Weights: tree, Trans: &yes},
	} {
		if _, err := Compile(j.cfg, x, Options{}); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%v, want %q", err, words)
		}
	}
}

// A config in memory is read as its file is.
func TestLoadBytes(t *testing.T) {
	path := cases + "two_layers/config.yaml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	over := []config.Override{{Path: "seed", Value: "99", Origin: "test"}}
	c, err := LoadBytes(path, text, over)
	if err != nil || c.Seed.V != 99 {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := LoadBytes("wrong.yaml", []byte("seed: [1\n"), nil); !errors.Is(err, cli.ErrShown) {
		t.Errorf("a config that is no YAML: %v", err)
	}
}

// The system says how much memory is free, and what the kernels use.
func TestMachine(t *testing.T) {
	if n := FreeMemory(); runtime.GOOS == "linux" && n < 1<<20 {
		t.Errorf("%d bytes are free", n)
	}
	if VectorUnits() == "" {
		t.Error("the kernels use nothing")
	}
}
