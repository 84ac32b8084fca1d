package cost

import (
	"slices"
	"strings"
	"testing"

	"lorac/ir"
	"lorac/ir/op/optest"
)

const deviceText = `module m from "m.yaml"
setting device = ascend @1:1
setting device.low = bf16 @1:1
dim T <= 100 @1:1
dim S <= T @1:1
dim N <= T @1:1
param $embed : bf16[1000,32] frozen @1:1
param $w[0..1] : bf16[64,32] frozen @1:1
param $v[0..1] : bf16[48,32] frozen @1:1
param $gain : f32[32] frozen @1:1
param $a[0..1] : f32[4,32] trainable @1:1
param $b[0..1] : f32[64,4] trainable @1:1
copy $a.low[0..1] : bf16[4,32] {of=a, scale=1.0} @1:1
copy $b.low[0..1] : bf16[64,4] {of=b, scale=1.0} @1:1
grad $a.grad[0..1] : f32[4,32] {of=a} @1:1
grad $b.grad[0..1] : f32[64,4] {of=b} @1:1
state $a.m[0..1] : f32[4,32] {of=a} @1:1
state $a.v[0..1] : f32[4,32] {of=a} @1:1
func layer[%i](%x: bf16[T,32], %keys: i64[T]) -> (%r) {
  BODY
  %r = add %x, %x : bf16[T,32] in keep+0 @1:1
}
entry func step(%x: bf16[T,32], %tokens: i32[T], %keys: i64[T], %dy: bf16[T,64], %dz: bf16[T,48], %lr: f32[], %t: i32[]) -> (%y) {
  %y = repeat layer[0..1] %x, %keys : bf16[T,32] @1:1
  ROOT
}
`

// What one statement takes, by hand: 100 rows of 32 columns, in bytes of bf16.
func TestWorkOn(t *testing.T) {
	const x, y, z, xa = 100 * 32 * 2, 100 * 64 * 2, 100 * 48 * 2, 100 * 4 * 2
	const w, v, a, b = 64 * 32 * 2, 48 * 32 * 2, 4 * 32 * 2, 64 * 4 * 2
	for _, c := range []struct {
		text         string
		layer        bool
		bytes, flops float64
		launches     string
	}{
		{"%y, %z = lora_linear %x, $w, $v {parts=[plain, plain], scale=1.0} : bf16[T,64], bf16[T,48]", true, x + w + v + y + z, 2 * 100 * 32 * 112, "lora_linear"},
		{"%y, %xa = lora_linear %x, $w, $a.low, $b.low {parts=[lora], scale=1.0} : bf16[T,64], bf16[T,4]", true,
			x + w + a + b + y + xa, 2*100*32*64 + 2*100*4*(32+64), "lora_down lora_linear"},
		{"%y, %xa = lora_linear %x, $w, $a.low, $b.low, %keys, %i {p=0.1, parts=[lora], scale=1.0, streams=[0]} : bf16[T,64], bf16[T,4]", true,
			x + w + a + b + y + xa + 800 + 4, 2*100*32*64 + 2*100*4*(32+64), "lora_down_drop lora_linear"},
		{"%q = add %x, %x : bf16[T,32]", true, 2 * x, 0, "add"},                         // the same operand once
		{"%q = embed %tokens, $embed : bf16[T,32]", false, 2*x + 400, 0, "gather_rows"}, // its rows alone
		{"%q = lora_linear_grad %dy, %dz, $w, $v {parts=[plain, plain], scale=1.0} : bf16[T,32]", false, x + y + z + 2*w + 2*v, 2 * 100 * 32 * 112, "lora_linear_grad"},
		{"zero $a.grad, $b.grad", false, 2*4*32*4 + 2*64*4*4, 0, "zero zero"}, // of both layers
		{"%q = norm $a.grad, $b.grad : f32[]", false, 2*4*32*4 + 2*64*4*4 + 4, 0, "sum_squares sum_squares norm"},
		{"adamw $a, $a.grad, $a.m, $a.v, %lr, %t, $a.low {beta1=0.9, beta2=0.99, eps=1e-8, rule=torch, weight_decay=0.1}", false,
			2*4*32*(28+2) + 8, 0, "adamw"}, // reads four words, writes three and a half
	} {
		root, body := c.text+" @1:1", "%unused = add %x, %x : bf16[T,32] @1:1"
		if c.layer {
			root, body = body, root
		}
		text := strings.NewReplacer("BODY", body, "ROOT", root).Replace(deviceText)
		m, err := ir.Parse("m.ir", text)
		if err != nil {
			t.Fatalf("%s: %v", c.text, err)
		}
		f := m.Func("step")
		s := f.Body[1]
		if c.layer {
			f = m.Func("layer")
			s = f.Body[0]
		}
		got := workOn(f, s, ir.Env{"T": 100, "S": 100, "N": 1})
		if got.bytes != c.bytes || got.flops != c.flops {
			t.Errorf("%s: %v, want %v bytes and %v FLOPs", c.text, got, c.bytes, c.flops)
		}
		if l := strings.Join(Launches(s), " "); l != c.launches {
			t.Errorf("%s launches %s, want %s", c.text, l, c.launches)
		}
	}
}

// Every launch of an op is of a kernel that its row of the table names.
func TestLaunches(t *testing.T) {
	for _, op := range ir.Ops() {
		if op.Ascend == "" {
			continue
		}
		_, s, err := optest.Parse(op.Name)
		if err != nil {
			t.Fatal(err)
		}
		if s.KernelName() == "" {
			continue // another op runs in its place
		}
		list := Launches(s)
		if len(list) == 0 {
			t.Errorf("%s launches nothing", op.Name)
		}
		for _, name := range list {
			if !slices.Contains(strings.Fields(op.Ascend), name) {
				t.Errorf("%s launches %q, its kernels are %q", op.Name, name, op.Ascend)
			}
		}
	}
}

func TestBackwardLaunches(t *testing.T) {
	for parts, want := range map[string]string{
		"[lora, lora, lora], scale=1.0, p=0.1, streams=[0, 1, 2]": "lora_up_grad weight_grad_drop weight_grad_drop weight_grad_drop weight_grad lora_linear_grad lora_dx_drop",
		"[lora, lora, lora], scale=1.0":                           "lora_up_grad weight_grad weight_grad lora_linear_grad",
		"[lora, plain, lora], scale=1.0, dx=false":                "lora_up_grad weight_grad",
		"[frozen, plain], scale=1.0, p=0.1, streams=[0]":          "lora_up_grad lora_linear_grad lora_dx_drop",
		"[plain, plain], scale=1.0":                               "lora_linear_grad",
	} {
		kinds, rest, _ := strings.Cut(strings.TrimPrefix(parts, "["), "], ")
		s := &ir.Stmt{Op: ir.Lookup("lora_linear_grad"), Attrs: ir.Attrs{}}
		var list []any
		n, adapters := 0, 0
		for _, k := range strings.Split(kinds, ", ") {
			list = append(list, k)
			n += 2 // d and w
			if k != "plain" {
				n, adapters = n+3, adapters+1
			}
		}
		if adapters > 0 {
			n++ // x
		}
		s.Attrs["parts"], s.Attrs["scale"] = list, 1.0
		if strings.Contains(rest, "p=0.1") {
			s.Attrs["p"], s.Attrs["streams"] = 0.1, []any{0, 1, 2}
			n += 2
		}
		if strings.Contains(rest, "dx=false") {
			s.Attrs["dx"] = false
		}
		s.Args = make([]ir.Operand, n)
		if got := strings.Join(Launches(s), " "); got != want {
			t.Errorf("%s launches\n%s, want\n%s", parts, got, want)
		}
	}
}

func TestSoC(t *testing.T) {
	for name, peak := range map[string]float64{"910b1": 363.7, "Ascend910B2": 353.9, "Ascend910B3": 294.9, "910b4": 245.8, "Ascend910B4-1": 245.8, "910_9391": 363.7} {
		s, ok := SoCOf(name)
		if got := s.Peak() / 1e12; !ok || got < peak-0.1 || got > peak+0.1 {
			t.Errorf("%s: %v TFLOP/s, want %v", name, got, peak)
		}
	}
	if _, ok := SoCOf("910c"); ok || len(SoCNames()) != len(SoCs) {
		t.Error("there is no 910c")
	}
}
