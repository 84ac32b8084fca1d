package passes

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/rand"
	"slices"
	"sort"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/compiler/cost"
	"lorac/ir"
	_ "lorac/ir/op"
)

// inputs fills the parameters of an entry function: two sequences of 4 and 3
// rows, four supervised rows; real numbers of other names are random.
func inputs(f *ir.Func) []*ir.Array {
	rng := rand.New(rand.NewSource(3))
	keys := make([]int64, 7)
	for i := range keys {
		keys[i] = int64(rng.Uint64())
	}
	byName := map[string]*ir.Array{
		"tokens":  {Shape: []int{7}, I: []int64{1, 5, 2, 9, 1, 3, 5}},
		"pos":     {Shape: []int{7}, I: []int64{0, 1, 2, 3, 0, 1, 2}},
		"starts":  {Shape: []int{2}, I: []int64{0, 4}},
		"keys":    {Shape: []int{7}, I: keys},
		"rows":    {Shape: []int{4}, I: []int64{1, 2, 4, 6}},
		"targets": {Shape: []int{4}, I: []int64{2, 9, 3, 10}},
		"weights": {Shape: []int{4}, F: []float64{0.25, 0.125, 0.5, 0.125}},
		"lr":      {F: []float64{0.01}},
		"t":       {I: []int64{1}},
	}
	var out []*ir.Array
	for _, p := range f.Params {
		a := byName[p.Name]
		if a == nil {
			a = ir.NewArray(p.Type, env)
			for i := range a.F {
				a.F[i] = rng.NormFloat64()
			}
		}
		out = append(out, a)
	}
	return out
}

var env = ir.Env{"T": 7, "S": 4, "N": 2}

// fill gives every parameter and table values that depend on its name only,
// so that modules before and after a pass start alike.
func fill(m *ir.Module, storage map[string]*ir.Array) {
	for _, s := range m.Storages {
		if s.Kind != ir.Param && s.Kind != ir.Table {
			continue
		}
		h := fnv.New64()
		h.Write([]byte(s.Name))
		rng := rand.New(rand.NewSource(int64(h.Sum64())))
		for i := range storage[s.Name].F {
			storage[s.Name].F[i] = 0.5 * rng.NormFloat64()
		}
	}
}

// numbers evaluates what a module computes: the loss and, when there are any,
// the gradients of trainable parameters, the logits, and what one update
// makes of the parameters.
func numbers(m *ir.Module) map[string][]float64 {
	out := map[string][]float64{}
	in := ir.NewInterp(m, env)
	fill(m, in.Storage)
	in.Refresh()
	for _, name := range []string{"loss", "logits", "train"} {
		if f := m.Func(name); f != nil {
			out[name] = in.Call(name, inputs(f)...)[0].F
		}
	}
	if f := m.Func("step"); f != nil {
		delete(out, "train")
		out["step"] = in.Call("step", inputs(f)...)[0].F
		for _, s := range m.Storages {
			if s.Kind == ir.Grad && m.Storage(s.Attrs.Str("of")).Trainable {
				out[s.Name] = append([]float64(nil), in.Storage[s.Name].F...)
			}
		}
		in.Call("update", inputs(m.Func("update"))...)
		for _, s := range m.Storages {
			if s.Kind == ir.Param && s.Trainable {
				out[s.Name] = in.Storage[s.Name].F
			}
		}
	}
	return out
}

// compare checks two sets of numbers; those only one has are not compared.
func compare(t *testing.T, what string, want, got map[string][]float64) {
	t.Helper()
	compareWithin(t, what, 1e-11, want, got)
}

func compareWithin(t *testing.T, what string, bound float64, want, got map[string][]float64) {
	t.Helper()
	var names []string
	for n := range want {
		names = append(names, n)
	}
	sort.Strings(names)
	both := 0
	for _, n := range names {
		g, ok := got[n]
		if !ok {
			continue
		}
		both++
		if d := distance(want[n], g); d > bound {
			t.Errorf("%s: %s differs by %.3g", what, n, d)
		}
	}
	if both == 0 {
		t.Errorf("%s: nothing to compare", what)
	}
}

func distance(a, b []float64) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	worst := 0.0
	for i := range a {
		d := math.Abs(a[i]-b[i]) / math.Max(1, math.Abs(a[i]))
		if !(d <= worst) { // NaN too
			worst = d
		}
	}
	return worst
}

func eachSpec(t *testing.T, f func(t *testing.T, s spec)) {
	for _, name := range slices.Sorted(maps.Keys(specs)) {
		t.Run(name, func(t *testing.T) { f(t, specs[name]) })
	}
}

// TestPassesKeepNumbers evaluates the module after every pass.
func TestPassesKeepNumbers(t *testing.T) {
	eachSpec(t, func(t *testing.T, s spec) {
		m := ir.MustParse(llama(s))
		last := numbers(m)
		first := last
		_, err := Run(m, nil, func(pass string, m *ir.Module) {
			text := m.String()
			again, err := ir.Parse(pass, text)
			if err != nil {
				t.Fatalf("after %s: %v\n%s", pass, err, text)
			}
			if again.String() != text {
				t.Fatalf("after %s: the text does not reach a fixpoint", pass)
			}
			now := numbers(again)
			compare(t, pass, last, now)
			compare(t, pass+" against the model", first, now)
			last = now
		})
		if err != nil {
			t.Fatal(err)
		}
		if s.targets == "" && !s.full {
			return
		}
		if want := first["train"]; want != nil && distance(want, last["step"]) > 1e-11 {
			t.Errorf("step gives the loss %v, train gave %v", last["step"], want)
		}
	})
}

// TestGradients checks the gradients of the finished step against central
// differences of the function the model builder wrote.
func TestGradients(t *testing.T) {
	eachSpec(t, func(t *testing.T, s spec) {
		m := ir.MustParse(llama(s))
		model := m.Clone()
		if _, err := Run(m, nil, nil); err != nil {
			t.Fatal(err)
		}
		root := cost.Root(model)
		in := ir.NewInterp(model, env)
		fill(model, in.Storage)
		loss := func() float64 { return in.Call(root.Name, inputs(root)...)[0].F[0] }
		got := numbers(m)
		for _, p := range model.Storages {
			if p.Kind != ir.Param || !p.Trainable {
				continue
			}
			grad := got[p.Name+".grad"]
			if grad == nil {
				t.Errorf("no gradient of $%s", p.Name)
				continue
			}
			x := in.Storage[p.Name].F
			for i := 0; i < len(x); i += 1 + len(x)/5 {
				const eps = 1e-5
				old := x[i]
				x[i] = old + eps
				up := loss()
				x[i] = old - eps
				want := (up - loss()) / (2 * eps)
				x[i] = old
				if math.Abs(want-grad[i]) > 1e-8+1e-6*math.Abs(want) {
					t.Errorf("d loss / d $%s[%d] is %g, differences give %g", p.Name, i, grad[i], want)
				}
			}
		}
	})
}

// TestSubsets runs random subsets of the optional passes: the numbers must
// not depend on which ran.
func TestSubsets(t *testing.T) {
	eachSpec(t, func(t *testing.T, s spec) {
		full := ir.MustParse(llama(s))
		if _, err := Run(full, nil, nil); err != nil {
			t.Fatal(err)
		}
		want := numbers(full)
		rng := rand.New(rand.NewSource(1))
		subsets := 5
		if testkit.Wanted("passes") {
			subsets = 12
		}
		for range subsets {
			o := &Options{Disable: map[string]bool{}, Fuel: map[string]int{}}
			for _, p := range table {
				if !p.Required {
					o.Disable[p.Name] = rng.Intn(3) == 0
					if rng.Intn(4) == 0 {
						o.Fuel[p.Name] = rng.Intn(6)
					}
				}
			}
			checkSubset(t, llama(s), o, want)
		}
	})
}

func checkSubset(t *testing.T, text string, o *Options, want map[string][]float64) {
	t.Helper()
	m := ir.MustParse(text)
	what := fmt.Sprintf("without %v, fuel %v", o.Disable, o.Fuel)
	if _, err := Run(m, o, nil); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	compare(t, what, want, numbers(m))
	simulate(t, what, m, want)
}

// FuzzPasses lets the fuzzer choose the model, the passes and the fuel.
func FuzzPasses(f *testing.F) {
	f.Add(uint8(0), uint16(0), uint8(255), uint8(0))
	f.Add(uint8(3), uint16(5), uint8(2), uint8(3))
	var names []string
	for n := range specs {
		names = append(names, n)
	}
	sort.Strings(names)
	f.Fuzz(func(t *testing.T, model uint8, off uint16, pass, fuel uint8) {
		text := llama(specs[names[int(model)%len(names)]])
		full := ir.MustParse(text)
		if _, err := Run(full, nil, nil); err != nil {
			t.Fatal(err)
		}
		o := &Options{Disable: map[string]bool{}, Fuel: map[string]int{}}
		for i, p := range table {
			if !p.Required {
				o.Disable[p.Name] = off>>i&1 == 1
			}
		}
		if int(pass) < len(table) && !table[pass].Required {
			o.Fuel[table[pass].Name] = int(fuel)
		}
		checkSubset(t, text, o, numbers(full))
	})
}
