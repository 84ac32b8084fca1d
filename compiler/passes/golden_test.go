package passes

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/ir"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata")

// TestGolden runs one pass on the text in.ir of each testdata/<pass>/*.txtar
// and compares with out.ir; a file without out.ir says that nothing changes.
// facts.json is what is known in addition to the module.
// Both texts must evaluate to the same numbers.
func TestGolden(t *testing.T) {
	for _, p := range table {
		files, _ := filepath.Glob(filepath.Join("testdata", p.Name, "*.txtar"))
		fires, rests := 0, 0
		for _, file := range files {
			t.Run(p.Name+"/"+strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
				text, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				ar := split(string(text))
				in := ar["in.ir"]
				m, err := ir.Parse(file, in)
				if err != nil {
					t.Fatal(err)
				}
				if in != m.String() {
					if *update {
						ar["in.ir"] = m.String()
					} else {
						t.Errorf("in.ir does not print as it is written; run with -update")
					}
				}
				before := m.String()
				want := evaluate(m)
				o := &Options{Facts: Facts{Blocks: testBlocks}}
				if facts, ok := ar["facts.json"]; ok {
					if err := json.Unmarshal([]byte(facts), &o.Facts); err != nil {
						t.Fatal(err)
					}
				}
				n := 0
				if p.Knows == nil || p.Knows(m, o) {
					if n, err = o.apply(p, m); err != nil {
						t.Fatal(err)
					}
				}
				if p.Name == "autodiff" { // what was zero before is the point of it
					maps.DeleteFunc(want, func(name string, _ []float64) bool { return name[0] == '$' })
				}
				if m.Low() != 0 { // it rounds
					compareWithin(t, "after", 0.1, want, evaluate(m))
				} else {
					compare(t, "after", want, evaluate(m))
				}
				if p.Name == "plan-memory" {
					for _, f := range m.Funcs {
						want[f.Name] = want[f.Name+".0"]
					}
					for _, s := range m.Storages {
						want[s.Name] = want["$"+s.Name]
					}
					simulate(t, "golden", m, want)
				}
				out := m.String()
				if *update {
					defer func() {
						if err := os.WriteFile(file, []byte(join(ar)), 0o644); err != nil {
							t.Fatal(err)
						}
					}()
				}
				expect, fired := ar["out.ir"]
				if !fired {
					rests++
					if out != before || n != 0 && p.Name != "plan-memory" {
						t.Errorf("%d rewrites where none was expected:\n%s", n, out)
					}
					return
				}
				fires++
				if out == before || n == 0 {
					t.Errorf("nothing was rewritten, or nothing counted")
				}
				if *update {
					ar["out.ir"] = out
				} else if out != expect {
					t.Errorf("got:\n%s\nwant:\n%s", out, expect)
				}
			})
		}
		if !t.Failed() && flag.Lookup("test.run").Value.String() == "" && (fires == 0 || rests == 0) {
			t.Errorf("%s: %d cases where it fires and %d where it must not; both are needed", p.Name, fires, rests)
		}
	}
}

// testBlocks quantises matrices of rows of four as q8_0.
func testBlocks(kind, name string, shape []int, stored ir.DType) (ir.DType, bool) {
	return ir.Q8_0, kind == "int8" && len(shape) == 2 && shape[1]%4 == 0
}

// split reads the sections of a txtar file; the comment has the name "".
func split(text string) map[string]string {
	out := map[string]string{}
	name := ""
	for _, line := range strings.SplitAfter(text, "\n") {
		if n, ok := strings.CutPrefix(line, "-- "); ok && strings.HasSuffix(n, " --\n") {
			name = strings.TrimSuffix(n, " --\n")
			line = ""
		}
		out[name] += line
	}
	return out
}

// join is the inverse of split for the sections these tests use.
func join(ar map[string]string) string {
	text := ar[""]
	for _, name := range []string{"facts.json", "in.ir", "out.ir"} {
		if body, ok := ar[name]; ok {
			text += "-- " + name + " --\n" + body
		}
	}
	return text
}

// evaluate calls every entry function and returns the results and what the
// storages hold afterwards.
func evaluate(m *ir.Module) map[string][]float64 {
	if m.Mesh != nil {
		return evaluateRanks(m)
	}
	out := map[string][]float64{}
	in := ir.NewInterp(m, env)
	fill(m, in.Storage)
	in.Refresh()
	for _, f := range m.Funcs {
		if !f.Entry {
			continue
		}
		for i, r := range in.Call(f.Name, inputs(f)...) {
			out[f.Name+"."+string(rune('0'+i))] = slices.Clone(r.F)
		}
	}
	for _, s := range m.Storages {
		if s.Kind != ir.Grad || m.Storage(s.Attrs.Str("of")).Trainable {
			out["$"+s.Name] = in.Storage[s.Name].F
		}
	}
	return out
}

// evaluateRanks does the same on all ranks of a mesh. Those of axis data have the
// same rows, of which each counts its share.
func evaluateRanks(m *ir.Module) map[string][]float64 {
	out := map[string][]float64{}
	one := m.Clone()
	for _, s := range one.Storages {
		s.Type = s.Type.Whole()
	}
	from := ir.NewInterp(one, env)
	fill(one, from.Storage)
	ranks := ir.NewRanks(m, func(int) ir.Env { return env })
	ranks.Load(from)
	data := m.Mesh.Axis(ir.Data) * m.Mesh.Axis(ir.Optimizer)
	entry := func(rank int, name string) *ir.Func { // each stage has its own
		if f := m.Func(name); f != nil {
			return f
		}
		return m.Func(fmt.Sprintf("%s.%d", name, m.Mesh.Coord(rank, ir.Stage)))
	}
	for _, f := range m.Funcs {
		name, stage, _ := strings.Cut(f.Name, ".")
		if !f.Entry || stage > "0" {
			continue
		}
		got, err := ranks.Call(func(rank int) string { return entry(rank, name).Name }, func(rank int) []*ir.Array {
			f := entry(rank, name)
			args := inputs(f)
			for i, p := range f.Params {
				if p.Name == "weights" {
					for k := range args[i].F {
						args[i].F[k] /= float64(data)
					}
				}
			}
			return args
		})
		if err != nil {
			panic(err)
		}
		for i, v := range f.Results {
			sum := slices.Clone(got[0][i].F)
			add := func(axis string) {
				for _, rank := range m.Mesh.Group(0, axis)[1:] {
					for k, x := range got[rank][i].F {
						sum[k] += x
					}
				}
			}
			for _, axis := range []string{ir.Data, ir.Optimizer} {
				if v.Type.On(axis) == ir.IsSum {
					add(axis)
				}
			}
			if stage == "0" {
				add(ir.Stage)
			}
			out[name+"."+string(rune('0'+i))] = sum
		}
	}
	for _, s := range m.Storages {
		if s.Kind != ir.Grad || m.Storage(s.Attrs.Str("of")).Trainable {
			whole, apart := ranks.Gather(s)
			if apart != 0 {
				panic("$" + s.Name + " differs between ranks")
			}
			out["$"+s.Name] = whole.F
		}
	}
	return out
}
