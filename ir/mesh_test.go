package ir_test

import (
	"slices"
	"strings"
	"testing"

	"lorac/ir"
	_ "lorac/ir/op"
)

// meshText is a linear cut by columns, then one cut by rows, and an update.
const meshText = `module m from "m.yaml"

size hidden = 4 @1:1
size ffn = 6 @1:1

dim T <= 8 @1:1
dim N <= T @1:1

mesh data=2 model=2 @2:1

param $up : f32[ffn/model,hidden] trainable @3:1
param $down : f32[hidden,ffn/model] trainable @3:1
param $gain : f32[hidden] trainable @3:1
grad $up.grad : f32[ffn/model,hidden] sum(data) {of=up} @3:1
grad $gain.grad : f32[hidden] sum(data,model) {of=gain} @3:1
state $up.m : f32[ffn/model,hidden] {of=up} @3:1

func layer[%i](%x: f32[T,hidden], %d: f32[T,hidden], %rstd: f32[T]) -> (%out) {
  %h = matmul %x, $up {group=linear, trans=rhs} : f32[T,ffn/model] @4:1
  %y.part = matmul %h, $down {group=linear, trans=rhs} : f32[T,hidden] sum(model) @4:1
  %y = all_reduce %y.part {axis=model, bytes=128} : f32[T,hidden] @4:1
  %n, %rn = rmsnorm %y, $gain {eps=0.1} : f32[T,hidden], f32[T] @4:1
  %dh = matmul %d, $down {group=linear, trans=none} : f32[T,ffn/model] @4:1
  %dx = matmul %dh, $up {group=linear, trans=none} : f32[T,hidden] sum(model) @4:1
  rmsnorm_grad_w_acc %dx, %x, %rstd, $gain.grad @4:1
  matmul_acc %dh, %x, $up.grad {group=linear, trans=lhs} @4:1
  %out = add %x, %n : f32[T,hidden] @4:1
}

entry func update(%lr: f32[], %t: i32[]) -> (%norm) {
  sum_units $gain.grad, $up.grad {axis=data, order=tree} @5:1
  sum_units $gain.grad {axis=model} @5:1
  %norm = norm $gain.grad : f32[] @5:1
  momentum $up, $up.grad, $up.m, %lr, %t {dampening=0.0, momentum=0.9, nesterov=false, weight_decay=0.0} @5:1
  sgd $gain, $gain.grad, %lr, %t {weight_decay=0.0} @5:1
  zero $gain.grad, $up.grad @5:1
}
`

func TestMeshText(t *testing.T) {
	m, err := ir.Parse("m.ir", meshText)
	if err != nil {
		t.Fatal(err)
	}
	if m.String() != meshText {
		t.Errorf("it prints as\n%s", m)
	}
	if c := m.Clone(); c.String() != meshText || c.Mesh == m.Mesh {
		t.Errorf("its clone prints as\n%s", c)
	}
	if d := m.Storage("up").Type.Shape[0]; d.N != 3 || d.Whole().N != 6 || d.Whole().String() != "ffn" {
		t.Errorf("ffn/model is %+v", d)
	}
	if got := m.MaxEnv(); m.Func("layer").Body[0].Results[0].Type.Bytes(got) != 8*3*4 {
		t.Error("values have the bytes of one rank")
	}
}

// TestMeshVerify: what is not where it must be is refused.
func TestMeshVerify(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"mesh data=2 model=2 @2:1\n", "", "the module has no axis `model`"},
		{"model=2 @2:1", "model=4 @2:1", "4 ranks of axis `model` cannot divide ffn = 6"},
		{"model=2 @2:1", "model=2 expert=2 @2:1", "`expert` is no axis"},
		{"model=2 @2:1", "model=2 model=2 @2:1", "axis `model` is declared twice"},
		{"%h = matmul %x, $up {group=linear, trans=rhs} : f32[T,ffn/model]", "%h = matmul %x, $up {group=linear, trans=rhs} : f32[T,ffn]", "%h is f32[T,ffn/model], not f32[T,ffn]"},
		{"f32[T,hidden], %d", "f32[T/model,hidden], %d", "%h is f32[T/model,ffn/model], not f32[T,ffn/model]"},
		{": f32[T,hidden] sum(model) @4:1\n  %y =", ": f32[T,hidden] @4:1\n  %y =", "over `model`, %y.part is partial, not whole"},
		{"%n, %rn = rmsnorm %y,", "%n, %rn = rmsnorm %y.part,", "%y.part is partial, and `rmsnorm` needs it whole"},
		{"add %x, %n", "add %y.part, %n", "%y.part is partial, and `add` needs it whole"},
		{"all_reduce %y.part", "all_reduce %x", "%x is whole: nothing to sum"},
		{"{axis=model, bytes=128}", "{axis=model, bytes=64}", "a rank sends 128 bytes, not 64"},
		{"grad $gain.grad : f32[hidden] sum(data,model)", "grad $gain.grad : f32[hidden] sum(data)", "$gain.grad is whole, and what is written to it partial"},
		{"grad $up.grad : f32[ffn/model,hidden] sum(data)", "grad $up.grad : f32[ffn/model,hidden]", "$up.grad is whole, and what is written to it partial"},
		{"  sum_units $gain.grad {axis=model} @5:1\n", "", "$gain.grad is partial: nothing summed it before `norm`"},
		{"  sum_units $gain.grad, $up.grad {axis=data, order=tree} @5:1\n", "", "$gain.grad is partial: nothing summed it before `norm`"},
		{"sum_units $gain.grad {axis=model}", "sum_units $gain.grad, $up.grad {axis=model}", "$up.grad is cut on dimension 0: nothing to sum"},
		{"norm $gain.grad", "norm $gain.grad, $up.grad", "$up.grad is cut on dimension 0: sum_squares and root make the norm of what is cut"},
		{"  zero $gain.grad, $up.grad @5:1\n", "", "$up.grad is f32[ffn/model,hidden] sum(data) and left as f32[ffn/model,hidden]"},
		{"state $up.m", "state $up.v : f32[6,2] {of=up} @3:1\nstate $up.m", "state $up.v is cut in another way than its parameter $up"},
		{"-> (%out) {\n  %h", "-> (%dx) {\n  %h", "carries %dx"},
	} {
		text := strings.Replace(meshText, c.old, c.new, 1)
		if c.want == "carries %dx" {
			text += "\nentry func main(%x: f32[T,hidden], %rstd: f32[T]) -> () {\n  %r = repeat layer[0..1] %x, %x, %rstd : f32[T,hidden] sum(model) @6:1\n}\n"
		}
		if text == meshText {
			t.Fatalf("%q is not in the text", c.old)
		}
		if _, err := ir.Parse("m.ir", text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q for %q: %v, not %s", c.new, c.old, err, c.want)
		}
	}
}

func TestMeshRanks(t *testing.T) {
	m := &ir.Mesh{Axes: []ir.Axis{{Name: ir.Data, N: 2}, {Name: ir.Stage, N: 3}, {Name: ir.Model, N: 2}}}
	if m.Size() != 12 || m.Axis(ir.Stage) != 3 || m.Axis("other") != 1 {
		t.Error("sizes")
	}
	for rank := range 12 {
		for _, axis := range []string{ir.Data, ir.Stage, ir.Model} {
			g := m.Group(rank, axis)
			if g[m.Coord(rank, axis)] != rank {
				t.Errorf("rank %d is not where it is on %s: %v", rank, axis, g)
			}
		}
	}
	if got := m.Group(7, ir.Stage); !slices.Equal(got, []int{7, 9, 11}) {
		t.Errorf("the stages beside rank 7 are %v", got)
	}
}

// TestRanksEnd: ranks that wait for each other, or for one that failed, end.
func TestRanksEnd(t *testing.T) {
	m := ir.MustParse(`module m from "m.yaml"
mesh model=2 @1:1
entry func all(%x: f32[] sum(model)) -> (%y) {
  %y = all_reduce %x {axis=model} : f32[] @1:1
}
entry func none(%x: f32[] sum(model)) -> () {
}
`)
	ranks := ir.NewRanks(m, func(int) ir.Env { return nil })
	call := func(second string, args ...*ir.Array) error {
		_, err := ranks.Call(func(rank int) string { return []string{"all", second}[rank] }, func(rank int) []*ir.Array {
			if rank == 0 {
				return []*ir.Array{{F: []float64{1}}}
			}
			return args
		})
		return err
	}
	if err := call("all", &ir.Array{F: []float64{2}}); err != nil {
		t.Error(err)
	}
	if err := call("none", &ir.Array{F: []float64{2}}); err == nil || !strings.Contains(err.Error(), "wait for each other") {
		t.Errorf("%v", err)
	}
	if err := call("all"); err == nil || !strings.Contains(err.Error(), "rank 1: BUG: ir: call of all with 0 arguments") {
		t.Errorf("%v", err)
	}
}

// TestParts: a rank has one run of a dimension that is cut, or one of each block.
func TestParts(t *testing.T) {
	cut, err := ir.N(12).Cut(ir.Model, 2)
	if err != nil {
		t.Fatal(err)
	}
	s := &ir.Storage{Type: ir.Tensor(ir.F32, cut, ir.N(3))}
	if got := s.Parts(0, 1); !slices.Equal(got, []ir.Part{{From: 6, Len: 6}}) {
		t.Errorf("%v", got)
	}
	s.Attrs = ir.Attrs{"blocks": []any{8, 2, 2}, "blocks_dim": 0}
	if got := s.Parts(0, 1); !slices.Equal(got, []ir.Part{{From: 4, Len: 4}, {From: 9, Len: 1}, {From: 11, Len: 1}}) {
		t.Errorf("%v", got)
	}
	if got := s.Parts(1, 1); !slices.Equal(got, []ir.Part{{From: 0, Len: 3}}) {
		t.Errorf("%v", got)
	}
}
