package op

import (
	"strings"
	"testing"

	"lorac/ir"
	"lorac/ir/op/optest"
)

// TestEveryOpHasARule: each op says where results are, given where operands are.
func TestEveryOpHasARule(t *testing.T) {
	for _, op := range ir.Ops() {
		if op == ir.Repeat {
			continue
		}
		if op.Place == nil {
			t.Errorf("%s: no rule of placement", op.Name)
			continue
		}
		_, s := parseSample(t, op.Name)
		// What is whole on all ranks stays so, and what goes into storages is as many
		// tensors as are written.
		p := &ir.Placing{S: s, Axis: "other", In: make([]ir.Placement, len(s.Args))}
		out, err := op.Place(p)
		if err != nil {
			t.Errorf("%s: %v", op.Name, err)
			continue
		}
		if want := len(s.Results) + len(op.Written(s)); len(out) != want {
			t.Errorf("%s: the rule places %d tensors of %d", op.Name, len(out), want)
		}
		for _, place := range out {
			if place != ir.IsWhole {
				t.Errorf("%s makes %s of whole operands", op.Name, place)
			}
		}
	}
}

// TestMeshRefusesAnOpWithoutARule names the op.
func TestMeshRefusesAnOpWithoutARule(t *testing.T) {
	add := ir.Lookup("add")
	place := add.Place
	add.Place = nil
	defer func() { add.Place = place }()
	_, err := ir.Parse("m.ir", optest.MeshHeader+optest.Samples["add"]+" @3:4\n}\n")
	if err == nil || !strings.Contains(err.Error(), "`add` has no rule for processes that divide a step") {
		t.Errorf("%v", err)
	}
}
