package formats

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/weights"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/llama2c"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/sharded"
)

// Source is an open checkpoint of any format, its parameters by their
// MindFormers names, those of qkv_concat split.
type Source struct {
	Path string
	Dir  string // where config and tokenizer may be
	// AdapterDir is the directory of an adapter that is merged, "" without one. A
	// tokenizer that was saved with it is the one it was trained with.
	AdapterDir string
	Notes      []string // what to tell of what was written
	Model      Model
	Left       []string // names that have no place in a model: state of a run, tables
	Beside     []string // factors of an adapter that the file holds with the base
	Unwrapped  string   // what was taken off the names of wrappers, in words
	Noted      []string // what its files say that is not compared and could matter

	set    weights.Set
	layers int
	merged map[string]Param // what an adapter was added to
	vocab  int              // that an adapter has grown; 0: as the base has it
}

// notRanks refuses a checkpoint that is spread over ranks.
func notRanks(path string) error {
	if !weights.IsTree(path) {
		return nil
	}
	ranks, _ := sharded.RankDirs(path)
	return fmt.Errorf("%s holds %d ranks; make one file of them first: lorac convert layout --src %s --src_strategy STRATEGY -o FILE.ckpt", path, len(ranks), path)
}

// Open opens base weights. known is what the user says of the model, beyond
// what the files say; nil for nothing. Where the two, or two of the files,
// contradict each other, that is an error.
func Open(path string, known *Model) (*Source, error) { return OpenAs(path, known, false) }

// OpenAs is Open; with ignore what is known counts, and the config of the files
// where nothing is.
func OpenAs(path string, known *Model, ignore bool) (*Source, error) {
	info, err := weights.Stat(path)
	if err != nil {
		return nil, err
	}
	if err := notRanks(path); err != nil {
		return nil, err
	}
	s := &Source{Path: path, Dir: path, Model: Unknown()}
	if !info.IsDir() {
		s.Dir = filepath.Dir(path)
	}
	if known != nil {
		s.Model = *known
	} else if s.Model, err = s.about(); err != nil {
		return nil, err
	}
	if s.set, err = weights.OpenHeads(path, s.Model.HeadDim); err != nil {
		return nil, err
	}
	base, err := weights.AsBase(s.set, path)
	if err != nil {
		s.set.Close()
		return nil, err
	}
	s.set = base
	s.Unwrapped = weights.Unwrapped(s.set)
	if !ignore {
		if err := s.agree(known); err != nil {
			s.Close()
			return nil, err
		}
	}
	if err := s.account(); err != nil {
		s.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, nil
}

// about reads what a file says of its model itself, or the config next to it.
func (s *Source) about() (Model, error) {
	m := Unknown()
	if f, err := llama2c.Open(s.Path); err == nil {
		defer f.Close()
		m.Heads, m.KVHeads, m.HeadDim, m.MaxPosition, m.Theta, m.Eps, m.Tied = f.Heads, f.KVHeads, f.HeadDim(), f.SeqLen, 10000, 1e-5, f.Shared
		m.BOS, m.EOS = 1, 2
		return m, nil
	}
	path := s.Path
	if files, _ := filepath.Glob(filepath.Join(s.Path, "*.gguf")); len(files) == 1 {
		path = files[0]
	}
	if strings.HasSuffix(path, ".gguf") {
		f, err := gguf.Open(path)
		if err != nil {
			return m, err
		}
		defer f.Close()
		m := modelOfGGUF(f)
		m.Scaling, err = ggufScaling(path)
		return m, err
	}
	return configIn(s.Dir)
}

// account finds a place for every name.
func (s *Source) account() error {
	var unknown, biases []string
	for _, name := range s.set.Names() {
		h, _ := weights.Describe(s.set, name)
		mf := name
		if their := naming.MindFormers(name); their != "" {
			mf = their
		}
		_, _, adapter := naming.SplitLoRA(mf, naming.SchemeMindFormers)
		switch {
		case adapter:
			s.Beside = append(s.Beside, name)
		case naming.BiasKey(mf) != "":
			biases = append(biases, name)
		case naming.Known(mf, naming.SchemeMindFormers):
			s.layers = max(s.layers, naming.Layer(mf)+1)
		case naming.Derived(name) || naming.Bookkeeping(name, h.Shape):
			s.Left = append(s.Left, name)
		default:
			unknown = append(unknown, name)
		}
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%s has no place in a Llama", some(unknown))
	}
	if s.layers == 0 {
		return errors.New("it holds no layer of a Llama")
	}
	s.biases(biases)
	configured := s.Model.Heads > 0
	if err := s.Model.fit(s); err != nil {
		return err
	}
	switch _, ok := s.Param("lm_head.weight"); {
	case !ok && configured && !s.Model.Tied:
		return errors.New("lm_head.weight is missing, and the config does not say that the head is the embedding (tie_word_embeddings)")
	case !ok || weights.Same(s.set, "lm_head.weight", "model.embed_tokens.weight"):
		s.Model.Tied = true
	case s.Model.Tied: // the config's word counts, as in transformers
		s.Left = append(s.Left, "lm_head.weight")
	}
	for _, name := range s.Names() {
		if _, ok := s.Param(name); !ok {
			return fmt.Errorf("%s is missing", name)
		}
	}
	return nil
}

// biases finds out which linears have biases. Where no config says that they do, those
// that are all zero have no place: a model without them is the same.
func (s *Source) biases(names []string) {
	said, found := s.Model, map[string]bool{}
	key := func(name string) string {
		if their := naming.MindFormers(name); their != "" {
			name = their
		}
		return naming.BiasKey(name)
	}
	for _, name := range names {
		k := key(name)
		found[k] = found[k] || *said.bias(k) || !weights.AllZero(s.set, name)
	}
	var idle []string
	for _, name := range names {
		if k := key(name); found[k] {
			*s.Model.bias(k) = true
		} else {
			idle = append(idle, name)
		}
	}
	if len(idle) > 0 {
		s.Noted = append(s.Noted, fmt.Sprintf("biases that are all zero are left out: %s", some(idle)))
	}
}

// Names lists the parameters in the order of the network. That of a head that
// is the embedding is not among them.
func (s *Source) Names() []string {
	names := s.withBiases(naming.ParameterNames(s.layers, naming.SchemeMindFormers, false))
	if s.Model.Tied {
		names = slices.DeleteFunc(names, func(n string) bool { return n == "lm_head.weight" })
	}
	return names
}

func (s *Source) withBiases(names []string) []string {
	return naming.WithBiases(names, naming.SchemeMindFormers, func(bias string) bool { return *s.Model.bias(naming.BiasKey(bias)) })
}

// Param is a parameter: its bytes are asked for when they are needed.
type Param struct {
	Name    string
	DType   string // as safetensors or GGML spell it
	Shape   []int
	headDim int // rows of a head in rotary pairs; 0 if rows are not paired
	data    func() ([]byte, error)
}

// Param finds a parameter by its MindFormers name.
func (s *Source) Param(name string) (Param, bool) {
	if p, ok := s.merged[name]; ok {
		return p, true
	}
	for _, n := range []string{naming.HF(name), name} {
		if h, ok := weights.Describe(s.set, n); ok && n != "" {
			return Param{name, h.DType, h.Shape, weights.Pairs(s.set, n), func() ([]byte, error) {
				t, _ := s.set.Tensor(n)
				return t.Data, nil
			}}, true
		}
	}
	return s.part(name)
}

// part is a parameter that is in one of qkv_concat: some of its rows.
func (s *Source) part(name string) (Param, bool) {
	layer := naming.Layer(name)
	if layer < 0 {
		return Param{}, false
	}
	for _, joined := range []string{"attention.w_qkv.weight", "feed_forward.w_gate_hidden.weight", "attention.w_qkv.bias", "feed_forward.w_gate_hidden.bias"} {
		full := fmt.Sprintf("model.layers.%d.%s", layer, joined)
		at := slices.Index(naming.Parts(full), name)
		h, ok := weights.Describe(s.set, full)
		bias := strings.HasSuffix(joined, ".bias")
		if at < 0 || !ok || len(h.Shape) != 2 && !bias || len(h.Shape) != 1 && bias {
			continue
		}
		rows, width := h.Shape[0], s.Model.Hidden
		if !bias {
			width = h.Shape[1]
		}
		var bounds []int
		if strings.HasPrefix(joined, "attention.") {
			q := width // heads make up the width unless the config says another thing
			if s.Model.Heads > 0 && s.Model.HeadDim > 0 {
				q = s.Model.Heads * s.Model.HeadDim
			}
			bounds = []int{0, q, q + (rows-q)/2, rows}
		} else {
			bounds = []int{0, rows / 2, rows}
		}
		if !slices.IsSorted(bounds) || (rows-bounds[1])%(len(bounds)-2) != 0 {
			return Param{}, false
		}
		from, to := bounds[at], bounds[at+1]
		return Param{name, h.DType, append([]int{to - from}, h.Shape[1:]...), 0, func() ([]byte, error) {
			t, _ := s.set.Tensor(full)
			n := len(t.Data) / rows
			return t.Data[from*n : to*n], nil
		}}, true
	}
	return Param{}, false
}

// Close closes the files.
func (s *Source) Close() { s.set.Close() }

// some names the first few of a list.
func some(names []string) string {
	if len(names) > 3 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:3], ", "), len(names)-3)
	}
	return strings.Join(names, ", ")
}
