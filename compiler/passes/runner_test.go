package passes

import (
	"errors"
	"math/rand"
	"os"
	"slices"
	"strings"
	"testing"

	"lorac/ir"
)

func TestTable(t *testing.T) {
	names := Names()
	for i, p := range table {
		if index(p.Name) != i {
			t.Errorf("%s stands twice", p.Name)
		}
		if p.Why == "" {
			t.Errorf("%s has no reason", p.Name)
		}
		if _, err := os.Stat(strings.ReplaceAll(p.Name, "-", "_") + ".go"); err != nil {
			t.Errorf("%s has no file of its name", p.Name)
		}
	}
	for _, n := range needs {
		a, b := slices.Index(names, n.first), slices.Index(names, n.then)
		if a < 0 || b < 0 || a >= b || n.why == "" {
			t.Errorf("%s must come before %s: %s", n.first, n.then, n.why)
		}
	}
}

// TestResume: a dump after any pass leads to the same program.
func TestResume(t *testing.T) {
	eachSpec(t, func(t *testing.T, s spec) {
		dumps := map[string]string{}
		m := ir.MustParse(llama(s))
		if _, err := Run(m, nil, func(pass string, m *ir.Module) { dumps[pass] = m.String() }); err != nil {
			t.Fatal(err)
		}
		for pass, dump := range dumps {
			again := ir.MustParse(dump)
			if _, err := Run(again, nil, nil); err != nil {
				t.Fatalf("from %s: %v", pass, err)
			}
			if again.String() != m.String() {
				t.Errorf("resumed from %s the program differs", pass)
			}
		}
	})
}

// TestShuffle: the order in which independent statements were written does
// not show in any dump.
func TestShuffle(t *testing.T) {
	eachSpec(t, func(t *testing.T, s spec) {
		var want []string
		collect := func(out *[]string) func(string, *ir.Module) {
			return func(pass string, m *ir.Module) { *out = append(*out, m.String()) }
		}
		if _, err := Run(ir.MustParse(llama(s)), nil, collect(&want)); err != nil {
			t.Fatal(err)
		}
		rng := rand.New(rand.NewSource(7))
		for range 5 {
			m := ir.MustParse(llama(s))
			for _, f := range m.Funcs {
				if !effects(f) {
					shuffle(f, rng)
				}
			}
			var got []string
			if _, err := Run(m, nil, collect(&got)); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				if want[i] != got[i] {
					t.Fatalf("dump %d differs:\n%s\n%s", i, want[i], got[i])
				}
			}
		}
	})
}

// shuffle lists the statements in a random order that respects their operands.
func shuffle(f *ir.Func, rng *rand.Rand) {
	rest := slices.Clone(f.Body)
	done := map[*ir.Stmt]bool{}
	f.Body = nil
	for len(rest) > 0 {
		i := rng.Intn(len(rest))
		s := rest[i]
		ready := !slices.ContainsFunc(s.Args, func(a ir.Operand) bool {
			return a.Value != nil && a.Value.Def != nil && !done[a.Value.Def]
		})
		if ready {
			f.Body = append(f.Body, s)
			done[s] = true
			rest = slices.Delete(rest, i, i+1)
		}
	}
}

// TestKeepLists: what is kept is what some backward loads, no more.
func TestKeepLists(t *testing.T) {
	eachSpec(t, func(t *testing.T, s spec) {
		m := ir.MustParse(llama(s))
		if _, err := Run(m, nil, nil); err != nil {
			t.Fatal(err)
		}
		for _, f := range m.Funcs {
			loaded := map[string]bool{}
			for _, b := range backwards(m, f) {
				for _, v := range b.Saved {
					loaded[v.Name] = true
					if b.Uses()[v] == 0 {
						t.Errorf("%s loads %s and does not use it", b.Name, v)
					}
				}
			}
			for _, v := range f.Keep {
				if !loaded[v.Name] {
					t.Errorf("%s keeps %s, which nobody loads", f.Name, v)
				}
			}
		}
	})
}

func TestOptions(t *testing.T) {
	text := llama(specs["plain"])
	for want, o := range map[string]*Options{
		"no pass `nonsense`":                            {Disable: map[string]bool{"nonsense": true}},
		"no pass `nonsens`":                             {Fuel: map[string]int{"nonsens": 1}},
		"no pass `last`":                                {Last: "last"},
		"pass `autodiff` cannot be switched off":        {Disable: map[string]bool{"autodiff": true}},
		"pass `prune-frozen` cannot be switched off: a": {Disable: map[string]bool{"prune-frozen": true}},
		"pass `prune-frozen` cannot be limited: a prog": {Fuel: map[string]int{"prune-frozen": 3}},
		"fuel of pass `dce` is -1: must be a whole num": {Fuel: map[string]int{"dce": -1}},
		"pass `plan-memory` cannot be switched off: e":  {Disable: map[string]bool{"plan-memory": true}},
	} {
		if _, err := Run(ir.MustParse(text), o, nil); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%v, want %s", err, want)
		}
	}
	m := ir.MustParse(text)
	steps, err := Run(m, &Options{Last: "fuse-lora", Fuel: map[string]int{"fuse-lora": 1}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if s := steps[len(steps)-1]; s.Name != "fuse-lora" || s.Rewrites != 1 || strings.Count(m.String(), "= lora_linear ") != 1 {
		t.Errorf("fuel 1 gives %+v\n%s", s, m)
	}
	if _, err := Run(m, &Options{Last: "order"}, nil); err == nil || !strings.Contains(err.Error(), "earlier dump") {
		t.Errorf("going back to order: %v", err)
	}
	mark(m, "folding")
	if _, err := Run(m, nil, nil); err == nil || !strings.Contains(err.Error(), "`folding`, which is no pass") {
		t.Errorf("resuming from an unknown pass: %v", err)
	}
}

// TestFault: a pass that fails, by a panic or by what it leaves, is named, and
// the module before it is not lost.
func TestFault(t *testing.T) {
	defer func(old []Pass) { table = old }(table)
	for _, bad := range []func(m *ir.Module, o *Options) int{
		func(m *ir.Module, o *Options) int { panic("lost my way") },
		func(m *ir.Module, o *Options) int {
			f := m.Func("loss")
			f.Body = f.Body[1:]
			return 1
		},
	} {
		table = []Pass{{"order", order, false, "-", nil}, {"bad", bad, false, "-", nil}}
		var last string
		m := ir.MustParse(llama(specs["plain"]))
		_, err := Run(m, nil, func(_ string, m *ir.Module) { last = m.String() })
		var fault *Fault
		if !errors.As(err, &fault) || fault.Pass != "bad" || fault.Dump != last || !strings.HasPrefix(err.Error(), "BUG: pass bad: ") {
			t.Errorf("%v", err)
		}
	}
}
