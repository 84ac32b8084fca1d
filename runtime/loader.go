package rt

import (
	"fmt"
	"slices"
	"sort"
	"strings"
	"unsafe"

	"lorac/kernels"
	"lorac/runtime/exit"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights"
	"lorac/runtime/weights/claims"
	"lorac/runtime/weights/naming"
)

// Loader is the weights of a run: the base checkpoint as it is mapped, and the
// memory of everything else. Emitted programs ask it for each storage of the
// model; what is wrong is collected and reported together by Loaded.
type Loader struct {
	job *Job
	k   *kernels.Context
	dev Device
	say func(format string, args ...any)

	set    weights.Set
	path   string // where the set was opened
	resume string // the checkpoint of a run that it is
	// stateless is the file of a directory of ranks that resuming was to take and that
	// holds weights alone.
	stateless string
	base      []stored // what does not train, when it is to be saved
	used      map[string]bool
	params    []*Stack
	grads     [][]float32       // the vectors that gradients are parts of
	gradsLeft []float32         // of the last one
	fixed     []*Stack          // adapters that do not train, and modules saved with them
	states    map[string]*Stack // by kind + "." + first name
	frozen    int               // parameters
	caches    bool              // texts are generated, so caches are needed

	ignoreBase bool                // differences of the base are noted only
	ignored    []claims.Difference // those

	rendering  rendering     // of the training data, for people who use the adapter
	unfinished func() string // how far the run is that exports, "" at its end; nil outside of training

	added   added    // tokens, and the tokenizer that they are added to
	grown   int      // entries of a vocabulary that is larger than the base's; else 0
	grew    []string // which parameters have more rows, in words
	fillers fillers  // of an adapter
	begun   bool     // the adapter is one that was loaded

	faults []string // of the checkpoint
	arena  int      // bytes of the activations, those that are never touched too
	err    error    // memory that could not be reserved
	free   []func() // give the memory back
	rope   kernels.RopeSpec
}

func newLoader(j *Job, k *kernels.Context, dev Device, say func(string, ...any)) *Loader {
	return &Loader{job: j, k: k, dev: dev, say: say, used: map[string]bool{}, states: map[string]*Stack{}}
}

// close gives back weights and memory.
func (l *Loader) close() {
	if l.set != nil {
		l.set.Close()
	}
	for _, free := range l.free {
		free()
	}
}

func (l *Loader) fault(format string, args ...any) {
	l.faults = append(l.faults, fmt.Sprintf(format, args...))
}

// tensor finds a parameter under its Hugging Face or MindFormers name.
func (l *Loader) tensor(name string, shape ...int) (weights.Tensor, bool) {
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

func (l *Loader) missing(name string) {
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

// Weight is a frozen matrix, mapped from the checkpoint as it is stored.
func (l *Loader) Weight(name string, rows, cols int) kernels.Weight {
	w := l.matrix(name, rows, cols)
	l.frozen += rows * cols
	l.base = append(l.base, stored{name, []int{rows, cols}, w})
	if layer := naming.Layer(name); l.job.Compute == "int8" && layer >= 0 && len(l.faults) == 0 && l.computes(layer) {
		bytes := l.k.Int8(w)
		mmap.Release(w.Stored())
		return bytes
	}
	return w
}

// computes reports whether this process computes with a layer: what it does not is
// described and compared, but takes no memory.
func (l *Loader) computes(layer int) bool {
	d, ok := l.dev.(interface{ Computes(layer int) bool })
	return !ok || d.Computes(layer)
}

// Embedding is a frozen matrix of which a micro-batch needs a few rows only.
// They are read from the file one by one: how many pages of a mapping come in
// around a row is the system's choice, which no plan could know.
func (l *Loader) Embedding(name string, rows, cols int) kernels.Weight {
	w := l.Weight(name, rows, cols)
	if len(l.faults) > 0 {
		return w
	}
	file := mmap.Reader(w.Stored())
	if file == nil {
		return w
	}
	mmap.ReadApart(w.Stored())
	at := uintptr(unsafe.Pointer(&w.Stored()[0]))
	return w.ReadBy(func(row []byte, i int) {
		if _, err := file.ReadAt(row, int64(i)*int64(len(row))); err != nil {
			panic(readFault{at, err})
		}
	})
}

func (l *Loader) matrix(name string, rows, cols int) kernels.Weight {
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

func (l *Loader) weight(t weights.Tensor, rows, cols int) kernels.Weight {
	d, ok := kernels.DTypeNamed(t.DType)
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

// joined copies the parts of a matrix that the checkpoint stores separately.
func (l *Loader) joined(parts []string, rows, cols int) kernels.Weight {
	var data []byte
	dtype := ""
	for _, p := range parts {
		t, ok := l.anyShape(p)
		if !ok {
			l.missing(p)
			return kernels.Weight{Rows: rows, Cols: cols}
		}
		if weights.Pairs(l.set, t.Name) > 0 {
			l.fault("%s has its rows in pairs, and cannot be joined with others (qkv_concat) as it is; lorac convert can write it again", t.Name)
		}
		if dtype != "" && dtype != t.DType {
			l.fault("%s is %s, the matrix next to it %s", t.Name, t.DType, dtype)
		}
		dtype = t.DType
		data = append(data, t.Data...)
	}
	t := weights.Tensor{Name: strings.Join(parts, "+"), DType: dtype, Data: data}
	if d, ok := kernels.DTypeNamed(dtype); ok && len(data) != rows*cols*d.Size() {
		l.fault("%s have %d bytes, %d×%d are expected", t.Name, len(data), rows, cols)
	}
	return l.weight(t, rows, cols)
}

func (l *Loader) anyShape(name string) (weights.Tensor, bool) {
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
func (l *Loader) Vector(name string, n int) []float32 {
	l.frozen += n
	x := make([]float32, n)
	w := l.vector(name, n)
	l.copyTo(x, w)
	l.base = append(l.base, stored{name, []int{n}, w})
	return x
}

// vector is a stored vector as a matrix of one column: its elements may be in rotary
// pairs, or in several tensors, as the rows of a matrix.
func (l *Loader) vector(name string, n int) kernels.Weight {
	if t, ok := l.tensor(name, n); ok {
		return l.weight(t, n, 1)
	}
	if parts := naming.Parts(name); parts != nil {
		return l.joined(parts, n, 1)
	}
	l.missing(name)
	return kernels.Weight{Rows: n, Cols: 1}
}

// Faulty reports whether something is wrong already, so that tensors may lack their
// data; Loaded tells what.
func (l *Loader) Faulty() bool { return l.err != nil || len(l.faults) > 0 }

// pull brings what trains, and with states also the optimizer's states, up to date
// with the device.
func (l *Loader) pull(states bool) {
	list := slices.Clone(l.params)
	if states {
		for _, s := range l.states {
			list = append(list, s)
		}
	}
	l.dev.Pull(list...)
}

// check reports everything that is wrong with the checkpoint: all that the model
// asked for must be there, and all that is there must have been asked for.
func (l *Loader) check() error {
	if l.err != nil {
		return l.err
	}
	var idle []string
	if l.set != nil {
		for _, n := range l.set.Names() {
			t, _ := weights.Describe(l.set, n)
			if !l.used[n] && !naming.Derived(n) && !naming.Bookkeeping(n, t.Shape) && !(n == "lm_head.weight" && l.sameHead()) {
				if weights.IdleBias(l.set, n) {
					idle = append(idle, n)
					continue
				}
				key := weights.PlaceOfBias(n)
				if key != "" {
					key = "; set " + key
				}
				l.fault("%s is in the checkpoint, the config has no place for it%s", n, key)
			}
		}
	}
	if len(idle) > 0 {
		l.say("%d biases that are all zero, as %s, are left out", len(idle), idle[0])
	}
	if len(l.faults) > 0 {
		sort.Strings(l.faults)
		n := len(l.faults)
		if n > 12 {
			l.faults = append(l.faults[:12], fmt.Sprintf("… and %d more", n-12))
		}
		return exit.Inputf("the checkpoint does not fit the config:\n  %s\n  = help: the shapes come from model.model_config; check hidden_size, num_layers, n_kv_heads, vocab_size, intermediate_size%s", strings.Join(l.faults, "\n  "), weights.Hint(l.path))
	}
	return nil
}

// sameHead reports whether a head in the checkpoint may be passed over: nothing
// asked for it, as the embedding is the head, and it is the embedding's bytes or
// the files of the base do not count.
func (l *Loader) sameHead() bool {
	if l.used["lm_head.weight"] {
		return false
	}
	if l.ignoreBase || len(l.faults) > 0 {
		return true
	}
	for _, n := range []string{"model.embed_tokens.weight", "model.tok_embeddings.embedding_weight"} {
		if l.used[n] {
			return weights.Equal(l.set, "lm_head.weight", n)
		}
	}
	return true
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
func (l *Loader) RopeTable(sine bool, positions int, spec kernels.RopeSpec) kernels.Mat {
	l.rope = spec
	cos, sin := kernels.NewMat(positions, spec.HeadDim/2), kernels.NewMat(positions, spec.HeadDim/2)
	kernels.RopeTable(cos, sin, spec)
	if sine {
		return sin
	}
	return cos
}
