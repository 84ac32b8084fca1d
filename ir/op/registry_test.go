package op

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"lorac/ir"
	"lorac/ir/diag"
	"lorac/ir/op/optest"
)

// parseSample reads the sample statement of an op within its module.
func parseSample(t *testing.T, name string) (*ir.Module, *ir.Stmt) {
	t.Helper()
	m, stmt, err := optest.Parse(name)
	if err != nil {
		t.Fatal(err)
	}
	return m, stmt
}

// TestEveryOp: each op has a sample that verifies, prints back to itself, says
// what it is for, and refuses operands and attributes that do not fit.
func TestEveryOp(t *testing.T) {
	for _, op := range ir.Ops() {
		t.Run(op.Name, func(t *testing.T) {
			if optest.Samples[op.Name] == "" {
				t.Fatal("this op has no sample in the test's table")
			}
			m, s := parseSample(t, op.Name)
			if again, err := ir.Parse("again", m.String()); err != nil || again.String() != m.String() {
				t.Fatalf("printed text does not parse back: %v", err)
			}
			if !strings.HasSuffix(m.String(), optest.Samples[op.Name]+" @3:4\n}\n") && op.Name != "adamw" && !strings.Contains(optest.Samples[op.Name], "e-") {
				t.Errorf("the sample prints as %s", s)
			}
			if op == ir.Repeat {
				return
			}
			if op.Doc == "" || op.Eval == nil {
				t.Error("an op has a line of doc and an evaluator")
			}
			// These are replaced by their accumulating twins before code is generated.
			// Ranks of a mesh run those by which they talk.
			if none := map[string]bool{"embed_grad": true, "rmsnorm_grad_w": true, "sum_rows": true, "scale_cols_grad_m": true, "lora_linear_grad": true}; (s.KernelName() == "") != (none[op.Name] || optest.OfMesh[op.Name]) {
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
			if len(s.Args) > 0 && op.Name != "concat_cols" && op.Name != "norm" && op.Name != "zero" && op.Name != "sum_squares" && op.Name != "root" && op.Name != "sum_units" && op.Name != "norm_layers" &&
				op.Name != "scatter_units" && op.Name != "gather_shares" && op.Name != "norm_shares" {
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
			checkGradient(t, m, s)
		})
	}
	if checked < 14 {
		t.Errorf("only %d ops have a gradient", checked)
	}
	for what, text := range map[string]string{
		"adapted":    "%r, %s, %u = lora_linear %x, $w, $a, $b, $w, $c, $c, %keys, %i {bias=[1, 0], p=0.3, parts=[lora, plain], scale=2.0, streams=[1]} : f32[T,3], f32[T,2], f32[T,3]",
		"one biased": "%r, %s, %u = lora_linear %x, $w, $w, $a, $b, $c {bias=[1], parts=[plain, lora], scale=2.0} : f32[T,3], f32[T,3], f32[T,2]",
		"plain":      "%r = lora_linear %x, $w, $c {bias=[0], parts=[plain], scale=1.0} : f32[T,3]",
	} {
		t.Run("bias "+what, func(t *testing.T) {
			m := ir.MustParse(optest.Header + text + " @3:4\n}\n")
			checkGradient(t, m, m.Func("main").Body[0])
		})
	}
}

// checkGradient checks the rule of one statement.
func checkGradient(t *testing.T, m *ir.Module, s *ir.Stmt) {
	t.Helper()
	op := s.Op
	in, vals := arrays(m, 7)
	back := &ir.Func{Name: "back"}
	b := ir.NewBuilder(back)
	g := &ir.GradCtx{S: s, B: b, Use: func(o ir.Operand) ir.Operand { return o }}
	grads := map[int][]*ir.Value{}
	g.Add = func(i int, d *ir.Value) { grads[i] = append(grads[i], d) }
	cot := map[*ir.Value]*ir.Array{}
	rng := rand.New(rand.NewPCG(9, 9))
	for i, r := range s.Results {
		if r.Type.Rank() < 2 && len(s.Results) > 1 || op.Name == "attention" && i == 1 || op.Name == "lora_linear" && r.Type.Shape[1].N == 2 {
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
		if !o.Type().DType.Float() || o.Storage != nil && o.Storage.Kind == ir.Table || o.Value != nil && (o.Value.Name == "weights" || o.Value.Name == "norms") { // which are constants
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
}

// TestBiasRefused: the attribute lists linears that are there, once each, and each
// has its operand.
func TestBiasRefused(t *testing.T) {
	for text, want := range map[string]string{
		"%r = lora_linear %x, $w, $c {bias=[1], parts=[plain], scale=1.0} : f32[T,3]":        "attribute `bias` has 1",
		"%r = lora_linear %x, $w, $c, $c {bias=[0, 0], parts=[plain], scale=1.0} : f32[T,3]": "attribute `bias` has 0",
		"%r = lora_linear %x, $w {bias=[0], parts=[plain], scale=1.0} : f32[T,3]":            "2 operands do not match",
		"%r = lora_linear %x, $w, $n {bias=[0], parts=[plain], scale=1.0} : f32[T,3]":        "operand $n must be f32[3]",
		"%r = lora_linear_grad %z, $w, $c {bias=[0], parts=[plain], scale=1.0} : f32[T,4]":   "bias",
		"%r = add_bias %x, $c : f32[T,4]":                                                    "operand $c must be f32[4]",
	} {
		if _, err := ir.Parse("m.ir", optest.Header+text+" @3:4\n}\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", text, err)
		}
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
	m := ir.MustParse(optest.Header + "%r, %s, %u = lora_linear %x, $w, $a, $b, $w, $c, %keys, %i {bias=[1], p=0.3, parts=[lora, plain], scale=2.0, streams=[1]}" +
		" : f32[T,3], f32[T,2], f32[T,3] @3:4\n}\n")
	s := m.Func("main").Body[0]
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
		"row_norms":        {"lora": 2 * 3 * 4 * 2},
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
