package op

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lorac/ir"
)

// helpers are the kernels that no op runs: for loading copies, and for the scale of
// a loss.
var helpers = []string{"narrow", "scale_f32"}

// TestAscendKernels: the kernels that ops name exist, and those that exist are named.
func TestAscendKernels(t *testing.T) {
	lists, err := filepath.Glob("../../kernels/ascend/csrc/*.table.h")
	if err != nil || len(lists) == 0 {
		t.Fatalf("no kernels: %v", err)
	}
	entry := regexp.MustCompile(`(?m)^LORAC_KERNEL\((\w+),`)
	exist := slices.Clone(helpers)
	for _, path := range lists {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range entry.FindAllStringSubmatch(string(text), -1) {
			exist = append(exist, strings.TrimSuffix(strings.TrimSuffix(m[1], "_bf16"), "_f16"))
		}
	}
	named := slices.Clone(helpers)
	for _, op := range ir.Ops() {
		for _, kernel := range strings.Fields(op.Ascend) {
			named = append(named, kernel)
			if !slices.Contains(exist, kernel) {
				t.Errorf("%s runs as %s, which does not exist", op.Name, kernel)
			}
		}
	}
	for _, kernel := range exist {
		if !slices.Contains(named, kernel) {
			t.Errorf("no op runs as %s", kernel)
		}
	}
}
