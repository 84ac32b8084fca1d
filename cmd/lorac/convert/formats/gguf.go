package formats

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/weights/claims"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/modeldir"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// adapterTemplate puts the chat template that an adapter was trained with in place of the
// base's.
func (s *Source) adapterTemplate(vocab []gguf.KV) ([]gguf.KV, error) {
	if s.AdapterDir == "" {
		return vocab, nil
	}
	text, err := modeldir.ChatTemplate(s.AdapterDir)
	if text == "" || err != nil {
		return vocab, err
	}
	const key = "tokenizer.chat_template"
	vocab = slices.DeleteFunc(vocab, func(kv gguf.KV) bool { return kv.Key == key })
	return append(vocab, gguf.KV{Key: key, Value: text}), nil
}

// modelOfGGUF reads the metadata of a model.
func modelOfGGUF(f *gguf.File) Model {
	m := Unknown()
	arch, _ := f.Meta["general.architecture"].(string)
	whole := func(key string) int { n, _ := f.Int(key); return n }
	m.Hidden, m.FFN, m.Layers = whole(arch+".embedding_length"), whole(arch+".feed_forward_length"), whole(arch+".block_count")
	m.Heads, m.KVHeads, m.HeadDim = whole(arch+".attention.head_count"), whole(arch+".attention.head_count_kv"), whole(arch+".attention.key_length")
	m.MaxPosition = whole(arch + ".context_length")
	m.Eps, _ = f.Meta[arch+".attention.layer_norm_rms_epsilon"].(float64)
	m.Theta, _ = f.Meta[arch+".rope.freq_base"].(float64)
	if m.Eps != 0 {
		m.Eps = shortest(m.Eps)
	}
	if m.HeadDim == 0 && m.Heads > 0 && m.Hidden%m.Heads == 0 {
		m.HeadDim = m.Hidden / m.Heads
	}
	_, head := f.Tensor("output.weight")
	m.Tied = !head
	for key, id := range map[string]*int{"tokenizer.ggml.bos_token_id": &m.BOS, "tokenizer.ggml.eos_token_id": &m.EOS} {
		if n, ok := f.Int(key); ok {
			*id = n
		}
	}
	return m
}

// shortest is the decimal that an f32 was written as: 1e-5, not 9.99999974e-6.
func shortest(x float64) float64 {
	var y float64
	fmt.Sscan(fmt.Sprint(float32(x)), &y)
	return y
}

// writeGGUF writes a model of llama.cpp: matrices as they are stored or as
// DType says, norms in F32, with the tokenizer and the chat template beside the source.
func writeGGUF(s *Source, out string, o Options) ([]string, error) {
	m := &s.Model
	if filepath.Ext(out) != ".gguf" {
		return nil, fmt.Errorf("-o %s: the name of a GGUF file ends in .gguf", out)
	}
	if err := errors.Join(m.needHeads(), fresh(globEscape(out))); err != nil {
		return nil, err
	}
	meta, err := m.ggufMeta(o.Name)
	if err != nil {
		return nil, err
	}
	from := s.Path
	switch {
	case o.Tokenizer != "":
		from = o.Tokenizer
	case s.AdapterDir != "" && slices.ContainsFunc(s.Replaced(), func(name string) bool { return !strings.HasPrefix(name, "chat_template.") }):
		from = s.AdapterDir
	}
	vocab, note, err := GGUFTokenizer(from, m.Vocab)
	if err == nil && len(vocab) == 0 {
		if note == "" {
			note = from + " has no tokenizer"
		}
		err = fmt.Errorf("%s, which llama.cpp does not load\n  = help: put tokenizer.model or tokenizer.json of the model beside the weights, or give --tokenizer PATH", note)
	}
	if err != nil {
		return nil, err
	}
	if vocab, err = s.adapterTemplate(vocab); err != nil {
		return nil, err
	}
	var entries []gguf.Entry
	kinds := map[string]bool{}
	for _, name := range s.Names() {
		p, _ := s.Param(name)
		dtype := o.DType
		switch {
		case len(p.Shape) == 1:
			dtype = "F32"
		case dtype == "":
			dtype = p.DType
		}
		if len(p.Shape) == 2 {
			kinds[dtype] = true
		}
		their, _ := naming.Translate(name, naming.SchemeMindFormers, naming.SchemeGGUF)
		pairs := 0
		if m.paired(naming.SchemeGGUF, their) {
			pairs = m.HeadDim
		}
		entries = append(entries, gguf.Entry{Name: their, Type: dtype, Shape: p.Shape, Write: func(w io.Writer) error { return p.write(w, dtype, pairs) }})
	}
	if len(kinds) == 1 {
		for name, code := range map[string]uint32{"F32": 0, "F16": 1, "Q4_0": 2, "Q4_1": 3, "Q8_0": 7, "BF16": 32} { // llama.h, llama_ftype
			if kinds[name] {
				meta = append(meta, gguf.KV{Key: "general.file_type", Value: code})
			}
		}
	}
	for kind := range kinds {
		if InBlocks(kind) {
			meta = append(meta, gguf.KV{Key: "general.quantization_version", Value: uint32(2)})
			break
		}
	}
	if freqs := m.ropeFreqs(); freqs != nil {
		entries = append(entries, gguf.Entry{Name: "rope_freqs.weight", Type: "F32", Shape: []int{len(freqs)}, Write: func(w io.Writer) error {
			_, err := w.Write(peft.Bytes(freqs))
			return err
		}})
	}
	if note != "" {
		s.Notes = append(s.Notes, note)
	}
	return []string{out}, gguf.Write(out, append(meta, vocab...), entries)
}

// ggufArch is the architecture of llama.cpp that computes the model: llama has all
// biases, and rotary pairs; qwen2 has those of query, key and value, and halves.
func (m *Model) ggufArch() string {
	if m.qwen2() {
		return "qwen2"
	}
	return "llama"
}

func (m *Model) ggufMeta(name string) ([]gguf.KV, error) {
	u := func(n int) uint32 { return uint32(n) }
	context := m.MaxPosition
	if context == 0 {
		context = 2048
	}
	if name == "" {
		name = m.ggufArch()
	}
	arch := m.ggufArch()
	meta := []gguf.KV{
		{Key: "general.architecture", Value: arch}, {Key: "general.type", Value: "model"}, {Key: "general.name", Value: name},
		{Key: arch + ".context_length", Value: u(context)}, {Key: arch + ".embedding_length", Value: u(m.Hidden)},
		{Key: arch + ".block_count", Value: u(m.Layers)}, {Key: arch + ".feed_forward_length", Value: u(m.FFN)},
		{Key: arch + ".attention.head_count", Value: u(m.Heads)}, {Key: arch + ".attention.head_count_kv", Value: u(m.KVHeads)},
		{Key: arch + ".attention.layer_norm_rms_epsilon", Value: float32(m.eps())},
		{Key: arch + ".rope.dimension_count", Value: u(m.HeadDim)}, {Key: arch + ".rope.freq_base", Value: float32(m.theta())},
		{Key: arch + ".vocab_size", Value: u(m.Vocab)},
	}
	if m.Heads*m.HeadDim != m.Hidden {
		meta = append(meta, gguf.KV{Key: arch + ".attention.key_length", Value: u(m.HeadDim)}, gguf.KV{Key: arch + ".attention.value_length", Value: u(m.HeadDim)})
	}
	scaling, err := m.GGUFScaling()
	return append(meta, scaling...), err
}

// method is how the rotary embedding is scaled: rope_type, or type as it was spelled before.
func (m *Model) method() string {
	for _, key := range []string{"rope_type", "type"} {
		if s, ok := m.Scaling[key].(string); ok {
			if s == "pi" { // MindFormers' name
				return "linear"
			}
			return s
		}
	}
	return ""
}

// scalingKeys are the numbers of each method that a GGUF file can say; those with a value
// must have it, as llama.cpp does.
var scalingKeys = map[string]map[string]float64{
	"linear": {"factor": 0},
	"llama3": {"factor": 0, "low_freq_factor": 0, "high_freq_factor": 0, "original_max_position_embeddings": 0},
	"yarn":   {"factor": 0, "original_max_position_embeddings": 0, "beta_fast": 32, "beta_slow": 1, "mscale": 1},
}

// GGUFScaling is the scaling of the rotary embedding in metadata; that of llama3 is the
// tensor ropeFreqs.
func (m *Model) GGUFScaling() ([]gguf.KV, error) {
	if m.Scaling == nil {
		return nil, nil
	}
	method := m.method()
	known := scalingKeys[method]
	for key, value := range m.Scaling {
		x, number := value.(float64)
		must, there := known[key]
		switch {
		case key == "rope_type" || key == "type" || key == "rope_theta" || value == nil:
		case key == "mscale_all_dim" && number && x == 0 && known != nil: // 0: it does nothing
		case !number || !there || must != 0 && x != must:
			return nil, m.unscaled()
		}
	}
	for key, must := range known {
		if _, there := m.Scaling[key]; !there && must == 0 {
			return nil, m.unscaled()
		}
	}
	factor := gguf.KV{Key: m.ggufArch() + ".rope.scaling.factor", Value: float32(m.number("factor"))}
	switch method {
	case "linear":
		return []gguf.KV{{Key: m.ggufArch() + ".rope.scaling.type", Value: "linear"}, factor}, nil
	case "yarn":
		return []gguf.KV{{Key: m.ggufArch() + ".rope.scaling.type", Value: "yarn"}, factor,
			{Key: m.ggufArch() + ".rope.scaling.original_context_length", Value: uint32(m.number("original_max_position_embeddings"))}}, nil
	case "llama3": // without a type llama.cpp passes over the length, by which lorac reads the tensor
		return []gguf.KV{{Key: m.ggufArch() + ".rope.scaling.original_context_length", Value: uint32(m.number("original_max_position_embeddings"))}}, nil
	}
	return nil, m.unscaled()
}

func (m *Model) number(key string) float64 { x, _ := m.Scaling[key].(float64); return x }

// ropeFreqs is what llama3 divides the rotary frequencies by; nil for other methods.
func (m *Model) ropeFreqs() (freqs []float32) {
	if m.Scaling == nil || m.method() != "llama3" {
		return nil
	}
	factors := map[string]float64{}
	for key := range scalingKeys["llama3"] {
		factors[key] = m.number(key)
	}
	for _, x := range claims.Llama3(m.HeadDim, m.theta(), factors) {
		freqs = append(freqs, float32(x))
	}
	return freqs
}
