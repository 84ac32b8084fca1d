package train

import (
	"os"
	"path/filepath"
	"testing"
)

func TestProfilePath(t *testing.T) {
	for flag, want := range map[string]string{"": "", "False": "", "true": filepath.Join("out", "profile", "cpu.pprof"), "cpu.prof": "cpu.prof"} {
		if got := ProfilePath(flag, "out"); got != want {
			t.Errorf("%q: %q, want %q", flag, got, want)
		}
	}
}

// The steps after the first are profiled: the file is there when they are done.
func TestProfiler(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "cpu.pprof")
	p := Profiler{Path: path}
	next := func(first, done bool) {
		t.Helper()
		if err := p.Next(first, done); err != nil {
			t.Fatal(err)
		}
	}
	next(true, false)
	if _, err := os.Stat(path); err == nil {
		t.Error("the first step is profiled")
	}
	next(false, false)
	next(false, false)
	next(false, true)
	if data, err := os.ReadFile(path); err != nil || len(data) < 2 || data[0] != 0x1F || data[1] != 0x8B {
		t.Errorf("%d bytes, %v; a profile is compressed by gzip", len(data), err)
	}
	next(false, true) // nothing is left to do

	none := Profiler{Path: filepath.Join(t.TempDir(), "none")}
	if err := none.Next(false, true); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(none.Path); err == nil {
		t.Error("a run of one step writes a profile")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{filepath.Join(file, "x", "cpu"), t.TempDir()} {
		if err := (&Profiler{Path: bad}).Next(false, false); err == nil {
			t.Errorf("%s is written", bad)
		}
	}
}
