package build

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"

	"lorac/codegen"
	"lorac/compiler/cost"
	"lorac/ir"
)

// Graph is a compiled module to look at: what it computes, takes and became.
type Graph struct {
	Name     string           `json:"name"`
	Source   string           `json:"source"`
	YAML     string           `json:"yaml,omitempty"`
	Tokens   int              `json:"tokens"`
	FLOPs    float64          `json:"flops"`
	Saved    int              `json:"saved"`
	Arena    int              `json:"arena"`
	Passes   []GraphPass      `json:"passes"`
	Texts    []string         `json:"texts"` // of modules, by GraphPass.Text
	Funcs    []GraphFunc      `json:"funcs"`
	Storages []GraphStorage   `json:"storages"`
	Memory   []GraphMemory    `json:"memory"`
	Go       []GraphFile      `json:"go"`
	Work     []GraphWork      `json:"work"`
	Missing  string           `json:"missing,omitempty"` // why there is no program
	of       map[*ir.Func]int // index of Funcs
}

// GraphPass is what a pass left.
type GraphPass struct {
	Name       string  `json:"name"`
	Text       int     `json:"text"`
	Rewrites   int     `json:"rewrites"`
	Statements int     `json:"statements"`
	FLOPs      float64 `json:"flops"`
	Saved      int     `json:"saved"`
}

// GraphFunc is a function.
type GraphFunc struct {
	Name  string         `json:"name"`
	Doc   string         `json:"doc,omitempty"`
	Head  string         `json:"head"`
	Entry bool           `json:"entry"`
	Calls int            `json:"calls"` // of a step
	FLOPs float64        `json:"flops"` // of a call, without the functions that it calls
	Kept  int            `json:"kept"`  // bytes that a call leaves for its backward
	Go    *codegen.Place `json:"go,omitempty"`
	Stmts []GraphStmt    `json:"stmts"`
}

// GraphStmt is a statement.
type GraphStmt struct {
	Text    string         `json:"text"`
	Op      string         `json:"op"`
	Callee  string         `json:"callee,omitempty"`
	Formula string         `json:"formula,omitempty"`
	FLOPs   float64        `json:"flops"`
	Bytes   int            `json:"bytes"` // of its results
	Kept    []string       `json:"kept,omitempty"`
	Line    int            `json:"line,omitempty"` // of the config
	Go      *codegen.Place `json:"go,omitempty"`
}

// GraphStorage is a storage.
type GraphStorage struct {
	Kind    string `json:"kind"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Tensors int    `json:"tensors"`
	Bytes   int    `json:"bytes"`
	Trains  bool   `json:"trains"`
	Line    int    `json:"line,omitempty"`
}

// GraphMemory is what an entry holds of the arena while it runs, a point a statement.
type GraphMemory struct {
	Entry  string       `json:"entry"`
	Points [][4]float64 `json:"points"` // FLOPs until its end, bytes, index of the function, layer (-1: none)
}

// GraphFile is an emitted file.
type GraphFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
}

// GraphWork is the FLOPs of a step by group.
type GraphWork struct {
	Group string  `json:"group"`
	FLOPs float64 `json:"flops"`
}

// mostYAML bounds the config that a page holds.
const mostYAML = 4 << 20

// GraphOf compiles what a source says for a target, as Dump does, and gathers it all.
func GraphOf(s Source, t Target) (*Graph, error) {
	g := &Graph{Texts: []string{}, Go: []GraphFile{}, of: map[*ir.Func]int{}}
	index := map[string]int{}
	s.After = func(pass string, m *ir.Module) {
		if pass == "model" { // of the last compilation
			g.Passes = nil
		}
		text := m.String()
		at, ok := index[text]
		if !ok {
			at = len(g.Texts)
			index[text], g.Texts = at, append(g.Texts, text)
		}
		c := cost.Count(m)
		g.Passes = append(g.Passes, GraphPass{Name: pass, Text: at, Statements: c.Statements, FLOPs: c.FLOPs, Saved: c.KeptBytes})
	}
	r, err := s.Compile(t)
	if err != nil {
		return nil, err
	}
	for _, step := range r.Steps {
		for i := range g.Passes {
			if g.Passes[i].Name == step.Name {
				g.Passes[i].Rewrites = step.Rewrites
			}
		}
	}
	g.compact()
	g.fill(r.Module)
	if s.From == "" {
		if info, err := os.Stat(s.Config); err == nil && info.Mode().IsRegular() && info.Size() <= mostYAML {
			text, err := os.ReadFile(s.Config)
			if err != nil {
				return nil, err
			}
			g.YAML = strings.ToValidUTF8(string(text), "\uFFFD")
		}
	}
	return g, nil
}

// compact drops the texts of compilations that were given up.
func (g *Graph) compact() {
	texts, at := []string{}, map[int]int{}
	for i := range g.Passes {
		p := &g.Passes[i]
		n, ok := at[p.Text]
		if !ok {
			n = len(texts)
			at[p.Text], texts = n, append(texts, g.Texts[p.Text])
		}
		p.Text = n
	}
	g.Texts = texts
}

func (g *Graph) fill(m *ir.Module) {
	env := cost.LargestMicroBatch(m)
	g.Name, g.Source, g.Tokens, g.Saved, g.Arena = m.Name, filepath.Base(m.Source), env["T"], cost.SavedBytes(m, env), m.Arena()
	for _, w := range cost.Work(cost.Root(m), env) {
		g.Work = append(g.Work, GraphWork{w.Group, w.FLOPs})
		g.FLOPs += w.FLOPs
	}
	sort.SliceStable(g.Work, func(i, j int) bool { return g.Work[i].FLOPs > g.Work[j].FLOPs })
	files, funcs, stmts, err := codegen.Lines(m)
	if err != nil {
		g.Missing = err.Error()
	}
	names := []string{}
	for name := range files {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		g.Go = append(g.Go, GraphFile{name, string(files[name])})
	}
	calls := callsOf(cost.Root(m))
	for _, f := range m.Funcs {
		g.of[f] = len(g.Funcs)
		lines := strings.Split(strings.TrimSuffix(f.String(), "\n"), "\n")
		x := GraphFunc{Name: f.Name, Doc: f.Doc, Head: lines[0], Entry: f.Entry, Calls: calls[f], Stmts: []GraphStmt{}}
		if p, ok := funcs[f]; ok {
			x.Go = &p
		}
		kept := map[*ir.Value]bool{}
		for _, v := range f.Keep {
			kept[v] = true
			x.Kept += v.Type.Bytes(env)
		}
		for i, s := range f.Body {
			y := GraphStmt{Text: strings.TrimSpace(lines[i+1]), Op: s.Op.Name, Formula: s.Formula(), FLOPs: flopsOf(s, env), Line: s.Pos.Line}
			if s.Callee != nil {
				y.Callee = s.Callee.Name
			}
			for _, v := range s.Results {
				if v.Type.Kept == nil {
					y.Bytes += v.Type.Bytes(env)
				}
				if kept[v] {
					y.Kept = append(y.Kept, v.Name)
				}
			}
			if p, ok := stmts[s]; ok {
				y.Go = &p
			}
			x.FLOPs += y.FLOPs
			x.Stmts = append(x.Stmts, y)
		}
		g.Funcs = append(g.Funcs, x)
	}
	for _, s := range m.Storages {
		name := s.Name
		if s.Stack != nil {
			name += fmt.Sprintf("[%d..%d]", s.Stack.Lo, s.Stack.Hi)
		}
		g.Storages = append(g.Storages, GraphStorage{s.Kind.String(), name, s.Type.String(), s.Count(), s.Count() * s.Type.Bytes(nil), s.Trainable, s.Pos.Line})
	}
	for _, f := range m.Funcs {
		if points := g.overTime(m, f, env); slices.ContainsFunc(points, func(p [4]float64) bool { return p[1] > 0 }) {
			g.Memory = append(g.Memory, GraphMemory{f.Name, points})
		}
	}
}

// callsOf is how often one call of the root calls each function.
func callsOf(root *ir.Func) map[*ir.Func]int {
	calls := map[*ir.Func]int{}
	var walk func(f *ir.Func, times int)
	walk = func(f *ir.Func, times int) {
		calls[f] += times
		for _, s := range f.Body {
			if s.Callee != nil {
				walk(s.Callee, times*s.Range.Len())
			}
		}
	}
	if root != nil {
		walk(root, 1)
	}
	return calls
}

func flopsOf(s *ir.Stmt, env ir.Env) (n float64) {
	if s.Op.Cost != nil {
		for _, w := range s.Op.Cost(s, env) {
			n += w.FLOPs
		}
	}
	return n
}

// overTime is what an entry holds of the arena at each statement that runs: the scratch
// that is read later, and the records of layers from their forward to their backward.
func (g *Graph) overTime(m *ir.Module, entry *ir.Func, env ir.Env) (points [][4]float64) {
	if !entry.Entry {
		return nil
	}
	l, flops, saved := m.Layout(entry), 0.0, 0
	point := func(f *ir.Func, s *ir.Stmt, layer, bytes int) {
		flops += flopsOf(s, env)
		points = append(points, [4]float64{flops, float64(bytes), float64(g.of[f]), float64(layer)})
	}
	outer := liveBytes(entry, env)
	for k, s := range entry.Body {
		f := s.Callee
		if f == nil {
			point(entry, s, -1, saved+outer[k])
			continue
		}
		inner, turns := liveBytes(f, env), 0
		r := l.Record(f)
		if r != nil && r.Lo < 0 {
			turns = r.Stride * r.Count
		}
		if r != nil {
			turns += r.CarryStride * r.CarryCount
		}
		step := 1
		if s.Range.Hi < s.Range.Lo {
			step = -1
		}
		for i := s.Range.Lo; ; i += step {
			if r != nil && r.Lo >= 0 {
				saved += r.Stride
			}
			for n, t := range f.Body {
				point(f, t, i, saved+turns+outer[k]+inner[n])
			}
			if f.Of != "" {
				if of := l.Record(m.Func(f.Of)); of != nil && of.Lo >= 0 {
					saved = max(saved-of.Stride, 0)
				}
			}
			if i == s.Range.Hi {
				break
			}
		}
	}
	return points
}

// liveBytes is how many bytes of its frame a function holds at each statement: those of
// values that are made by then and read then or later. Values may share bytes.
func liveBytes(f *ir.Func, env ir.Env) []int {
	last := map[*ir.Value]int{}
	for k, s := range f.Body {
		for _, v := range s.Results {
			last[v] = k
		}
		for _, a := range s.Args {
			if a.Value != nil {
				last[a.Value] = k
			}
		}
	}
	for _, v := range append(append([]*ir.Value{}, f.Results...), f.Keep...) {
		last[v] = len(f.Body)
	}
	out := make([]int, len(f.Body))
	type span struct{ from, to int }
	for k := range f.Body {
		var spans []span
		for _, s := range f.Body[:k+1] {
			for _, v := range s.Results {
				if v.Place != nil && v.Place.Region == "frame" && last[v] >= k {
					spans = append(spans, span{v.Place.Offset, v.Place.Offset + v.Type.Bytes(env)})
				}
			}
		}
		sort.Slice(spans, func(i, j int) bool { return spans[i].from < spans[j].from })
		end := 0
		for _, x := range spans {
			if x.to > end {
				out[k] += x.to - max(x.from, end)
				end = x.to
			}
		}
	}
	return out
}
