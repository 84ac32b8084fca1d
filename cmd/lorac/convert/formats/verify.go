package formats

import (
	"errors"
	"fmt"
	"math"
	"slices"

	"lorac/kernels"
)

// Difference is how far the logits of two models differ on some tokens.
type Difference struct {
	Tokens    int
	Greatest  float64 // |merged − (base + adapter)|
	Effect    float64 // |(base + adapter) − base|: what the adapter does
	Logit     float64 // the greatest of base + adapter
	Tolerance float64 // of Greatest, by the type of the merged matrices
}

// Tolerances are what rounding the merged matrices to a type may change in a
// logit, as a share of the greatest: some hundred times the unit of the type,
// for the sums of many layers.
var Tolerances = map[string]float64{"F32": 1e-4, "F64": 1e-4, "F16": 1e-2, "BF16": 8e-2}

// Expected is what a base and the adapter applied separately, x ↦ W·x +
// scale·B·(A·x), answer to some tokens.
type Expected struct {
	model   Model
	adapter *Adapter
	tokens  []int32
	logits  kernels.Mat
	d       Difference // but for what a merged model makes of it
}

// Expect computes the logits of n tokens, so that what a comparison needs is
// known to be there before there is a merged model. No adapter is merged into
// base. Scaling of the rotary embedding is left out, here and in Compare, since
// it changes nothing in whether they agree.
func Expect(base *Source, a *Adapter, n int) (*Expected, error) {
	if err := base.Model.needHeads(); err != nil {
		return nil, err
	}
	e := &Expected{model: base.Model, adapter: a, tokens: make([]int32, n), d: Difference{Tokens: n}}
	for i := range e.tokens { // spread over the vocabulary, always the same ones
		e.tokens[i] = int32((1 + i*7919) % base.Model.Vocab)
	}
	plain, err := base.logits(e.tokens, nil)
	if err != nil {
		return nil, err
	}
	if e.logits, err = base.logits(e.tokens, a); err != nil {
		return nil, err
	}
	for i := range n {
		for j, x := range e.logits.Row(i) {
			if j < plain.Cols { // a vocabulary that the adapter has grown
				e.d.Effect = math.Max(e.d.Effect, math.Abs(float64(x-plain.Row(i)[j])))
			}
			e.d.Logit = math.Max(e.d.Logit, math.Abs(float64(x)))
		}
	}
	if math.IsNaN(e.d.Logit) || math.IsInf(e.d.Logit, 0) {
		return nil, base.noNumbers()
	}
	return e, nil
}

// noNumbers is the error of logits that are no numbers, with the tensor that is the cause.
func (s *Source) noNumbers() error {
	for _, name := range s.Names() {
		p, _ := s.Param(name)
		if x, err := p.floats(); err == nil {
			if i := notFinite(x); i >= 0 {
				return fmt.Errorf("the logits are no numbers: %s of %s holds %v", p.Name, s.Path, x[i])
			}
		}
	}
	return errors.New("the logits are no numbers, though all weights are finite: some are far too large")
}

// notFinite is the index of the first number that is not finite, -1 for none.
func notFinite(x []float32) int {
	return slices.IndexFunc(x, func(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) })
}

// Compare holds the logits of a merged model, as it was written, against those.
func (e *Expected) Compare(written *Source) (*Difference, error) {
	m, d := &written.Model, e.d
	m.HeadDim, m.Heads, m.KVHeads, m.Eps, m.Theta = e.model.HeadDim, e.model.Heads, e.model.KVHeads, e.model.Eps, e.model.Theta
	merged, err := written.logits(e.tokens, nil)
	if err != nil {
		return nil, err
	}
	if len(merged.Data) != len(e.logits.Data) {
		return nil, fmt.Errorf("it has %d logits, base + adapter %d", merged.Cols, e.logits.Cols)
	}
	for i, x := range e.logits.Data {
		d.Greatest = math.Max(d.Greatest, math.Abs(float64(merged.Data[i]-x)))
	}
	share, a := 0.0, e.adapter
	var changed []string
	for i := range a.Linears {
		changed = append(changed, a.Linears[i].Name+".weight")
	}
	for name := range a.modules() {
		changed = append(changed, name)
	}
	for _, name := range changed {
		p, _ := written.Param(name)
		t, ok := Tolerances[p.DType]
		if !ok {
			return nil, fmt.Errorf("%s is stored as %s, for which no tolerance is stated", p.Name, p.DType)
		}
		share = max(share, t)
	}
	d.Tolerance = share * d.Logit
	if math.IsNaN(d.Greatest) {
		return nil, written.noNumbers()
	}
	return &d, nil
}

// weight is a matrix as the kernels take it, not copied.
func (f *forward) weight(name string) (kernels.Weight, error) {
	p, ok := f.param(name)
	if !ok {
		return kernels.Weight{}, fmt.Errorf("%s is missing", name)
	}
	return weightOf(p)
}

// forward computes one sequence.
type forward struct {
	s        *Source
	k        *kernels.Context
	adapters map[string]*Linear
	modules  map[string]Param // of the adapter, in the place of the base's
	err      error            // the first fault; nothing is computed after it
}

func (f *forward) param(name string) (Param, bool) {
	if p, ok := f.modules[name]; ok {
		return p, true
	}
	return f.s.Param(name)
}

// linear is x·Wᵀ and what the adapter adds.
func (f *forward) linear(x kernels.Mat, name string) kernels.Mat {
	if f.err != nil {
		return kernels.Mat{}
	}
	w, err := f.weight(name + ".weight")
	if err != nil {
		f.err = err
		return kernels.Mat{}
	}
	y := kernels.NewMat(x.Rows, w.Rows)
	f.k.MatMulNT(y, x, w)
	if l := f.adapters[name]; l != nil {
		a, b, err := l.factors()
		if err != nil {
			f.err = err
			return y
		}
		down := kernels.NewMat(x.Rows, a.Rows)
		f.k.MatMulNT(down, x, a.Weight())
		f.k.AddMatMulNT(y, down, b.Weight())
		by, err := l.turned(f.k, w, a, b)
		if err != nil {
			f.err = err
			return y
		}
		for i := range y.Rows {
			for j, x := range by {
				y.Row(i)[j] *= x
			}
		}
	}
	if p, ok := f.s.Param(name + ".bias"); ok {
		bias, err := p.floats()
		if err != nil || len(bias) != y.Cols {
			f.err = fmt.Errorf("%s of shape %v does not fit %d columns (%v)", p.Name, p.Shape, y.Cols, err)
			return y
		}
		f.k.AddBias(y, y, bias)
	}
	return y
}

func (f *forward) norm(x kernels.Mat, name string) kernels.Mat {
	y := kernels.NewMat(x.Rows, x.Cols)
	if f.err != nil {
		return y
	}
	p, ok := f.param(name)
	if !ok {
		f.err = fmt.Errorf("%s is missing", name)
		return y
	}
	w, err := p.floats()
	if err != nil || len(w) != x.Cols {
		f.err = fmt.Errorf("%s of shape %v does not fit a width of %d (%v)", name, p.Shape, x.Cols, err)
		return y
	}
	f.k.RMSNorm(y, make([]float32, x.Rows), x, w, float32(f.s.Model.eps()))
	return y
}

// logits are those of every token of one sequence: the model as Hugging Face
// has it, in f32.
func (s *Source) logits(tokens []int32, a *Adapter) (kernels.Mat, error) {
	f := &forward{s: s, k: kernels.New(0), adapters: map[string]*Linear{}, modules: a.modules()}
	defer f.k.Close()
	if a != nil {
		for i := range a.Linears {
			f.adapters[a.Linears[i].Name] = &a.Linears[i]
		}
	}
	m := &s.Model
	table, err := f.weight(embedding)
	if err != nil {
		return kernels.Mat{}, err
	}
	x := kernels.NewMat(len(tokens), m.Hidden)
	f.k.Embed(x, tokens, table)
	cos, sin := kernels.NewMat(len(tokens), m.HeadDim/2), kernels.NewMat(len(tokens), m.HeadDim/2)
	kernels.RopeTable(cos, sin, kernels.RopeSpec{HeadDim: m.HeadDim, Theta: m.theta(), Method: "none"})
	pos := make([]int32, len(tokens))
	for i := range pos {
		pos[i] = int32(i)
	}
	for i := range s.layers {
		p := fmt.Sprintf("model.layers.%d.", i)
		h := f.norm(x, p+"attention_norm.weight")
		q, k, v := f.linear(h, p+"attention.wq"), f.linear(h, p+"attention.wk"), f.linear(h, p+"attention.wv")
		if f.err != nil {
			return x, f.err
		}
		f.k.Rope(q, q, pos, cos, sin, m.HeadDim)
		f.k.Rope(k, k, pos, cos, sin, m.HeadDim)
		plus(x, f.linear(attend(q, k, v, m.HeadDim), p+"attention.wo"))
		h = f.norm(x, p+"ffn_norm.weight")
		gate, up := f.linear(h, p+"feed_forward.w1"), f.linear(h, p+"feed_forward.w3")
		if f.err != nil {
			return x, f.err
		}
		f.k.SwiGLU(gate, gate, up)
		plus(x, f.linear(gate, p+"feed_forward.w2"))
		if f.err != nil {
			return x, f.err
		}
	}
	x = f.norm(x, "model.norm_out.weight")
	if m.Tied {
		logits := kernels.NewMat(len(tokens), table.Rows)
		f.k.MatMulNT(logits, x, table)
		return logits, f.err
	}
	logits := f.linear(x, "lm_head")
	return logits, f.err
}

// plus: x += y; y is empty after a fault.
func plus(x, y kernels.Mat) {
	for i := range y.Data {
		x.Data[i] += y.Data[i]
	}
}

// attend is causal attention of one sequence, keys shared by groups of heads.
func attend(q, k, v kernels.Mat, d int) kernels.Mat {
	out := kernels.NewMat(q.Rows, q.Cols)
	group := q.Cols / k.Cols
	for h := range q.Cols / d {
		kh := h / group * d
		for i := range q.Rows {
			scores, most := make([]float64, i+1), math.Inf(-1)
			for j := range scores {
				for c := range d {
					scores[j] += float64(q.Row(i)[h*d+c]) * float64(k.Row(j)[kh+c])
				}
				scores[j] /= math.Sqrt(float64(d))
				most = math.Max(most, scores[j])
			}
			sum := 0.0
			for j := range scores {
				scores[j] = math.Exp(scores[j] - most)
				sum += scores[j]
			}
			for j, p := range scores {
				for c := range d {
					out.Row(i)[h*d+c] += float32(p / sum * float64(v.Row(j)[kh+c]))
				}
			}
		}
	}
	return out
}
