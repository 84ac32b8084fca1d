package rt

import (
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// The sizes of a model with a frozen base: vocabulary, width and rank.
const vocab, width, rank = 12, 32, 2

// The tensors of its base, as MindFormers names them, and of its adapter.
const (
	embedName = "model.tok_embeddings.embedding_weight"
	queryName = "model.layers.0.attention.wq.weight"
	normName  = "model.norm_out.weight"
	factorA   = "model.layers.0.attention.wq.mindpet_delta_lora_a"
	factorB   = "model.layers.0.attention.wq.mindpet_delta_lora_b"
)

// adapted is a model written by hand: a frozen base and an adapter on its one
// linear. For an input x, the embedding of a token, and a target t
//
//	y = n ∘ (W·x) + s·B·A·x,  loss = ½(y[t] − t/4)²
type adapted struct {
	embed, w       [][]float32
	norm           []float32
	a, b           *Stack
	gradA, gradB   *Stack
	stateA, stateB *Stack
	gradN, stateN  *Stack // where the norm trains
	n              *Stack
	scale          float32
	logits         kernels.Mat
	key            Mat // a cache, where texts are generated
}

// y is the output t of the token's input, and A·x.
func (m *adapted) y(token, t int32) (y float32, ax [rank]float32) {
	x := m.embed[token]
	for j, v := range x {
		y += m.w[t][j] * v
		for r := range rank {
			ax[r] += m.a.Data[r*width+j] * v
		}
	}
	y *= m.norm[t]
	for r := range rank {
		y += m.scale * m.b.Data[int(t)*rank+r] * ax[r]
	}
	return y, ax
}

func (m *adapted) loss(b *MicroBatch) float64 {
	sum := 0.0
	for i, row := range b.Rows {
		y, _ := m.y(b.Tokens[row], b.Targets[i])
		d := float64(y) - float64(b.Targets[i])/4
		sum += d * d / 2 * float64(b.Weights[i])
	}
	return sum
}

func (m *adapted) step(b *MicroBatch) float64 {
	for i, row := range b.Rows {
		x, t := m.embed[b.Tokens[row]], b.Targets[i]
		y, ax := m.y(b.Tokens[row], t)
		d := (y - float32(t)/4) * b.Weights[i]
		if m.gradN != nil {
			for j, v := range x {
				m.gradN.Data[t] += d * m.w[t][j] * v
			}
		}
		d *= m.scale
		for r := range rank {
			at := int(t)*rank + r
			m.gradB.Data[at] += d * ax[r]
			if m.gradA != nil {
				for j, v := range x {
					m.gradA.Data[r*width+j] += d * m.b.Data[at] * v
				}
			}
		}
	}
	return m.loss(b)
}

// descend is a step of momentum.
func descend(p, grad, state *Stack, lr float64) (square float64) {
	for i := range len(p.Names) * p.Rows * p.Cols {
		g := grad.Data[i]
		square += float64(g) * float64(g)
		state.Data[i] = state.Data[i]*0.5 + g
		p.Data[i] -= float32(lr) * state.Data[i]
		grad.Data[i] = 0
	}
	return square
}

func (m *adapted) update(lr float64) float64 {
	square := descend(m.b, m.gradB, m.stateB, lr)
	if m.gradA != nil {
		square += descend(m.a, m.gradA, m.stateA, lr)
	}
	if m.gradN != nil {
		square += descend(m.n, m.gradN, m.stateN, lr)
	}
	return math.Sqrt(square)
}

// next gives the likeliest id after the last token: that of the nearest output.
func (m *adapted) next(b *MicroBatch) Mat {
	for t := range int32(vocab) {
		y, _ := m.y(b.Tokens[len(b.Tokens)-1], t)
		m.logits.Data[t] = y
	}
	return m.logits
}

// rowsOf reads a matrix as a kernel would.
func rowsOf(w kernels.Weight) (out [][]float32) {
	for i := range w.Rows {
		out = append(out, make([]float32, w.Cols))
		w.Row(out[i], i)
	}
	return out
}

// shapeOf says which model a body is of.
type shapeOf struct {
	fixed  bool   // A does not train
	norm   bool   // the norm trains
	linear string // w_qkv for one that joins three; "" for wq
	look   func(r *Run, m *adapted)
}

// body does what an emitted program of the model does.
func (s shapeOf) body(r *Run) error {
	m := &adapted{scale: 1}
	if l := r.job.LoRA; l.Rank > 0 {
		m.scale = float32(l.Alpha) / float32(l.Rank)
	}
	embed := r.Embedding(embedName, vocab, width)
	name, rows := queryName, width
	if s.linear != "" {
		name, rows = "model.layers.0.attention."+s.linear+".weight", 3*width
	}
	w := r.Weight(name, rows, width)
	if s.norm {
		m.n = r.Trainable([]string{normName}, width, 0, Init{Kind: "ones"})
		m.norm, m.gradN, m.stateN = m.n.Data, r.Grad(m.n), r.State(m.n, "v")
	} else {
		m.norm = r.Vector(normName, width)
	}
	if a := Names(factorA[:len("model.layers.")]+"%d"+factorA[len("model.layers.0"):], 0, 0); s.fixed {
		m.a = r.Fixed(a, rank, width, Init{Kind: "normal", Bound: 0.5})
	} else {
		m.a = r.Trainable(a, rank, width, Init{Kind: "normal", Bound: 0.5})
		m.gradA, m.stateA = r.Grad(m.a), r.State(m.a, "v")
	}
	m.b = r.Trainable([]string{factorB}, width, rank, Init{Kind: "zeros"})
	m.gradB, m.stateB = r.Grad(m.b), r.State(m.b, "v")
	m.logits = r.Arena(4*vocab).Mat(0, 1, vocab)
	m.key = r.Cache(8, width)
	if err := r.Loaded(); err != nil {
		return err
	}
	m.embed, m.w = rowsOf(embed), rowsOf(w)
	r.Generator(m.next, nil)
	if s.look != nil {
		s.look(r, m)
	}
	switch r.Mode() {
	case Generate:
		return r.Predict()
	case Eval:
		return r.Evaluate(m.loss)
	}
	if err := r.Begin(m.loss); err != nil {
		return err
	}
	for r.Next() {
		norm := 0.0
		for _, b := range r.MicroBatches() {
			r.Add(m.step(b))
		}
		if r.Ready() {
			norm = m.update(r.LR())
		}
		r.Done(norm, m.loss)
	}
	return r.Finish(m.loss)
}

// blob is a tensor in a file.
type blob struct {
	dtype string
	shape []int
	data  []byte
}

// f32 is a tensor whose element i is a number of no pattern, different by name.
func f32(name string, shape ...int) blob {
	n := 1
	for _, d := range shape {
		n *= d
	}
	x := make([]float32, n)
	Init{Kind: "normal", Bound: 0.4}.fill(x, name, 3)
	return blob{"F32", shape, peft.Bytes(x)}
}

// tensors is the base, under Hugging Face's names.
func tensors() map[string]blob {
	return map[string]blob{
		"model.embed_tokens.weight":              f32(embedName, vocab, width),
		"model.layers.0.self_attn.q_proj.weight": f32(queryName, width, width),
		"model.norm.weight":                      f32(normName, width),
	}
}

// write writes a safetensors file.
func write(t *testing.T, path string, tensors map[string]blob) string {
	t.Helper()
	var entries []safetensors.Entry
	for _, name := range slices.Sorted(maps.Keys(tensors)) {
		x := tensors[name]
		entries = append(entries, safetensors.Entry{Name: name, DType: x.dtype, Shape: x.shape, Write: safetensors.Bytes(x.data)})
	}
	if err := safetensors.Write(path, entries, nil); err != nil {
		t.Fatal(err)
	}
	return path
}

// adaptedJob is toyJob with a base and an adapter.
func adaptedJob(t *testing.T) *Job {
	t.Helper()
	j := toyJob(t)
	j.Output = t.TempDir()
	j.LoadCheckpoint = write(t, filepath.Join(t.TempDir(), "base.safetensors"), tensors())
	j.LoRA = LoRA{Rank: rank, Alpha: 4, Targets: []string{"wq"}}
	j.Schedule.LR = 0.02
	return j
}

// must is execute that succeeds.
func must(t *testing.T, j *Job, body func(*Run) error, args ...string) string {
	t.Helper()
	said, err := execute(j, body, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, said)
	}
	return said
}

// refused is execute that fails with words and a code.
func refused(t *testing.T, j *Job, body func(*Run) error, code int, words string, args ...string) {
	t.Helper()
	said, err := execute(j, body, args...)
	if exit.Code(err) != code || err == nil || !strings.Contains(err.Error(), words) {
		t.Errorf("code %d: %v, want %d and %q\n%s", exit.Code(err), err, code, words, said)
	}
}

// wordsIn checks that a run says words.
func wordsIn(t *testing.T, said string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("%q is not said in\n%s", w, said)
		}
	}
}
