package ir_test

import (
	"math"
	"strings"
	"testing"

	"lorac/ir"
	_ "lorac/ir/op"
)

// sharesText is a step of which each rank of axis optimizer has a share.
const sharesText = `module m from "m.yaml"

size hidden = 5 @1:1

mesh data=2 optimizer=2 @2:1

param $layer.a[0..2] : f32[hidden] trainable @3:1
param $b : f32[hidden] trainable @3:1
grad $layer.a.grad[0..2] : f32[hidden] sum(data,optimizer) {of=layer.a} @3:1
grad $b.grad : f32[hidden] sum(data,optimizer) {of=b} @3:1
state $layer.a.m[0..2] : f32[hidden] share(optimizer) {of=layer.a} @3:1

entry func update(%lr: f32[], %t: i32[]) -> (%norm) {
  sum_units $layer.a.grad, $b.grad {axis=data, bytes=80, order=tree} @5:1
  scatter_units $layer.a.grad, $b.grad {axis=optimizer, bytes=40, order=tree} @5:1
  %norm = norm_shares $layer.a.grad, $b.grad {axis=optimizer} : f32[] @5:1
  momentum $layer.a, $layer.a.grad, $layer.a.m, %lr, %t {dampening=0.0, momentum=0.9, nesterov=false, weight_decay=0.0} @5:1
  sgd $b, $b.grad, %lr, %t {weight_decay=0.0} @5:1
  gather_shares $layer.a, $b {axis=optimizer, bytes=40} @5:1
  zero $layer.a.grad, $b.grad @5:1
}
`

func TestSharesText(t *testing.T) {
	m, err := ir.Parse("m.ir", sharesText)
	if err != nil {
		t.Fatal(err)
	}
	if m.String() != sharesText {
		t.Errorf("it prints as\n%s", m)
	}
}

// TestSharesVerify: what is shared is read as a share alone, and left whole.
func TestSharesVerify(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"optimizer=2", "optimizer=4", "a rank sends 60 bytes, not 40"},
		{" optimizer=2", "", "the module has no axis `optimizer`"},
		{"f32[hidden] share(optimizer)", "f32[hidden]", "$layer.a.m is whole, and others of the step are shared"},
		{"grad $b.grad : f32[hidden] sum(data,optimizer)", "grad $b.grad : f32[hidden] share(optimizer)", "only states are shared"},
		{"  scatter_units $layer.a.grad, $b.grad {axis=optimizer, bytes=40, order=tree} @5:1\n", "", "$layer.a.grad is partial: nothing summed it before `norm_shares`"},
		{"scatter_units $layer.a.grad, $b.grad {axis=optimizer, bytes=40, order=tree}", "sum_units $layer.a.grad, $b.grad {axis=optimizer, order=tree}", "$layer.a.grad is whole: nothing summed it before `norm_shares`"},
		{"sum_units $layer.a.grad, $b.grad {axis=data, bytes=80, order=tree}", "scatter_units $layer.a.grad, $b.grad {axis=data, order=tree}", "there are no shares of that"},
		{"norm_shares $layer.a.grad, $b.grad {axis=optimizer}", "norm $layer.a.grad, $b.grad", "$layer.a.grad is shared, and `norm` needs all of it"},
		{"  gather_shares $layer.a, $b {axis=optimizer, bytes=40} @5:1\n", "", "$layer.a is f32[hidden] and left as f32[hidden] share(optimizer)"},
		{"gather_shares $layer.a, $b {axis=optimizer, bytes=40}", "gather_shares $layer.a {axis=optimizer, bytes=30}", "$b is f32[hidden] and left as f32[hidden] share(optimizer)"},
		{"  momentum $layer", "  gather_shares $b {axis=optimizer} @5:1\n  momentum $layer", "$b is whole: nothing to gather"},
	} {
		text := strings.Replace(sharesText, c.old, c.new, 1)
		if text == sharesText {
			t.Fatalf("%q is not in the text", c.old)
		}
		if _, err := ir.Parse("m.ir", text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: %v, not %s", c.new, c.old, err, c.want)
		}
	}
}

// TestSharesStep: all ranks come to the parameters of one process; of states each has its
// share and no number of another.
func TestSharesStep(t *testing.T) {
	m := ir.MustParse(sharesText)
	ranks := ir.NewRanks(m, func(int) ir.Env { return nil })
	one := ir.NewInterp(m, nil)
	for i := range 15 {
		one.Storage["layer.a"].F[i] = float64(i)
	}
	ranks.Load(one)
	for r, in := range ranks.Rank {
		for i := range 15 {
			in.Storage["layer.a.grad"].F[i] = float64(r*100 + i)
		}
		in.Storage["b.grad"].F[4] = 2
	}
	out, err := ranks.Call(func(int) string { return "update" }, func(int) []*ir.Array { return []*ir.Array{{F: []float64{0.5}}, {I: []int64{1}}} })
	if err != nil {
		t.Fatal(err)
	}
	sum := 64.0 // of b
	for i := range 15 {
		g := float64(600 + 4*i)
		sum += g * g
		for r, in := range ranks.Rank {
			if got, want := in.Storage["layer.a"].F[i], float64(i)-0.5*g; got != want {
				t.Errorf("rank %d: element %d is %v, not %v", r, i, got, want)
			}
			own := (i < 7) == (r%2 == 0)
			if got := in.Storage["layer.a.m"].F[i]; own && got != g || !own && !math.IsNaN(got) {
				t.Errorf("rank %d: state %d is %v, own %v", r, i, got, own)
			}
		}
	}
	for r := range out {
		if got := out[r][0].F[0]; math.Abs(got-math.Sqrt(sum)) > 1e-9 {
			t.Errorf("rank %d: the norm is %v, not %v", r, got, math.Sqrt(sum))
		}
	}
	if whole, _ := ranks.Gather(m.Storage("layer.a.m")); whole.F[14] != 656 {
		t.Errorf("put together the state is %v", whole.F)
	}
}
