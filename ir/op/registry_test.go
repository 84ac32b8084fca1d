package op

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"lorac/ir"
	"lorac/ir/diag"
)

// samples is one small statement of every op, as text behind the header below.
// An op without one fails TestEveryOp.
var samples = map[string]string{
	"accumulate":         "accumulate $w.grad, %wd",
	"adafactor":          "adafactor $w, $w.grad, $w.m, $w.row, $w.col, %lr, %t, %coef {beta1=0.9, clip_threshold=1.0, decay_rate=0.8, eps1=1e-30, eps2=1e-3, relative_step=false, scale_parameter=true, warmup_init=false, weight_decay=0.1}",
	"adafactor_vector":   "adafactor_vector $n, $n.grad, $n.m, $n.v, %lr, %t, %coef {beta1=0.9, clip_threshold=1.0, decay_rate=0.8, eps1=1e-30, eps2=1e-3, relative_step=false, scale_parameter=true, warmup_init=false, weight_decay=0.1}",
	"adagrad":            "adagrad $w, $w.grad, $w.v, %lr, %t, %coef {accum=0.1, weight_decay=0.1}",
	"adam":               "adam $w, $w.grad, $w.m, $w.v, %lr, %t, %coef {beta1=0.9, beta2=0.99, eps=1e-8, nesterov=true, weight_decay=0.1}",
	"adamw":              "adamw $w, $w.grad, $w.m, $w.v, %lr, %t, %coef {beta1=0.9, beta2=0.99, eps=1e-8, rule=torch, weight_decay=0.1}",
	"add":                "%r = add %x, %y : f32[T,4]",
	"add_matmul":         "%r = add_matmul %x, %z, $w {group=linear, trans=none} : f32[T,4]",
	"add_rmsnorm":        "%r, %s, %u = add_rmsnorm %x, %y, $n {eps=1e-5} : f32[T,4], f32[T,4], f32[T]",
	"attention":          "%r, %s = attention %x, %k, %v, %starts {heads=2, kv_heads=1, scale=0.7} : f32[T,4], f32[T,2]",
	"attention_grad":     "%r, %s, %u = attention_grad %y, %x, %k, %v, %x2, %lse, %starts {heads=2, kv_heads=1, scale=0.7} : f32[T,4], f32[T,2], f32[T,2]",
	"cached_attention":   "%r = cached_attention %x, %k, %v, %pos, $kc, $vc {heads=2, kv_heads=1, scale=0.7} : f32[T,4]",
	"came":               "came $w, $w.grad, $w.m, $w.row, $w.col, $w.drow, $w.dcol, %lr, %t, %coef {beta1=0.9, beta3=0.99, clip_threshold=1.0, decay_rate=0.8, eps1=1e-30, eps2=1e-3, eps3=1e-16, relative_step=false, scale_parameter=true, warmup_init=false, weight_decay=0.1}",
	"came_vector":        "came_vector $n, $n.grad, $n.m, $n.v, %lr, %t, %coef {beta1=0.9, beta3=0.99, clip_threshold=1.0, decay_rate=0.8, eps1=1e-30, eps2=1e-3, eps3=1e-16, relative_step=false, scale_parameter=true, warmup_init=false, weight_decay=0.1}",
	"clip":               "%r = clip %lr {max=1.0, rule=torch} : f32[]",
	"concat_cols":        "%r = concat_cols %x, %k : f32[T,6]",
	"cross_entropy":      "%r = cross_entropy %sl, %targets, %weights : f32[]",
	"cross_entropy_grad": "%r = cross_entropy_grad %sl, %targets, %weights : f32[S,3]",
	"dropout":            "%r = dropout %x, %keys, %i {p=0.4, stream=2} : f32[T,4]",
	"embed":              "%r = embed %tokens, $w : f32[T,4]",
	"embed_grad":         "%r = embed_grad %x, %tokens {vocab=3} : f32[3,4]",
	"embed_grad_acc":     "embed_grad_acc %x, %tokens, $w.grad {vocab=3}",
	"gather_rows":        "%r = gather_rows %x, %rows : f32[S,4]",
	"head_loss":          "%r, %s = head_loss %sx, $w, %targets, %weights, $w.grad {dx=true} : f32[], f32[S,4]",
	"lamb":               "lamb $w, $w.grad, $w.m, $w.v, %lr, %t, %coef {beta1=0.9, beta2=0.99, eps=1e-8, weight_decay=0.1}",
	"lora_linear": "%r, %s, %u = lora_linear %x, $w, $a, $b, $w, %keys, %i {p=0.3, parts=[lora, plain], scale=2.0, streams=[1]}" +
		" : f32[T,3], f32[T,2], f32[T,3]",
	"lora_linear_grad": "%r, %s, %u = lora_linear_grad %z, %z2, %x, %xa, $w, $a, $b, $w, %keys, %i {p=0.3, parts=[lora, plain], scale=2.0, streams=[1]}" +
		" : f32[T,4], f32[2,4], f32[3,2]",
	"lora_linear_grad_acc": "%r = lora_linear_grad_acc %z, %z2, %x, %xa, $w, $a, $b, $w, %keys, %i, $a.grad, $b.grad {p=0.3, parts=[lora, plain], scale=2.0, streams=[1]} : f32[T,4]",
	"matmul":               "%r = matmul %x, $w {group=linear, trans=rhs} : f32[T,3]",
	"matmul_acc":           "matmul_acc %z, %x, $w.grad {group=linear, trans=lhs}",
	"momentum":             "momentum $w, $w.grad, $w.v, %lr, %t, %coef {dampening=0.0, momentum=0.9, nesterov=true, weight_decay=0.1}",
	"mul":                  "%r = mul %x, %y : f32[T,4]",
	"narrow":               "%r = narrow %x {dtype=bf16} : bf16[T,4]",
	"norm":                 "%r = norm $w.grad, $a.grad : f32[]",
	"repeat":               "%r = repeat f[0..1] %x : f32[T,4]",
	"rmsnorm":              "%r, %s = rmsnorm %x, $n {eps=1e-5} : f32[T,4], f32[T]",
	"rmsnorm_grad":         "%r = rmsnorm_grad %y, %x, %rstd, $n : f32[T,4]",
	"rmsnorm_grad_add":     "%r = rmsnorm_grad_add %x2, %y, %x, %rstd, $n : f32[T,4]",
	"rmsnorm_grad_w":       "%r = rmsnorm_grad_w %y, %x, %rstd : f32[4]",
	"rmsnorm_grad_w_acc":   "rmsnorm_grad_w_acc %y, %x, %rstd, $n.grad",
	"rope":                 "%r = rope %x, %pos, $cos, $sin {head_dim=2} : f32[T,4]",
	"round":                "%r = round %x {dtype=f16} : f32[T,4]",
	"scale":                "%r = scale %x {by=3.0} : f32[T,4]",
	"scatter_rows":         "%r = scatter_rows %sx, %rows {dim=T} : f32[T,4]",
	"sgd":                  "sgd $w, $w.grad, %lr, %t, %coef {weight_decay=0.1}",
	"silu":                 "%r = silu %x : f32[T,4]",
	"silu_grad":            "%r = silu_grad %y, %x : f32[T,4]",
	"split_cols":           "%r, %s = split_cols %x {widths=[1, 3]} : f32[T,1], f32[T,3]",
	"swiglu":               "%r = swiglu %x, %y : f32[T,4]",
	"swiglu_grad":          "%r, %s = swiglu_grad %x, %y, %x2 : f32[T,4], f32[T,4]",
	"widen":                "%r = widen %x : f32[T,4]",
	"zero":                 "zero $w.grad, $a.grad",
	"zeros":                "%r = zeros {shape=[T, 5]} : f32[T,5]",
}

const header = `module m from "m.yaml"
dim T <= 8 @1:1
dim S <= T @1:1
dim N <= T @1:1
param $w : f32[3,4] trainable @1:1
param $a : f32[2,4] trainable @1:1
param $b : f32[3,2] trainable @1:1
param $n : f32[4] trainable @1:1
table $cos : f32[9,1] @1:1
table $sin : f32[9,1] @1:1
cache $kc : f32[9,2] @1:1
cache $vc : f32[9,2] @1:1
grad $w.grad : f32[3,4] {of=w} @1:1
grad $a.grad : f32[2,4] {of=a} @1:1
grad $b.grad : f32[3,2] {of=b} @1:1
grad $n.grad : f32[4] {of=n} @1:1
state $w.m : f32[3,4] {of=w} @1:1
state $w.v : f32[3,4] {of=w} @1:1
state $w.row : f32[3] {of=w} @1:1
state $w.col : f32[4] {of=w} @1:1
state $w.drow : f32[3] {of=w} @1:1
state $w.dcol : f32[4] {of=w} @1:1
state $n.m : f32[4] {of=n} @1:1
state $n.v : f32[4] {of=n} @1:1
func f[%i](%x: f32[T,4]) -> (%r) {
  %r = scale %x {by=2.0} : f32[T,4] @1:1
}
entry func main(%x: f32[T,4], %y: f32[T,4], %x2: f32[T,4], %k: f32[T,2], %v: f32[T,2], %z: f32[T,3], %z2: f32[T,3], %xa: f32[T,2], %lse: f32[T,2], %rstd: f32[T], %sx: f32[S,4], %sl: f32[S,3], %wd: f32[3,4], %weights: f32[S], %tokens: i32[T], %pos: i32[T], %starts: i32[N], %rows: i32[S], %targets: i32[S], %keys: i64[T], %i: i32[], %lr: f32[], %t: i32[], %coef: f32[]) -> () {
  `

// parseSample reads the sample statement of an op within its module.
func parseSample(t *testing.T, name string) (*ir.Module, *ir.Stmt) {
	t.Helper()
	text := header + samples[name] + " @3:4\n}\n"
	m, err := ir.Parse(name, text)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return m, m.Func("main").Body[0]
}

// TestEveryOp: each op has a sample that verifies, prints back to itself, says
// what it is for, and refuses operands and attributes that do not fit.
func TestEveryOp(t *testing.T) {
	for _, op := range ir.Ops() {
		t.Run(op.Name, func(t *testing.T) {
			if samples[op.Name] == "" {
				t.Fatal("this op has no sample in the test's table")
			}
			m, s := parseSample(t, op.Name)
			if again, err := ir.Parse("again", m.String()); err != nil || again.String() != m.String() {
				t.Fatalf("printed text does not parse back: %v", err)
			}
			if !strings.HasSuffix(m.String(), samples[op.Name]+" @3:4\n}\n") && op.Name != "adamw" && !strings.Contains(samples[op.Name], "e-") {
				t.Errorf("the sample prints as %s", s)
			}
			if op == ir.Repeat {
				return
			}
			if op.Doc == "" || op.Eval == nil {
				t.Error("an op has a line of doc and an evaluator")
			}
			// These are replaced by their accumulating twins before code is generated.
			if none := map[string]bool{"embed_grad": true, "rmsnorm_grad_w": true, "lora_linear_grad": true}; (s.KernelName() == "") != none[op.Name] {
				t.Errorf("its kernel is %q", s.KernelName())
			}
			names := make([]string, len(s.Results))
			refused := func(what string, args []ir.Operand, attrs ir.Attrs) {
				if _, err := ir.NewStmt(op, names, args, attrs, diag.Pos{}); err == nil {
					t.Errorf("%s was accepted", what)
				}
			}
			refused("an unknown attribute", s.Args, s.Attrs.With("nonsense", 1))
			for _, a := range op.Attrs {
				if a.Required {
					less := s.Attrs.Clone()
					delete(less, a.Name)
					refused("a missing `"+a.Name+"`", s.Args, less)
				}
			}
			if len(s.Args) > 0 && op.Name != "concat_cols" && op.Name != "norm" && op.Name != "zero" {
				refused("too few operands", s.Args[:0], s.Attrs)
				odd := append([]ir.Operand(nil), s.Args...)
				odd[0] = ir.Val(&ir.Value{Name: "odd", Type: ir.Type{Kept: &ir.Kept{Func: "f"}}})
				refused("a handle of kept values as operand", odd, s.Attrs)
			}
			for _, p := range op.InPlace {
				if r, a := s.Results[p[0]].Type, s.Args[p[1]].Type(); !r.Equal(a) {
					t.Errorf("result %d may overwrite operand %d, but %s is not %s", p[0], p[1], r, a)
				}
			}
		})
	}
}

var env = ir.Env{"T": 6, "S": 3, "N": 2}

// arrays fills the parameters of main and the storages with small numbers.
func arrays(m *ir.Module, seed uint64) (*ir.Interp, map[*ir.Value]*ir.Array) {
	rng := rand.New(rand.NewPCG(seed, 1))
	in := ir.NewInterp(m, env)
	for _, s := range m.Storages {
		for i := range in.Storage[s.Name].F {
			in.Storage[s.Name].F[i] = rng.Float64() + 0.2
		}
	}
	args := map[*ir.Value]*ir.Array{}
	for _, p := range m.Func("main").Params {
		a := ir.NewArray(p.Type, env)
		for i := range a.F {
			a.F[i] = rng.Float64()*2 - 1
		}
		switch p.Name {
		case "tokens", "targets":
			for i := range a.I {
				a.I[i] = int64(rng.IntN(3))
			}
		case "pos":
			for i := range a.I {
				a.I[i] = int64(i % 4)
			}
		case "starts":
			copy(a.I, []int64{0, 4})
		case "rows":
			copy(a.I, []int64{1, 4, 5})
		case "keys":
			for i := range a.I {
				a.I[i] = rng.Int64()
			}
		case "t", "i":
			a.I[0] = 2
		}
		args[p] = a
	}
	return in, args
}

// eval runs one statement on the arrays of its operands.
func eval(s *ir.Stmt, in *ir.Interp, vals map[*ir.Value]*ir.Array) {
	c := &ir.EvalCtx{S: s, Env: env}
	for _, a := range s.Args {
		if a.Storage != nil {
			c.In = append(c.In, in.Storage[a.Storage.Name])
		} else {
			c.In = append(c.In, vals[a.Value])
		}
	}
	for _, r := range s.Results {
		vals[r] = ir.NewArray(r.Type, env)
		c.Out = append(c.Out, vals[r])
	}
	s.Op.Eval(c)
}

// TestGradients checks every gradient rule against central differences of
// Σ cotangent·result, in all operands that hold real numbers.
func TestGradients(t *testing.T) {
	checked := 0
	for _, op := range ir.Ops() {
		if op.Grad == nil {
			continue
		}
		checked++
		t.Run(op.Name, func(t *testing.T) {
			m, s := parseSample(t, op.Name)
			in, vals := arrays(m, 7)
			back := &ir.Func{Name: "back"}
			b := ir.NewBuilder(back)
			g := &ir.GradCtx{S: s, B: b, Use: func(o ir.Operand) ir.Operand { return o }}
			grads := map[int][]*ir.Value{}
			g.Add = func(i int, d *ir.Value) { grads[i] = append(grads[i], d) }
			cot := map[*ir.Value]*ir.Array{}
			rng := rand.New(rand.NewPCG(9, 9))
			for i, r := range s.Results {
				if r.Type.Rank() < 2 && len(s.Results) > 1 || op.Name == "attention" && i == 1 || op.Name == "lora_linear" && i == 1 {
					g.D = append(g.D, nil) // statistics and xa carry no gradient
					continue
				}
				d := &ir.Value{Name: "d" + r.Name, Type: r.Type}
				a := ir.NewArray(r.Type, env)
				for k := range a.F {
					a.F[k] = rng.Float64()*2 - 1
				}
				if op.Name == "cross_entropy" {
					a.F[0] = 1 // the root loss
				}
				cot[r], vals[d] = a, a
				g.D = append(g.D, d)
			}
			eval(s, in, vals)
			op.Grad(g)
			for _, st := range back.Body {
				eval(st, in, vals)
			}
			loss := func() float64 {
				eval(s, in, vals)
				sum := 0.0
				for r, c := range cot {
					for k, x := range vals[r].F {
						sum += c.F[k] * x
					}
				}
				return sum
			}
			for i, o := range s.Args {
				if !o.Type().DType.Float() || o.Storage != nil && o.Storage.Kind == ir.Table || o.Value != nil && o.Value.Name == "weights" {
					continue
				}
				if len(grads[i]) == 0 {
					t.Errorf("no gradient for operand %d", i)
					continue
				}
				var x *ir.Array
				if o.Storage != nil {
					x = in.Storage[o.Storage.Name]
				} else {
					x = vals[o.Value]
				}
				// The same storage may stand in several places: differences see their sum.
				for k := range x.F {
					got := 0.0
					for j, p := range s.Args {
						if p == o {
							for _, d := range grads[j] {
								got += vals[d].F[k]
							}
						}
					}
					const h = 1e-5
					old := x.F[k]
					x.F[k] = old + h
					up := loss()
					x.F[k] = old - h
					down := loss()
					x.F[k] = old
					if want := (up - down) / (2 * h); math.Abs(got-want) > 1e-7*(1+math.Abs(want)) {
						t.Fatalf("operand %d, element %d: the rule gives %v, differences %v", i, k, got, want)
					}
				}
			}
		})
	}
	if checked < 14 {
		t.Errorf("only %d ops have a gradient", checked)
	}
}

// TestAccTwins: the accumulating form adds what the plain form returns.
func TestAccTwins(t *testing.T) {
	for _, op := range ir.Ops() {
		if op.Acc == "" {
			continue
		}
		twin := ir.Lookup(op.Acc)
		m, s := parseSample(t, op.Acc)
		in, vals := arrays(m, 3)
		n := len(s.Args) - len(twin.WritesOf(s))
		base := &ir.Stmt{Op: op, Args: s.Args[:n], Attrs: s.Attrs}
		types, err := op.Infer(base)
		if err != nil {
			t.Fatal(err)
		}
		for _, ty := range types {
			base.Results = append(base.Results, &ir.Value{Type: ty})
		}
		eval(base, in, vals)
		before := map[string][]float64{}
		for _, a := range s.Args[n:] {
			before[a.Storage.Name] = append([]float64(nil), in.Storage[a.Storage.Name].F...)
		}
		eval(s, in, vals)
		for k, r := range op.AccResults(base) {
			name := s.Args[n+k].Storage.Name
			for i, x := range in.Storage[name].F {
				if want := before[name][i] + vals[base.Results[r]].F[i]; math.Abs(x-want) > 1e-12 {
					t.Fatalf("%s: $%s[%d] is %v, want %v", op.Acc, name, i, x, want)
				}
			}
		}
	}
}

// TestDrop: results left out change nothing in those that stay.
func TestDrop(t *testing.T) {
	m, s := parseSample(t, "lora_linear_grad")
	in, vals := arrays(m, 5)
	eval(s, in, vals)
	for _, dead := range [][]bool{{true, false, false}, {false, true, true}, {true, true, true}} {
		attrs, ok := s.Op.Drop(s, dead)
		if !ok {
			t.Fatalf("%v cannot be dropped", dead)
		}
		var names []string
		var stay []*ir.Value
		for i, r := range s.Results {
			if !dead[i] {
				names, stay = append(names, r.Name), append(stay, r)
			}
		}
		less, err := ir.NewStmt(s.Op, names, s.Args, attrs, diag.Pos{})
		if err != nil {
			t.Fatal(err)
		}
		eval(less, in, vals)
		for i, r := range less.Results {
			for k, x := range vals[r].F {
				if x != vals[stay[i]].F[k] {
					t.Fatalf("dropping %v changes %s", dead, r)
				}
			}
		}
	}
	if _, ok := s.Op.Drop(s, []bool{false, true, false}); ok {
		t.Error("half an adapter's gradients cannot be dropped")
	}
}

// TestOnly: a linear made apart from its neighbours is the same.
func TestOnly(t *testing.T) {
	m, s := parseSample(t, "lora_linear")
	in, vals := arrays(m, 5)
	eval(s, in, vals)
	for r := range s.Results {
		args, attrs, results := s.Op.Only(s, r)
		names := make([]string, len(results))
		alone, err := ir.NewStmt(s.Op, names, args, attrs, diag.Pos{})
		if err != nil {
			t.Fatal(err)
		}
		eval(alone, in, vals)
		found := false
		for i, of := range results {
			found = found || of == r
			for k, x := range vals[alone.Results[i]].F {
				if x != vals[s.Results[of]].F[k] {
					t.Fatalf("alone, result %d is not the same", of)
				}
			}
		}
		if !found {
			t.Errorf("result %d is not among those made", r)
		}
	}
}

func TestCosts(t *testing.T) {
	for name, want := range map[string]map[string]float64{
		"matmul":           {"linear": 2 * 6 * 4 * 3},
		"matmul_acc":       {"linear.dw": 2 * 6 * 4 * 3},
		"lora_linear":      {"linear": 2 * 2 * 6 * 4 * 3, "lora": 2 * 6 * 2 * (4 + 3)},
		"lora_linear_grad": {"linear.dx": 2 * 2 * 6 * 4 * 3, "lora.grad": 4 * 6 * 2 * (4 + 3)},
		"head_loss":        {"head": 2 * 3 * 4 * 3, "head.dx": 2 * 3 * 4 * 3, "head.dw": 2 * 3 * 4 * 3},
		"attention":        {"attention": 2 * 2 * 6 * 4 * (6.0 / 2 / 2)},
		"attention_grad":   {"attention.grad": 5 * 2 * 6 * 4 * (6.0 / 2 / 2)},
	} {
		_, s := parseSample(t, name)
		got := map[string]float64{}
		for _, w := range s.Op.Cost(s, env) {
			got[w.Group] += w.FLOPs
		}
		for g, f := range want {
			if got[g] != f {
				t.Errorf("%s: %s takes %v, by hand %v", name, g, got[g], f)
			}
		}
	}
}
