package rt

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"unsafe"

	"lorac/kernels"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// Stack is one storage of the optimizer's world: the f32 tensors of one
// parameter in all layers, in one piece.
type Stack struct {
	Names      []string // MindFormers names, one per layer
	Rows, Cols int
	Data       []float32
	Vector     bool
	grad       *Stack
}

// Mat is the tensor of layer i.
func (s *Stack) Mat(i int) kernels.Mat {
	n := s.Rows * s.Cols
	return kernels.MatOf(s.Data[i*n:(i+1)*n], s.Rows, s.Cols)
}

// Vec is the tensor of layer i as a vector.
func (s *Stack) Vec(i int) []float32 { return s.Mat(i).Data }

// loader collects what the model asked for and what went wrong.
type loader struct {
	set    weights.Set
	path   string   // where the set was opened
	resume string   // the checkpoint of a run that it is
	base   []stored // what does not train, when it is to be saved
	used   map[string]bool
	params []*Stack
	fixed  []*Stack          // adapters that do not train
	states map[string]*Stack // by kind + "." + first name
	frozen int               // parameters
	faults []string
}

func (l *loader) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// tensor finds a parameter under its Hugging Face or MindFormers name.
func (l *loader) tensor(name string, shape ...int) (weights.Tensor, bool) {
	if l.set == nil {
		return weights.Tensor{}, false
	}
	for _, n := range []string{naming.HF(name), name} {
		t, ok := l.set.Tensor(n)
		if !ok {
			continue
		}
		l.used[n] = true
		if fmt.Sprint(t.Shape) != fmt.Sprint(shape) {
			l.fault("%s has shape %v, the config makes it %v", n, t.Shape, shape)
		}
		return t, true
	}
	return weights.Tensor{}, false
}

func (l *loader) missing(name string) {
	hf := naming.HF(name)
	if hf == "" {
		hf = name
	}
	if l.set == nil {
		if len(l.faults) == 0 {
			l.fault("the frozen base needs weights: give --load_checkpoint, a Hugging Face directory, a .safetensors or a .ckpt file")
		}
		return
	}
	if name == "lm_head.weight" {
		l.fault("%s is missing; if the head shares the embedding, set tie_word_embeddings: True", hf)
		return
	}
	l.fault("%s is missing", hf)
}

var dtypes = map[string]kernels.DType{"F32": kernels.F32, "F16": kernels.F16, "BF16": kernels.BF16,
	"Q8_0": kernels.Q8_0, "Q4_0": kernels.Q4_0, "Q4_1": kernels.Q4_1, "Q4_K": kernels.Q4_K, "Q6_K": kernels.Q6_K}

// Weight is a frozen matrix, mapped from the checkpoint as it is stored.
func (r *Run) Weight(name string, rows, cols int) kernels.Weight {
	w := r.load.matrix(name, rows, cols)
	r.load.frozen += rows * cols
	r.load.base = append(r.load.base, stored{name, []int{rows, cols}, w})
	if r.job.Compute == "int8" && naming.Layer(name) >= 0 && len(r.load.faults) == 0 {
		bytes := r.k.Int8(w)
		mmap.Release(w.Stored())
		return bytes
	}
	return w
}

// Embedding is a frozen matrix of which a pass needs a few rows only. They are
// read from the file one by one: pages of a mapping would come in as many at
// once as the system likes, and nobody could say before what a run takes.
func (r *Run) Embedding(name string, rows, cols int) kernels.Weight {
	w := r.Weight(name, rows, cols)
	if len(r.load.faults) > 0 {
		return w
	}
	file := mmap.Reader(w.Stored())
	if file == nil {
		return w
	}
	mmap.Apart(w.Stored())
	path, _ := mmap.At(uintptr(unsafe.Pointer(&w.Stored()[0])))
	return w.ReadBy(func(row []byte, i int) {
		if _, err := file.ReadAt(row, int64(i)*int64(len(row))); err != nil {
			r.unreadable(path, fmt.Sprintf(" (%v)", err))
		}
	})
}

func (l *loader) matrix(name string, rows, cols int) kernels.Weight {
	if parts := naming.Parts(name); parts != nil {
		if t, ok := l.tensor(name, rows, cols); !ok {
			return l.joined(parts, rows, cols)
		} else {
			return l.weight(t, rows, cols)
		}
	}
	t, ok := l.tensor(name, rows, cols)
	if !ok {
		l.missing(name)
		return kernels.Weight{Rows: rows, Cols: cols}
	}
	return l.weight(t, rows, cols)
}

func (l *loader) weight(t weights.Tensor, rows, cols int) kernels.Weight {
	d, ok := dtypes[t.DType]
	if !ok {
		l.fault("%s is stored as %s; F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q4_K and Q6_K are read", t.Name, t.DType)
		return kernels.Weight{Rows: rows, Cols: cols}
	}
	w, err := kernels.WeightFromBytes(t.Data, d, rows, cols)
	if err != nil {
		return kernels.Weight{Rows: rows, Cols: cols} // the shape was reported
	}
	if n := weights.Pairs(l.set, t.Name); n > 0 && rows%n == 0 {
		w = w.Paired(n)
	}
	return w
}

// joined copies the parts of a matrix that the checkpoint stores apart.
func (l *loader) joined(parts []string, rows, cols int) kernels.Weight {
	var data []byte
	dtype := ""
	for _, p := range parts {
		t, ok := l.anyShape(p)
		if !ok {
			l.missing(p)
			return kernels.Weight{Rows: rows, Cols: cols}
		}
		if weights.Pairs(l.set, t.Name) > 0 {
			l.fault("%s has its rows in pairs, and cannot be joined with others (qkv_concat) as it is; lorac convert can write it anew", t.Name)
		}
		if dtype != "" && dtype != t.DType {
			l.fault("%s is %s, the matrix beside it %s", t.Name, t.DType, dtype)
		}
		dtype = t.DType
		data = append(data, t.Data...)
	}
	t := weights.Tensor{Name: strings.Join(parts, "+"), DType: dtype, Data: data}
	if d, ok := dtypes[dtype]; ok && len(data) != rows*cols*d.Size() {
		l.fault("%s have %d bytes, %d×%d were due", t.Name, len(data), rows, cols)
	}
	return l.weight(t, rows, cols)
}

func (l *loader) anyShape(name string) (weights.Tensor, bool) {
	if l.set == nil {
		return weights.Tensor{}, false
	}
	for _, n := range []string{naming.HF(name), name} {
		if t, ok := l.set.Tensor(n); ok {
			l.used[n] = true
			return t, true
		}
	}
	return weights.Tensor{}, false
}

// Vector is a frozen vector, as f32.
func (r *Run) Vector(name string, n int) []float32 {
	l := r.load
	l.frozen += n
	t, ok := l.tensor(name, n)
	if !ok {
		l.missing(name)
		return make([]float32, n)
	}
	x, err := peft.Floats(t.DType, t.Data)
	if err != nil || len(x) != n {
		return make([]float32, n)
	}
	l.base = append(l.base, stored{name, []int{n}, kernels.MatOf(x, 1, n).Weight()})
	if d, ok := dtypes[t.DType]; ok {
		if w, err := kernels.WeightFromBytes(t.Data, d, 1, n); err == nil {
			l.base[len(l.base)-1].w = w
		}
	}
	return x
}

// Trainable is a parameter that trains, in all its layers: from the checkpoint
// where it is there, else as init says. cols 0 makes vectors of rows elements.
func (r *Run) Trainable(names []string, rows, cols int, init Init) *Stack {
	l := r.load
	s := &Stack{Names: names, Rows: rows, Cols: max(cols, 1), Vector: cols == 0}
	n := rows * s.Cols
	s.Data = r.slab(len(names) * n)
	for i, name := range names {
		x := s.Data[i*n : (i+1)*n]
		shape := []int{rows, cols}
		if s.Vector {
			shape = shape[:1]
		}
		if t, ok := l.tensor(name, shape...); ok {
			if s.Vector {
				if have, err := peft.Count(t.DType, t.Data); err == nil && have == n {
					peft.Into(x, t.DType, t.Data)
				}
			} else {
				l.copyTo(x, l.weight(t, rows, cols))
			}
			continue
		}
		adapter := strings.Contains(name, "mindpet_delta_lora")
		if parts := naming.Parts(name); parts != nil && l.set != nil && !adapter {
			l.copyTo(x, l.joined(parts, rows, cols))
			continue
		}
		if l.set != nil && !adapter {
			l.missing(name)
			continue
		}
		if hf := naming.HF(name); hf != "" {
			name = hf
		}
		init.fill(x, name, r.job.Seed)
	}
	l.params = append(l.params, s)
	return s
}

// copyTo converts a stored matrix, of which nothing stays in memory but the copy.
func (l *loader) copyTo(x []float32, w kernels.Weight) {
	if len(l.faults) > 0 {
		return
	}
	for i := range w.Rows {
		w.Row(x[i*w.Cols:(i+1)*w.Cols], i)
	}
	mmap.Release(w.Stored())
}

// Fixed is an adapter matrix that does not train, made as Trainable makes it.
func (r *Run) Fixed(names []string, rows, cols int, init Init) *Stack {
	s := r.Trainable(names, rows, cols, init)
	r.load.params = r.load.params[:len(r.load.params)-1]
	r.load.fixed = append(r.load.fixed, s)
	r.load.frozen += len(s.Data)
	return s
}

// Grad is where the gradient of a trainable parameter is summed.
func (r *Run) Grad(p *Stack) *Stack {
	g := &Stack{Names: p.Names, Rows: p.Rows, Cols: p.Cols, Vector: p.Vector, Data: r.slab(len(p.Data))}
	p.grad = g
	return g
}

// State is what the optimizer remembers of a trainable parameter.
func (r *Run) State(p *Stack, kind string) *Stack {
	s := &Stack{Names: p.Names, Rows: p.Rows, Cols: p.Cols, Vector: p.Vector, Data: r.slab(len(p.Data))}
	r.load.states[kind+"."+p.Names[0]] = s
	return s
}

// SideState is what the optimizer remembers of the rows or the columns of a
// trainable matrix: n numbers a layer.
func (r *Run) SideState(p *Stack, kind string, n int) *Stack {
	s := &Stack{Names: p.Names, Rows: n, Cols: 1, Vector: true, Data: r.slab(len(p.Names) * n)}
	r.load.states[kind+"."+p.Names[0]] = s
	return s
}

// Loaded ends the loading: everything the model asked for must be there, and
// everything in the checkpoint must have been asked for. All faults are
// reported together.
func (r *Run) Loaded() {
	l := r.load
	if l.set != nil {
		for _, n := range l.set.Names() {
			t, _ := weights.Describe(l.set, n)
			if !l.used[n] && !naming.Derived(n) && !naming.Bookkeeping(n, t.Shape) && !(n == "lm_head.weight" && r.tied()) {
				l.fault("%s is in the checkpoint, the config has no place for it", n)
			}
		}
	}
	if len(l.faults) > 0 {
		sort.Strings(l.faults)
		n := len(l.faults)
		if n > 12 {
			l.faults = append(l.faults[:12], fmt.Sprintf("… and %d more", n-12))
		}
		r.fail(1, "the checkpoint does not fit the config:\n  %s\n  = help: the shapes come from model.model_config; check hidden_size, num_layers, n_kv_heads, vocab_size, intermediate_size%s", strings.Join(l.faults, "\n  "), weights.Hint(l.path))
	}
	if r.opts.LoadAdapter != "" {
		r.loadAdapter()
	}
	if r.mode == Train {
		r.announce()
		if err := unused(r.metricsPath()); err != nil {
			r.fail(1, "%v", err)
		}
		r.resume()
	} else if r.opts.LoadAdapter == "" && len(l.params) > 0 && r.job.LoRA.Rank > 0 && !l.adapted() {
		r.say("no --load_adapter: the adapter is as before training, so the base model alone answers")
	}
	settle()
}

// adapted reports whether the base checkpoint holds an adapter.
func (l *loader) adapted() bool {
	for name := range l.used {
		if _, _, ok := naming.SplitLoRA(name, naming.SchemeMindFormers); ok {
			return true
		}
	}
	return false
}

// tied reports whether the head shares the embedding: then nothing asked for it.
func (r *Run) tied() bool { return !r.load.used["lm_head.weight"] }

// loadAdapter replaces the start of the adapter matrices.
func (r *Run) loadAdapter() {
	path := r.opts.LoadAdapter
	a, err := peft.Load(path)
	if errors.Is(err, peft.ErrNoConfig) {
		r.say("%s has no adapter_config.json beside it: lora_alpha %g of the config is used", path, r.job.LoRA.Alpha)
		a, err = peft.LoadBare(path, r.job.LoRA.Alpha)
	}
	if err != nil {
		r.fail(1, "cannot load the adapter: %v", err)
	}
	scale := 0.0
	if r.job.LoRA.Rank > 0 {
		scale = r.job.LoRA.Alpha / float64(r.job.LoRA.Rank)
	}
	used := map[string]bool{}
	for _, s := range slices.Concat(r.load.params, r.load.fixed) {
		for i, name := range s.Names {
			if !strings.Contains(name, "mindpet_delta_lora") {
				continue
			}
			t, its, from, err := a.Find(name)
			if err != nil {
				r.fail(1, "the adapter %s does not fit the config: %v", path, err)
			}
			if t.Rows != s.Rows || t.Cols != s.Cols {
				r.fail(1, "the adapter's %s is %d×%d, the config makes it %d×%d", naming.HF(from[0]), t.Rows, t.Cols, s.Rows, s.Cols)
			}
			for _, n := range from {
				used[n] = true
			}
			copy(s.Mat(i).Data, t.Data)
			if strings.HasSuffix(name, "_b") && its != scale {
				// Keep the adapter's effect where its scale differs from the config's.
				r.k.Scale(s.Mat(i), s.Mat(i), float32(its/scale))
			}
		}
	}
	for name := range a.Tensors {
		if !used[name] {
			r.fail(1, "the adapter %s adapts %s, the config does not; add it to target_modules", path, naming.HF(name))
		}
	}
}

// Names fills the layers from lo to hi into a name.
func Names(format string, lo, hi int) []string {
	var out []string
	for i := lo; i <= hi; i++ {
		out = append(out, fmt.Sprintf(format, i))
	}
	return out
}

// RopeTable is the cosines or sines of the rotary embedding.
func (r *Run) RopeTable(sine bool, positions int, spec kernels.RopeSpec) kernels.Mat {
	cos, sin := kernels.NewMat(positions, spec.HeadDim/2), kernels.NewMat(positions, spec.HeadDim/2)
	kernels.RopeTable(cos, sin, spec)
	if sine {
		return sin
	}
	return cos
}
