package ascend_test

import (
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/kernels/ascend"
	"lorac/kernels/ascend/ascendtest"
)

// everyNth lists every n-th of the rows, and the last.
func everyNth(rows, n int) (list []int64) {
	for i := n / 2; i < rows-1; i += n {
		list = append(list, int64(i))
	}
	return append(list, int64(rows-1))
}

// judgeAttention runs cases in both types on some blocks, against the evaluator.
func judgeAttention(t *testing.T, blocks int, cases []attentionCase) {
	d := ascendtest.Open(t)
	for _, a := range attentionTypes {
		for _, c := range cases {
			c.fill(a)
			r := &attentionRun{t: t, d: d, a: a, c: &c}
			w := c.want(a)
			r.launch(w, blocks)
			r.judge(w)
		}
	}
}

func TestAttention(t *testing.T) {
	judgeAttention(t, 2, []attentionCase{
		{lengths: []int{1}, heads: 1, kv: 1, dim: 16},
		{lengths: []int{1, 0, 1, 2, 0}, heads: 4, kv: 2, dim: 16},
		{lengths: []int{0, 65}, heads: 1, kv: 1, dim: 48},
		{lengths: []int{17, 64, 130}, heads: 2, kv: 1, dim: 64},
		{lengths: []int{200, 3}, heads: 2, kv: 2, dim: 96, rows: everyNth(203, 3)},
		{lengths: []int{150}, heads: 2, kv: 1, dim: 128},
		{lengths: []int{90, 80}, heads: 1, kv: 1, dim: 32, rows: []int64{100, 169}},
		{lengths: []int{600, 90}, heads: 2, kv: 1, dim: 16},
		{lengths: []int{70}, heads: 2, kv: 1, dim: 16, rows: []int64{}},
		{lengths: []int{40, 30}, heads: 8, kv: 1, dim: 16},
	})
}

// Scores far apart leave one key a row; equal keys make all equal; both at once.
func TestAttentionExtremes(t *testing.T) {
	judgeAttention(t, 3, []attentionCase{
		{lengths: []int{80}, heads: 1, kv: 1, dim: 80, extreme: 1e4},
		{lengths: []int{70, 66}, heads: 2, kv: 1, dim: 32, equal: true},
		{lengths: []int{66}, heads: 2, kv: 2, dim: 16, extreme: 1e4, equal: true},
		{lengths: []int{140}, heads: 1, kv: 1, dim: 16, extreme: 1e-6},
		{lengths: []int{70}, heads: 1, kv: 1, dim: 16, overflow: true},
	})
}

// TestAttentionAnyBlocks: the same bits on any number of groups of cores.
func TestAttentionAnyBlocks(t *testing.T) {
	d := ascendtest.Open(t)
	c := attentionCase{lengths: []int{130, 1, 0, 530}, heads: 4, kv: 2, dim: 16, rows: everyNth(661, 2)}
	a := attentionTypes[0]
	c.fill(a)
	w := c.want(a)
	first := &attentionRun{t: t, d: d, a: a, c: &c}
	first.launch(w, 1)
	first.judge(w)
	for _, blocks := range []int{3, 20, 24} {
		r := &attentionRun{t: t, d: d, a: a, c: &c}
		r.launch(w, blocks)
		for _, x := range [][2][]byte{{first.o, r.o}, {first.lse, r.lse}, {first.dq, r.dq}, {first.dk, r.dk}, {first.dv, r.dv}} {
			if !slices.Equal(x[0], x[1]) {
				t.Fatalf("%d blocks give other bits than one", blocks)
			}
		}
	}
}

// TestAttentionSweep: lengths on both sides of every edge, all head sizes.
func TestAttentionSweep(t *testing.T) {
	testkit.Slow(t, "ascend")
	for n := 1; n <= 600; n += 1 + n/7 {
		for i, h := range [][2]int{{4, 2}, {8, 1}, {1, 1}} {
			c := attentionCase{lengths: []int{n, i, n / 2}, heads: h[0], kv: h[1], dim: 16}
			all := n + i + n/2
			sparse := c
			sparse.rows = everyNth(all, 1+n%5)
			last := c
			last.rows = []int64{int64(all - 1)}
			judgeAttention(t, 1+n%5, []attentionCase{c, sparse, last})
		}
	}
	judgeAttention(t, 24, []attentionCase{
		{lengths: []int{8000, 192}, heads: 2, kv: 1, dim: 16, rows: everyNth(8192, 32)},
		{lengths: []int{1300}, heads: 2, kv: 2, dim: 16},
		{lengths: []int{1100}, heads: 16, kv: 16, dim: 16, rows: everyNth(1100, 3)}, // ranges of 1024 keys
	})
	for dim := 16; dim <= 128; dim += 16 {
		for _, n := range []int{63, 64, 65, 127, 128, 129, 257, 513, 577} {
			judgeAttention(t, 4, []attentionCase{{lengths: []int{n}, heads: 2, kv: 1, dim: dim}, {lengths: []int{33, n}, heads: 1, kv: 1, dim: dim, rows: everyNth(n, 7)}})
		}
	}
}

// attentionNumbers asks testdata/attention.cpp, which reads the headers of the kernels.
func attentionNumbers(t *testing.T, requests ...string) []string {
	t.Helper()
	if _, err := exec.LookPath("g++"); err != nil {
		t.Skip("the budgets of kernels are computed with g++ (Debian: g++)")
	}
	program := filepath.Join(t.TempDir(), "attention")
	if out, err := exec.Command("g++", "-std=c++17", "-O1", "-Wall", "-Icsrc", "testdata/attention.cpp", "-o", program).CombinedOutput(); err != nil {
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

// TestAttentionBudgets: the buffers of every head size fit arch 2201, Go takes the
// workspace that the kernels use, and long sequences waste little.
func TestAttentionBudgets(t *testing.T) {
	var requests, want []string
	for dim := 16; dim <= 128; dim += 16 {
		requests = append(requests, fmt.Sprint("memory ", dim))
	}
	for _, s := range [][6]int{{1, 1, 1, 1, 1, 16}, {20, 4096, 4096, 32, 32, 128}, {24, 8192, 100, 32, 8, 128}, {3, 1025, 513, 4, 2, 64}} {
		requests = append(requests, fmt.Sprintln("workspace", s[0], s[1], s[2], s[3], s[4], s[5]))
		want = append(want, fmt.Sprint(ascend.AttentionWorkspace(s[0]), ascend.AttentionGradWorkspace(s[0], s[1], s[2], s[3], s[4], s[5])))
	}
	for i := range requests {
		requests[i] = strings.TrimSpace(requests[i])
	}
	requests = append(requests, "waste 128 4096", "waste 64 1280")
	got := attentionNumbers(t, requests...)
	for i := range 8 {
		var m [2][5]int
		fmt.Sscan(got[i], &m[0][0], &m[0][1], &m[0][2], &m[0][3], &m[0][4], &m[1][0], &m[1][1], &m[1][2], &m[1][3], &m[1][4])
		for k, limit := range []int{192*1024 - 256, 512*1024 - 256, 64 * 1024, 64 * 1024, 128 * 1024} {
			if max(m[0][k], m[1][k]) > limit || m[0][k] == 0 || m[1][k] == 0 {
				t.Errorf("%s: %d and %d bytes of %d", requests[i], m[0][k], m[1][k], limit)
			}
		}
	}
	if n := got[8 : 8+len(want)]; !slices.Equal(n, want) {
		t.Errorf("Go takes workspaces of %v, the kernels %v", want, n)
	}
	for _, waste := range got[8+len(want):] {
		var f, g float64
		if fmt.Sscan(waste, &f, &g); !(f > 1 && g > 1 && math.Max(f, g) <= 1.051) {
			t.Errorf("forward and gradient multiply %s times what is needed", waste)
		}
	}
}

// TestAttentionCounters: both kernels move and multiply what their formulas say.
func TestAttentionCounters(t *testing.T) {
	d := ascendtest.Open(t)
	count := counters(t)
	var requests, got []string
	for _, c := range []attentionCase{
		{lengths: []int{1}, heads: 1, kv: 1, dim: 16},
		{lengths: []int{64, 0, 65}, heads: 2, kv: 1, dim: 48},
		{lengths: []int{200, 20}, heads: 2, kv: 2, dim: 128},
		{lengths: []int{570}, heads: 1, kv: 1, dim: 16},
	} {
		a := attentionTypes[0]
		c.fill(a)
		r := &attentionRun{t: t, d: d, a: a, c: &c, after: func(kernel string) {
			got = append(got, count())
			requests = append(requests, fmt.Sprintf("%s %d %d %d %s", kernel, c.heads, c.kv, c.dim, strings.Trim(fmt.Sprint(c.lengths), "[]")))
		}}
		r.launch(c.want(a), 3)
	}
	for i, want := range attentionNumbers(t, requests...) {
		if got[i] != want {
			t.Errorf("%s: bytes in and out and FLOPs are %s, not %s as the formulas say", requests[i], got[i], want)
		}
	}
}
