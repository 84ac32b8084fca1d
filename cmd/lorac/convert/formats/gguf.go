package formats

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/naming"
)

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
	from := s.Path
	if s.AdapterDir != "" && len(s.Replaced()) > 0 {
		from = s.AdapterDir
	}
	vocab, note, err := GGUFTokenizer(from, m.Vocab)
	if err != nil {
		return nil, err
	}
	s.Notes = append(s.Notes, note)
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

// GGUFScaling is the scaling of the rotary embedding, as far as a GGUF file without
// a tensor of frequencies can say it.
func (m *Model) GGUFScaling() ([]gguf.KV, error) {
	if m.Scaling == nil {
		return nil, nil
	}
	factor, ok := m.Scaling["factor"].(float64)
	if kind := m.Scaling["rope_type"]; kind != "linear" && m.Scaling["type"] != "linear" || !ok {
		return nil, m.unscaled()
	}
	return []gguf.KV{{Key: m.ggufArch() + ".rope.scaling.type", Value: "linear"}, {Key: m.ggufArch() + ".rope.scaling.factor", Value: float32(factor)}}, nil
}
