package ir_test

import (
	"strings"
	"testing"

	"lorac/ir"
	_ "lorac/ir/op"
)

const onDevice = `module m from "m.yaml"

setting device = ascend @1:1
setting device.low = f16 @1:1

dim T <= 8 @1:1

param $layer.w[0..1] : f16[4,4] frozen @1:1
param $layer.a[0..1] : f32[2,4] trainable @1:1
copy $layer.a.low[0..1] : f16[2,4] {of=layer.a, scale=1.0} @1:1

entry func main(%x: f16[T,4]) -> (%y) {
  %y = matmul %x, $layer.a.low {group=linear, trans=rhs} : f16[T,2] in frame+0 @2:1
}
`

// What a device stores in 16 bits prints and parses back; a wrong one is refused.
func TestLowText(t *testing.T) {
	m, err := ir.Parse("m.ir", onDevice)
	if err != nil {
		t.Fatal(err)
	}
	if m.Low() != ir.F16 || m.String() != onDevice || m.Clone().String() != onDevice || m.Identity() != ir.MustParse(onDevice).Identity() {
		t.Errorf("it prints as\n%s", m)
	}
	wide := strings.Replace(onDevice, ": f16[T,2] in", ": f32[T,2] in", 1) // as it is inferred
	for _, c := range [][3]string{
		{"device.low = f16", "device.low = bf16", "which only `widen` reads here"},
		{"device.low = f16", "device.low = f32", "device.low must be f16 or bf16"},
		{"setting device = ascend @1:1\n", "", "a copy has the 16 bits"},
		{"of=layer.a,", "of=layer.b,", "`of` names no parameter"},
		{"copy $layer.a.low[0..1]", "copy $layer.a.low[0]", "differs in shape"},
		{"scale=1.0", "scale=0.0", "`scale` is missing or 0"},
		{": f32[T,2] in", ": bf16[T,2] in", "%y is f32[T,2], not bf16[T,2]"},
		{"copy $layer.a.low[0..1] : f16", "copy $layer.a.low[0..1] : f32", "a copy has the 16 bits"},
	} {
		text := strings.Replace(wide, c[0], c[1], 1)
		if text == wide {
			t.Fatalf("nothing to replace: %s", c[0])
		}
		if _, err := ir.Parse("m.ir", text); err == nil || !strings.Contains(err.Error(), c[2]) {
			t.Errorf("%s → %s: %v", c[0], c[1], err)
		}
	}
}
