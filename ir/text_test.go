package ir_test

import (
	"strings"
	"testing"

	"lorac/ir"
	_ "lorac/ir/op"
)

const small = `module small from "dir/c.yaml"

setting batch_size = 2 @3:1
setting rate = 1e-05 @4:1
setting names = [wq, "a b", true, 0.5, -3] @5:1

dim T <= 16 @1:1
dim S <= T @1:1

param $w[0..2] : bf16[4,4] frozen {name="model.{i}.w"} @2:1
param $a[0..2] : f32[2,4] trainable @2:2
grad $a.grad[0..2] : f32[2,4] {of=a} @2:2

func layer.forward[%i](%x: f32[T,4]) -> (%y) keep (%x, %h) {
  %h = matmul %x, $w {group=linear, trans=rhs} : f32[T,4] in keep+0 @7:3
  %y = add %h, %x : f32[T,4] in frame+64 @7:4
}

func layer.backward[%i](%d.y: f32[T,4]) saved layer.forward (%x: f32[T,4], %h: f32[T,4]) -> (%d.x) {
  %m = mul %d.y, %h : f32[T,4] @7:5
  %d.x = add %m, %x : f32[T,4] @7:5
}

entry func step(%x: f32[T,4], %rows: i32[S]) -> (%l) {
  %y, %kept = repeat layer.forward[0..2] %x : f32[T,4], kept layer.forward[0..2] @8:1
  %d = repeat layer.backward[2..1] %y, %kept : f32[T,4] @8:2
  %l = gather_rows %d, %rows : f32[S,4] @0:0
}
`

func TestPrintParses(t *testing.T) {
	m, err := ir.Parse("small.ir", small)
	if err != nil {
		t.Fatal(err)
	}
	if m.String() != small {
		t.Errorf("printed:\n%s", m)
	}
	if c := m.Clone(); c.String() != small || c.Verify() != nil {
		t.Errorf("a clone prints as\n%s", c)
	}
	if n := m.Setting("batch_size"); n != 2 {
		t.Errorf("setting batch_size is %v", n)
	}
}

// TestFaults: each rule of parser and verifier has a text that breaks it, and
// says so at the place.
func TestFaults(t *testing.T) {
	for _, c := range []struct{ old, new, want string }{
		{"add %h, %x : f32[T,4] in frame+64", "add %h, %nope : f32[T,4]", "%nope is not defined above this line"},
		{"add %h, %x :", "sum %h, %x :", "no op `sum`"},
		{"add %h, %x : f32[T,4]", "add %h, %x : f32[T,5]", "%y is f32[T,4], not f32[T,5]"},
		{"add %h, %x :", "add %h :", "takes 2 operands"},
		{"trans=rhs}", "trans=up}", "not rhs, lhs or none"},
		{"{group=linear, trans=rhs}", "{group=linear, trans=rhs, fast=true}", "attribute `fast` is unknown"},
		{"{group=linear, trans=rhs}", "{trans=rhs}", "attribute `group` is missing"},
		{"{group=linear, trans=rhs}", "{group=linear, trans=3}", "wrong type"},
		{"matmul %x, $w", "matmul %x, $v", "no storage `$v`"},
		{"%m = mul", "%d.y = mul", "%d.y is defined twice"},
		{"f32[2,4] trainable", "f64[2,4] trainable", "no element type `f64`"},
		{"dim S <= T", "dim S <= Q", "no dimension `Q`"},
		{"bf16[4,4] frozen", "bf16[4,4]", "a param is `frozen` or `trainable`"},
		{"grad $a.grad[0..2]", "grad $a.grad[0..1]", "differs in shape from its parameter"},
		{"{of=a}", "{of=b}", "names no parameter"},
		{"keep (%x, %h)", "keep (%x)", "keeps no %h"},
		{"param $w[0..2]", "param $w[0..1]", "reaches outside $w[0..1]"},
		{"repeat layer.backward[2..1] %y, %kept", "repeat layer.backward[3..1] %y, %kept", "kept values exist for [0..2] only"},
		{"repeat layer.backward[2..1] %y, %kept", "repeat layer.backward[2..1] %y, %y", "must hold what `layer.forward` kept"},
		{"repeat layer.forward[0..2]", "repeat layer.later[0..2]", "no function `layer.later` above this line"},
		{"in keep+0", "in heap+0", "regions are frame and keep"},
		{"func layer.forward[%i](", "func layer.forward(", "has no layer index"},
		{"} @2:2\n\nfunc", "} 2:2\n\nfunc", "unexpected token"},
		{`from "dir/c.yaml"`, `from "dir/c.yaml`, "string without an end"},
		{"rate = 1e-05", "rate = 1e-", "number without an exponent"},
		{"setting rate", "setting ?", "unexpected"},
	} {
		if !strings.Contains(small, c.old) {
			t.Fatalf("the module has no %q", c.old)
		}
		_, err := ir.Parse("f.ir", strings.Replace(small, c.old, c.new, 1))
		if err == nil {
			t.Errorf("%q for %q was accepted", c.new, c.old)
		} else if !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "f.ir:") {
			t.Errorf("%q for %q: %v\nwant %q with its place", c.new, c.old, err, c.want)
		}
	}
}

func TestLayout(t *testing.T) {
	m, err := ir.Parse("small.ir", strings.Replace(small, "%m = mul %d.y, %h : f32[T,4]", "%m = mul %d.y, %h : f32[T,4] in frame+256", 1))
	if err != nil {
		t.Fatal(err)
	}
	l := m.Layout(m.Func("step"))
	r := l.Record(m.Func("layer.forward"))
	// Three layers keep %h: 16·4·4 = 256 bytes each; the callee frame reaches to 256+256.
	if r.Count != 3 || r.Stride != 256 || r.Lo != 0 || r.Base != 0 {
		t.Errorf("record of the forward: %+v", r)
	}
	if l.Frame != 3*256 || l.Callee != 3*256 || l.Size != 3*256+512 || m.Arena() != l.Size {
		t.Errorf("layout %+v", l)
	}
}

// FuzzParse: no text makes the parser panic, and what it accepts prints to a
// text that it accepts again and that prints alike.
func FuzzParse(f *testing.F) {
	f.Add(small)
	f.Add("module m from \"\"\n")
	f.Add("module m from \"\"\nfunc f(%x: f32[2]) -> (%x) {\n}\n")
	f.Add("module m from \"\"\ndim T <= 3 @1:1\nfunc f[%i](%x: f32[T,2]) -> (%y) {\n %y = scale %x {by=-0.0} : f32[T,2] @1:2\n}\n")
	f.Add("module m from \"\"\nentry func f(%a: f32[2,2]) -> () {\n lora_linear_grad_acc %a {parts=[lora], scale=1.0} @1:1\n}\n")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ir.Parse("fuzz.ir", text)
		if err != nil {
			return
		}
		once := m.String()
		again, err := ir.Parse("again.ir", once)
		if err != nil {
			t.Fatalf("printed text is refused: %v\n%s", err, once)
		}
		if again.String() != once {
			t.Fatalf("printed text changes:\n%s\n%s", once, again)
		}
	})
}
