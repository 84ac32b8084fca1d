package main

import (
	"math"
	"path/filepath"
	"testing"

	"lorac/cmd/test/testkit"
)

// Processes that share each layer and divide its tokens come to the same to rounding, of
// adapters with dropout and of a whole model; rows may be fewer than they are.
func TestTokens(t *testing.T) {
	testkit.Slow(t, "mpi")
	for _, set := range []map[string]string{{}, whole} {
		x := wide(t, set)
		for _, mesh := range []string{"mp=2,sp=2", "dp=2,mp=2,sp=2", "pp=2,mp=2,sp=2", "os=2,mp=2,sp=2"} {
			out := filepath.Join(t.TempDir(), "out")
			if text, err := x.finetune(out, "--mesh", mesh).CombinedOutput(); err != nil {
				t.Fatalf("%s: %v\n%s", mesh, err, text)
			}
			want, got := losses(t, x.alone()), losses(t, outcome(t, out))
			if len(want) != len(got) || len(want) < 6 {
				t.Fatalf("%s: %d steps, not %d", mesh, len(got), len(want))
			}
			for i := range want {
				if math.Abs(got[i]-want[i]) > 1e-5*want[i] {
					t.Errorf("%s: step %d: loss %v, not %v", mesh, i+1, got[i], want[i])
				}
			}
		}
	}
}
