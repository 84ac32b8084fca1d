package ascend

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	k "lorac/kernels/ascend"
	"lorac/kernels/ascend/ascendtest"
	rt "lorac/runtime"
	"lorac/runtime/exit"
)

// older is a library of the kernels of other sources.
const older = `
#include <cstddef>
#include <cstdint>
#include <cstring>
extern "C" {
int twin_has(const char* name) { return strcmp(name, "` + k.Version + `") != 0; }
void twin_allocated(void*, size_t) {}
void twin_freed(void*) {}
int twin_launch(const char*, uint32_t, const void*, size_t, char*, size_t) { return 0; }
}
`

// Kernels of other sources and cards of another architecture are refused before
// anything runs.
func TestCardRefuses(t *testing.T) {
	good := ascendtest.Kernels(t)
	dir := t.TempDir()
	source, old := filepath.Join(dir, "older.cpp"), filepath.Join(dir, "older.so")
	if err := os.WriteFile(source, []byte(older), 0o666); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.Command("g++", "-std=c++17", "-shared", "-fPIC", source, "-o", old).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, c := range []struct{ name, soc, kernels, words string }{
		{"its own", "Ascend910B3", good, ""},
		{"A3", "Ascend910_9391", good, ""},
		{"another version", "Ascend910B3", old, old + " has kernels of another version of lorac than this program\n  = help: compile both again"},
		{"another chip", "Ascend310P3", good, "is an Ascend310P3; the kernels are for Atlas A2 and A3 (Ascend910B and Ascend910_93)"},
		{"an older chip", "Ascend910A", good, "is an Ascend910A; the kernels are for"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Setenv("STANDIN_SOC", c.soc)
			card := newCard(openDevice)
			_, err := card.Open(&Job{Name: "toy"}, &rt.Options{Kernels: c.kernels})
			defer card.Close()
			switch {
			case c.words == "" && err != nil:
				t.Error(err)
			case c.words != "" && (exit.Code(err) != exit.Failed || !strings.Contains(err.Error(), c.words)):
				t.Errorf("code %d: %v, want %q", exit.Code(err), err, c.words)
			}
		})
	}
}

// Of several files beside a trainer it takes the one for its card, and names those
// that are for others.
func TestKernelsBeside(t *testing.T) {
	ascendtest.Kernels(t)
	t.Setenv("LORAC_ASCEND_KERNELS", "")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	const name = "beside"
	var files []string
	for _, kind := range []string{"ascend910b1", "ascend910b4", "ascend910b4-1", "ascend910_93"} {
		path := filepath.Join(filepath.Dir(program), name+"."+kind+".o")
		if err := os.WriteFile(path, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.Remove(path) })
		files = append(files, path)
	}
	for soc, want := range map[string]int{"Ascend910B1": 0, "Ascend910B4": 1, "Ascend910B4-1": 2, "Ascend910_9391": 3} {
		t.Setenv("STANDIN_SOC", soc)
		if got, err := findKernels("", name, 0); err != nil || got != files[want] {
			t.Errorf("%s takes %q, %v", soc, got, err)
		}
	}
	for soc, words := range map[string]string{"Ascend910B3": files[0] + ", ", "Ascend310P3": "is an Ascend310P3; the kernels are for"} {
		t.Setenv("STANDIN_SOC", soc)
		if got, err := findKernels("", name, 0); exit.Code(err) != exit.Failed || !strings.Contains(err.Error(), words) {
			t.Errorf("%s takes %q, %v", soc, got, err)
		}
	}
	for _, f := range files[1:] {
		os.Remove(f)
	}
	if got, err := findKernels("", name, 0); err != nil || got != files[0] {
		t.Errorf("of one file it takes %q, %v", got, err)
	}
}
