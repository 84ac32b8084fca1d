package bench

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"lorac/cmd/lorac/synthetic"
	"lorac/compiler/cost"
	"lorac/ir"
	"lorac/kernels"
	"lorac/runtime/rng"
	"lorac/runtime/sys/human"
)

// kernelRate is one kernel at one shape.
type kernelRate struct {
	Op      string  `json:"op"`
	Shape   string  `json:"shape"`
	Rows    int     `json:"rows"`
	Millis  float64 `json:"ms"`
	GFLOPS  float64 `json:"gflops,omitempty"`
	Peak    float64 `json:"fma_gflops,omitempty"` // sampled with it
	GBps    float64 `json:"gb_per_second,omitempty"`
	Share   float64 `json:"share"`
	ShareOf string  `json:"share_of"` // where nothing is multiplied, of the memory's copy rate
}

// What a share is one of.
const (
	ofPeak = "fma_peak"
	ofCopy = "copy_rate"
)

// kernels measures every different kernel call of a training step.
func (r *Report) kernels(m *ir.Module, rows []int) {
	missing := map[string]bool{}
	for _, n := range rows {
		env := benchEnv(n)
		seen := map[string]bool{}
		for _, f := range []*ir.Func{cost.Root(m), m.Func("update")} {
			cost.Each(f, func(s *ir.Stmt, _ int) {
				shape := shapeOf(s, env)
				if key := s.Op.Name + " " + shape; seen[key] {
					return
				} else {
					seen[key] = true
				}
				make := benchOps[s.Op.Name]
				if make == nil {
					missing[s.Op.Name] = true
					return
				}
				c := &benchCase{k: r.k, s: s, env: env}
				run := make(c)
				r.Kernels = append(r.Kernels, r.measure(s, env, shape, n, run))
			})
		}
	}
	for name := range missing {
		r.Missing = append(r.Missing, name)
	}
	sort.Strings(r.Missing)
}

// measure takes the median of paired samples: peak, kernel, peak.
func (r *Report) measure(s *ir.Stmt, env ir.Env, shape string, rows int, run func()) kernelRate {
	const rounds, least = 5, 20 * time.Millisecond
	run() // pages and code come in
	flops := costOf(s, env)
	var times, peaks, shares []float64
	for range rounds {
		before := r.samplePeak()
		n, start := 0, time.Now()
		for ; n == 0 || time.Since(start) < least; n++ {
			run()
		}
		t := time.Since(start).Seconds() / float64(n)
		peak := (before + r.samplePeak()) / 2
		times, peaks = append(times, t), append(peaks, peak)
		shares = append(shares, flops/1e9/t/peak)
	}
	k := kernelRate{Op: s.Op.Name, Shape: shape, Rows: rows, Millis: 1e3 * median(times)}
	if flops > 0 {
		k.GFLOPS, k.Peak, k.Share, k.ShareOf = flops/1e9/median(times), median(peaks), median(shares), ofPeak
		return k
	}
	k.GBps = movedBytes(s, env) / median(times) / 1e9
	k.Share, k.ShareOf = k.GBps/r.copyRate(), ofCopy
	return k
}

func costOf(s *ir.Stmt, env ir.Env) (flops float64) {
	if s.Op.Cost != nil {
		for _, w := range s.Op.Cost(s, env) {
			flops += w.FLOPs
		}
	}
	return flops
}

// movedBytes is every operand read once and every result written once; what
// an op changes counts twice, and of a table that is looked up only as much
// as comes out.
func movedBytes(s *ir.Stmt, env ir.Env) float64 {
	n, out := 0, 0
	for _, v := range s.Results {
		out += v.Type.Bytes(env)
	}
	for _, a := range s.Args {
		b := a.Type().Bytes(env)
		if s.Op.Name == "embed" && a.Storage != nil {
			b = min(b, out)
		}
		n += b
	}
	writes := s.Op.Writes
	if s.Op.WritesOf != nil {
		writes = s.Op.WritesOf(s)
	}
	for _, i := range writes {
		n += s.Args[i].Type().Bytes(env)
	}
	return float64(n + out)
}

// shapeOf writes the shapes of the operands, symbols replaced by their size.
func shapeOf(s *ir.Stmt, env ir.Env) string {
	if ir.IsLoRA(s) {
		return shapeOfLoRA(s, env)
	}
	var parts []string
	for _, a := range s.Args {
		t := a.Type()
		if t.Rank() < 2 && len(s.Args) > 1 && len(parts) > 0 {
			continue
		}
		var dims []string
		for _, d := range t.Shape {
			dims = append(dims, fmt.Sprint(env.Size(d)))
		}
		text := strings.Join(dims, "×")
		if t.DType != ir.F32 {
			text += " " + t.DType.String()
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, ", ")
	if t := s.Attrs.Str("trans"); t != "" {
		text += map[string]string{"rhs": " (x·wᵀ)", "lhs": " (dyᵀ·x)", "none": " (dy·w)"}[t]
	}
	if p := s.Attrs.Float("p"); p > 0 {
		text += fmt.Sprintf(", dropout %g", p)
	}
	return text
}

// shapeOfLoRA writes the rows, and the weight and the rank of each linear.
func shapeOfLoRA(s *ir.Stmt, env ir.Env) string {
	g := group(s)
	x := g.X
	if x == ir.None { // of plain linears the gradient reads none
		x = g.Linears[0].D
	}
	text := human.Count(env.Size(s.Args[x].Type().Shape[0]), "row")
	for _, l := range g.Linears {
		w := s.Args[l.W].Type()
		text += fmt.Sprintf(", %d×%d %s", w.Shape[0].N, w.Shape[1].N, w.DType)
		if l.Adapted {
			text += fmt.Sprintf(" + rank %d", s.Args[l.A].Type().Shape[0].N)
		}
	}
	if s.Op.Name != "lora_linear" && g.DX == ir.None {
		text += ", adapters only"
	}
	if g.Dropout > 0 {
		text += fmt.Sprintf(", dropout %g", g.Dropout)
	}
	return text
}

func median(x []float64) float64 {
	s := append([]float64(nil), x...)
	sort.Float64s(s)
	if n := len(s); n%2 == 0 && n > 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

// benchCase makes the operands of one statement.
type benchCase struct {
	k   *kernels.Context
	s   *ir.Stmt
	env ir.Env
}

func (c *benchCase) sizes(t ir.Type) (rows, cols int) {
	rows, cols = 1, 1
	if t.Rank() > 0 {
		rows = c.env.Size(t.Shape[0])
	}
	if t.Rank() > 1 {
		cols = c.env.Size(t.Shape[1])
	}
	return rows, cols
}

// mat is a matrix of plain small numbers.
func (c *benchCase) mat(t ir.Type) kernels.Mat {
	rows, cols := c.sizes(t)
	m := kernels.NewMat(rows, cols)
	synthetic.Fill(m.Data)
	return m
}

func (c *benchCase) in(i int) kernels.Mat  { return c.mat(c.s.Args[i].Type()) }
func (c *benchCase) out(i int) kernels.Mat { return c.mat(c.s.Results[i].Type) }
func (c *benchCase) vec(t ir.Type) []float32 {
	x := make([]float32, t.Elems(c.env))
	synthetic.Fill(x)
	return x
}

// weight is an operand in its stored type.
func (c *benchCase) weight(i int) kernels.Weight { return c.stored(c.s.Args[i].Type()) }

func (c *benchCase) stored(t ir.Type) kernels.Weight {
	rows, cols := c.sizes(t)
	if t.DType == ir.I8 {
		return inEightBits(c.k, rows, cols)
	}
	d := map[ir.DType]kernels.DType{ir.F32: kernels.F32, ir.F16: kernels.F16, ir.BF16: kernels.BF16, ir.Q8_0: kernels.Q8_0,
		ir.Q4_0: kernels.Q4_0, ir.Q4_1: kernels.Q4_1, ir.Q4_K: kernels.Q4_K, ir.Q6_K: kernels.Q6_K}[t.DType]
	var data []byte
	if d.Quantised() {
		data = make([]byte, rows*d.RowBytes(cols)) // all zero: as fast as any other numbers
	} else {
		x := make([]float32, rows*cols)
		synthetic.Fill(x)
		data = synthetic.Encode(x, strings.ToUpper(t.DType.String()))
	}
	w, err := kernels.WeightFromBytes(data, d, rows, cols)
	if err != nil {
		panic("BUG: bench: " + err.Error())
	}
	return w
}

// inEightBits is a weight as compute: int8 has it. Its memory is outside Go's
// heap and never comes back, so there is one of each shape, which nothing writes.
func inEightBits(k *kernels.Context, rows, cols int) kernels.Weight {
	shape := [2]int{rows, cols}
	w, ok := eightBits[shape]
	if !ok {
		full := kernels.NewMat(rows, cols)
		synthetic.Fill(full.Data)
		w = k.Int8(full.Weight())
		eightBits[shape] = w
	}
	return w
}

var eightBits = map[[2]int]kernels.Weight{}

// positions counts the rows, tokens are spread over the vocabulary.
func (c *benchCase) positions(i int) []int32 {
	x := make([]int32, c.s.Args[i].Type().Elems(c.env))
	for j := range x {
		x[j] = int32(j)
	}
	return x
}

func (c *benchCase) tokens(i, vocab int) []int32 {
	x := make([]int32, c.s.Args[i].Type().Elems(c.env))
	for j := range x {
		x[j] = int32(rng.Mix(uint64(j)) % uint64(vocab))
	}
	return x
}
