package main

import (
	"context"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestCheckRoom(t *testing.T) {
	for _, x := range []struct {
		need, free int
		want       string // "" for none
	}{
		{0, 0, ""}, {1 << 30, -1, ""}, {4096, 4096, ""},
		{4097, 4096, "a file needs 4.0 KiB in out, where 4.0 KiB is free, 1 B less\n  = help: less"},
		{3 << 30, 0, "a file needs 3072.0 MiB in out, where 0 B is free, 3,221,225,472 B less\n  = help: less"},
	} {
		got := ""
		if err := checkRoom("a file", "out", x.need, x.free, "less"); err != nil {
			got = err.Error()
		}
		if got != x.want {
			t.Errorf("%d of %d: %q, want %q", x.need, x.free, got, x.want)
		}
	}
}

// What is free in a directory is known before it is made.
func TestFreeAt(t *testing.T) {
	dir := t.TempDir()
	known := runtime.GOOS == "linux" || runtime.GOOS == "darwin" || runtime.GOOS == "freebsd"
	for _, path := range []string{dir, filepath.Join(dir, "not", "yet"), "not/yet"} {
		if n := freeAt(path); (n >= 0) != known {
			t.Errorf("%s: %d", path, n)
		}
	}
}

// What a step is said to need is what it leaves in its directory.
func TestBenchRoom(t *testing.T) {
	if testing.Short() {
		t.Skip("builds trainers")
	}
	for file, settings := range map[string]map[string]string{
		"stories260K/finetune_stories260K.yaml": {"callbacks": "[{type: CheckpointMonitor, checkpoint_format: ckpt}]"},
		"stories15M/lora_stories15M.yaml":       {"quant": "int4", "compute": "int8"},
	} {
		steps := 300
		c := &benchCmd{source: source{Config: root + "/configs/" + file, Set: settings}, Rows: []int{64}, Steps: &steps}
		if strings.Contains(file, "15M") {
			steps = 3
		}
		r := &benchReport{Threads: 1, Machine: []limits{{Threads: 1, Peak: 10}}}
		cfg, err := c.loadAs()
		if err != nil {
			t.Fatal(err)
		}
		m, _, err := compileFor(cfg, target{}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		job, err := c.prepare(r, cfg, m.Module)
		if err != nil {
			t.Fatal(err)
		}
		said, err := job.bytes()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := c.runStep(context.Background(), job, r, dir); err != nil {
			t.Fatal(err)
		}
		var data, build int
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			info, e := d.Info()
			switch {
			case err != nil || e != nil:
				t.Error(err, e)
			case d.IsDir():
			case strings.HasPrefix(path, filepath.Join(dir, "build")):
				build += int(info.Size())
			default:
				data += int(info.Size())
			}
			return nil
		})
		if want := float64(data); math.Abs(float64(said-buildBytes)-want) > 0.05*want {
			t.Errorf("%s: %d bytes are needed, %d were written", file, said-buildBytes, data)
		}
		if build > 8<<20 {
			t.Errorf("%s: the build takes %d bytes", file, build)
		}
	}
}

// A file in blocks is as large as is said before it is written, from a base that
// lies in blocks itself, too.
func TestBlockBytes(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "small.yaml")
	yaml := strings.NewReplacer("hidden_size: 16", "hidden_size: 64", "intermediate_size: 24", "intermediate_size: 80").Replace(tinyYAML)
	if err := os.WriteFile(config, []byte(yaml), 0o666); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(dir, "base")
	if _, _, err := synthesize(config, nil, base, "bf16", 1); err != nil {
		t.Fatal(err)
	}
	for _, kind := range []string{"int4", "int8"} { // the second is made of the first
		set, err := openWeights(base, false, "")
		if err != nil {
			t.Fatal(err)
		}
		said, out := blockBytes(set, kind), filepath.Join(dir, kind)
		set.Close()
		if err := (&quantizeCmd{Config: config, Base: base, Out: out, Quant: kind}).Run(); err != nil {
			t.Fatal(err)
		}
		base = out
		if set, err = openWeights(out, false, ""); err != nil {
			t.Fatal(err)
		}
		n := 0
		for _, name := range set.Names() {
			x, _ := set.Tensor(name)
			n += len(x.Data)
		}
		set.Close()
		if said != n {
			t.Errorf("%s: %d bytes are said, %d are written", kind, said, n)
		}
	}
}
