package op

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"lorac/ir"
	"lorac/ir/op/optest"
)

// helpers are the kernels that no op runs: for loading copies, for the scale of a loss,
// and for sums of gradients.
var helpers = []string{"narrow", "scale_f32", "add_f32"}

// TestAscendKernels: the kernels that ops name exist, and those that exist are named.
func TestAscendKernels(t *testing.T) {
	lists, err := filepath.Glob("../../kernels/ascend/csrc/*.table.h")
	if err != nil || len(lists) == 0 {
		t.Fatalf("no kernels: %v", err)
	}
	entry := regexp.MustCompile(`(?m)^LORAC_KERNEL\((\w+),`)
	exist := slices.Clone(helpers)
	for _, path := range lists {
		if filepath.Base(path) == "version.table.h" { // its kernel is for a name alone
			continue
		}
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

// TestAscendTable: every op names its kernels on an Ascend device, or why there is
// none and the way out; statements that only some of it run are refused alike.
func TestAscendTable(t *testing.T) {
	for _, op := range ir.Ops() {
		switch {
		case op == ir.Repeat:
			if op.Ascend != "" || op.NoAscend != "" {
				t.Error("repeat is no kernel")
			}
			continue
		case (op.Ascend == "") == (op.NoAscend == ""):
			t.Errorf("%s: kernels %q, and refused because %q; one of the two is due", op.Name, op.Ascend, op.NoAscend)
		case op.NoAscendOf != nil && op.Ascend == "":
			t.Errorf("%s: NoAscendOf is for ops with kernels", op.Name)
		}
		_, s := parseSample(t, op.Name)
		why := s.RefusedOnAscend()
		if (why == "") != (op.Ascend != "") && op.Name != "head_loss" { // its sample trains the head
			t.Errorf("%s: refused because %q", op.Name, why)
		}
		if reason, help, ok := strings.Cut(why, ": "); why != "" && (!ok || reason == "" || help == "") {
			t.Errorf("%s: %q is no reason and way out", op.Name, why)
		}
	}
	for text, want := range map[string]string{
		"%r = matmul %z, %x {group=linear, trans=lhs} : f32[3,4]":                     wholeMatrix,
		"%r = matmul %x, $a {group=lora, trans=rhs} : f32[T,2]":                       halfAdapter,
		"%r = matmul %x, $w {group=linear, trans=rhs} : f32[T,3]":                     "",
		"%r = lora_linear %x, $w, $c {bias=[0], parts=[plain], scale=1.0} : f32[T,3]": biasInside,
		"%r = head_loss %sx, $w, %targets, %weights : f32[]":                          "",
	} {
		m := ir.MustParse(optest.Header + text + " @3:4\n}\n")
		if got := m.Func("main").Body[0].RefusedOnAscend(); got != want {
			t.Errorf("%s: %q", text, got)
		}
	}
}
