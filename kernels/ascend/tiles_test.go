package ascend_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lorac/kernels/ascend/ascendtest"
	"lorac/runtime/sys/dl"
)

// tiles runs testdata/tiles.cpp, which reads the constants that kernels use, and gives
// its answers.
func tiles(t *testing.T, requests ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("the budgets of kernels are computed with g++ (Debian: g++)")
	}
	program := filepath.Join(t.TempDir(), "tiles")
	if out, err := exec.Command("g++", "-std=c++17", "-O1", "-Wall", "-Icsrc", "testdata/tiles.cpp", "-o", program).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Stdin = strings.NewReader(strings.Join(requests, "\n"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestTileBudgets: all shapes of tiles fit the memories of arch 2201, with what the
// fields of instructions can hold.
func TestTileBudgets(t *testing.T) { tiles(t) }

// counters gives bytes into cores, bytes out of them and FLOPs of the last launch.
func counters(t *testing.T) func() string {
	t.Helper()
	path, err := ascendtest.Libraries()
	if err != nil {
		t.Fatal(err)
	}
	lib, err := dl.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var read func(v *uint64, n int32) int32
	if lib.Bind([]dl.Call{{Name: "twin_counters", Func: &read}}) != nil {
		t.Skip("this library of kernels does not count")
	}
	return func() string {
		var v [4]uint64
		read(&v[0], 4)
		return fmt.Sprint(v[0], v[1], v[3])
	}
}

// TestTileCounters: kernels move and compute exactly what tiles imply.
func TestTileCounters(t *testing.T) {
	d := ascendtest.Open(t)
	count := counters(t)
	const blocks = 3
	var requests, got []string
	note := func(format string, args ...any) {
		got = append(got, count())
		requests = append(requests, fmt.Sprintf(format, args...))
	}
	for _, s := range linearSizes {
		l := newLinears(newCubeBench(t, d, cubeBF16, 1), s.m, s.k, s.n, s.r)
		list := ""
		for i := range s.n {
			list += fmt.Sprint(" ", s.n[i], " ", s.r[i])
		}
		l.each(blocks, func(kernel string) {
			if kernel != "weight_grad" {
				note("%s %d %d%s %d", kernel, s.m, s.k, list, blocks)
			}
		})
		n, r := s.n[0], s.r[0]
		l.run("weight_grad", blocks, filled(17, []any{s.m, l.da[0], l.dt[0], l.x, packed(r, s.k), l.db[0], l.dy[0], l.t[0], packed(n, r)})...)
		note("weight_grad %d 0 %d %d %d %d 0", s.m, r, s.k, n, r)
	}
	for _, s := range dropSizes {
		h := newBehind(newCubeBench(t, d, cubeBF16, 1), s.m, s.k, s.r[:1], s.p)
		h.launch(blocks, func(kernel string) { note("%s %d %d 0 %d %d", kernel, s.m, s.k, s.r[0], blocks) })
	}
	for i, want := range tiles(t, requests...) {
		if got[i] != want {
			t.Errorf("%s: in, out and FLOPs are %s, not %s as its tiles imply", requests[i], got[i], want)
		}
	}
}
