package weights

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"

	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/claims"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/llama2c"
	"lorac/runtime/weights/naming"
)

// maxConfig is the greatest length of a config beside weights, in bytes; real
// ones have some kilobytes.
const maxConfig = 1 << 20

// Claims lists what the files at a path say of the model whose weights they
// hold: metadata and headers, config.json or params.json beside them, and the
// tensors of set, which is the path's when it is open, else nil.
func Claims(path string, set Set) ([]claims.Claim, error) {
	var list []claims.Claim
	for _, read := range []func(string) ([]claims.Claim, error){claimsOfGGUF, claimsOfLlama2c, claimsBeside} {
		more, err := read(path)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	if set != nil {
		list = append(list, claimsOfTensors(path, set)...)
	}
	return list, nil
}

// claimsBeside reads the configs in the directory of the weights.
func claimsBeside(path string) ([]claims.Claim, error) {
	dir := path
	if info, err := os.Stat(path); err != nil || !info.IsDir() {
		dir = filepath.Dir(path)
	}
	var list []claims.Claim
	for _, f := range []struct {
		name string
		read func(file string, text []byte) ([]claims.Claim, error)
	}{{"params.json", claims.Meta}, {"config.json", claims.HuggingFace}, {"generation_config.json", claims.Generation}} {
		file := filepath.Join(dir, f.name)
		info, err := configAt(file)
		if err != nil {
			return nil, err
		}
		if info == nil {
			continue
		}
		if info.Size() > maxConfig {
			return nil, fmt.Errorf("%s has %d bytes, which is no config of a model", file, info.Size())
		}
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		more, err := f.read(filepath.ToSlash(file), text)
		if err != nil {
			return nil, err
		}
		list = append(list, more...)
	}
	claims.Ends(list)
	return list, nil
}

// configAt is the file of a config; nil where there is none. What has its name and cannot
// be read is an error: it would be passed over in silence.
func configAt(file string) (os.FileInfo, error) {
	info, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		if target, err := os.Readlink(file); err == nil {
			return nil, fmt.Errorf("%s is a link to %s, which is not there", file, target)
		}
		return nil, nil
	}
	switch {
	case err != nil:
		return nil, err
	case info.IsDir():
		return nil, fmt.Errorf("%s is a directory, not a file", file)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no regular file", file)
	}
	return info, nil
}

// claimsOfLlama2c reads the header of a llama2.c file. It does not hold the base
// of the rotary frequencies nor epsilon.
func claimsOfLlama2c(path string) ([]claims.Claim, error) {
	if !strings.HasSuffix(path, ".bin") {
		return nil, nil
	}
	head, size, err := headOf(path)
	if err != nil || !llama2c.Is(head, size) || IsTorch(path) {
		return nil, nil // opening it says what is wrong
	}
	f, err := llama2c.Open(path)
	if err != nil {
		return nil, nil
	}
	defer f.Close()
	var list []claims.Claim
	for _, c := range []struct {
		key, name string
		value     any
	}{{"hidden_size", "dim", f.Dim}, {"intermediate_size", "hidden_dim", f.Hidden}, {"num_layers", "n_layers", f.Layers}, {"num_heads", "n_heads", f.Heads},
		{"n_kv_heads", "n_kv_heads", f.KVHeads}, {"vocab_size", "vocab_size", f.Vocab}, {"tie_word_embeddings", "shared_classifier", f.Shared},
		{"max_position_embeddings", "max_seq_len", f.SeqLen}} {
		list = append(list, claims.Claim{Key: c.key, Value: c.value, Place: claims.Place{File: path, Name: c.name}})
	}
	return list, nil
}

// claimsOfGGUF reads the metadata of a GGUF file.
func claimsOfGGUF(path string) ([]claims.Claim, error) {
	file := GGUF(path)
	if file == "" {
		return nil, nil
	}
	f, err := gguf.Open(file)
	if err != nil {
		return nil, nil // opening it says what is wrong
	}
	defer f.Close()
	return claims.GGUF(file, f.Meta, ropeFactors(f))
}

// ropeFactors are what the rotary frequencies are divided by, nil for nothing.
func ropeFactors(f *gguf.File) []float64 {
	t, ok := f.Tensor("rope_freqs.weight")
	if !ok || t.Type != "F32" {
		return nil
	}
	var out []float64
	for b := t.Data; len(b) >= 4; b = b[4:] {
		out = append(out, float64(f32At(b)))
	}
	return out
}

// claimsOfTensors are the sizes that shapes show, and whether the head is the
// embedding.
func claimsOfTensors(path string, set Set) []claims.Claim {
	var list []claims.Claim
	find := func(name string) (string, Header) {
		for _, n := range []string{naming.HF(name), name} {
			if h, ok := Describe(set, n); ok {
				return n, h
			}
		}
		return "", Header{}
	}
	shape := func(key, name string, value int) {
		list = append(list, claims.Claim{Key: key, Value: value, Shape: true, Place: claims.Place{File: path, Name: "shape of " + name}})
	}
	embedding, h := find("model.tok_embeddings.embedding_weight")
	if embedding == "" {
		return nil // it is no whole base
	}
	if last, _ := find("model.norm_out.weight"); last == "" {
		return nil // nor is a part of its layers
	}
	if len(h.Shape) == 2 {
		shape("vocab_size", embedding, h.Shape[0])
		shape("hidden_size", embedding, h.Shape[1])
	}
	layers := 0
	for _, n := range set.Names() {
		layers = max(layers, naming.Layer(n)+1)
	}
	if layers > 0 {
		list = append(list, claims.Claim{Key: "num_layers", Value: layers, Shape: true, Place: claims.Place{File: path, Name: "its layers"}})
	}
	if gate, h := find("model.layers.0.feed_forward.w1.weight"); len(h.Shape) == 2 {
		shape("intermediate_size", gate, h.Shape[0])
	}
	for _, b := range []struct{ key, name string }{{"qkv_has_bias", "attention.wq"}, {"qkv_has_bias", "attention.wk"}, {"qkv_has_bias", "attention.wv"}, {"qkv_has_bias", "attention.w_qkv"},
		{"attn_proj_has_bias", "attention.wo"}, {"mlp_has_bias", "feed_forward.w1"}, {"mlp_has_bias", "feed_forward.w2"}, {"mlp_has_bias", "feed_forward.w3"}, {"mlp_has_bias", "feed_forward.w_gate_hidden"}} {
		if name, layer := biasIn(set, layers, b.name); name != "" {
			list = append(list, claims.Claim{Key: b.key, Value: true, Shape: true, Place: claims.Place{File: path, Name: fmt.Sprintf("the bias of layer %d, %s", layer, name)}})
		}
	}
	list = append(list, claimsOfTables(path, set)...)
	tied := func(value bool, name string) {
		list = append(list, claims.Claim{Key: "tie_word_embeddings", Value: value, Place: claims.Place{File: path, Name: name}})
	}
	switch head, _ := find("lm_head.weight"); {
	case head == "":
		tied(true, "no lm_head.weight")
	case !Equal(set, head, embedding):
		tied(false, head+", which is not "+embedding)
	}
	return list
}

// biasIn finds the bias of a linear that is not all zero, in whichever layer.
func biasIn(set Set, layers int, linear string) (name string, layer int) {
	for i := range layers {
		mf := fmt.Sprintf("model.layers.%d.%s.bias", i, linear)
		for _, n := range []string{naming.HF(mf), mf} {
			if _, ok := Describe(set, n); ok && n != "" && !AllZero(set, n) {
				return n, i
			}
		}
	}
	return "", 0
}

// claimsOfTables are the tables of rotary frequencies that a checkpoint holds, each once:
// most have one a layer.
func claimsOfTables(path string, set Set) (list []claims.Claim) {
	said := map[string]bool{}
	for _, n := range set.Names() {
		if !strings.HasSuffix(n, "rotary_emb.inv_freq") && n != "rope.freqs" {
			continue
		}
		t, ok := set.Tensor(n)
		if !ok || said[string(t.Data)] || len(said) > 3 {
			continue
		}
		said[string(t.Data)] = true
		table := claims.Freqs{DType: t.DType}
		for b := t.Data; len(b) > 0; {
			switch {
			case t.DType == "F32" && len(b) >= 4:
				table.List, b = append(table.List, float64(f32At(b))), b[4:]
			case t.DType == "F64" && len(b) >= 8:
				table.List, b = append(table.List, math.Float64frombits(binary.LittleEndian.Uint64(b))), b[8:]
			case t.DType == "BF16" && len(b) >= 2:
				table.List, b = append(table.List, float64(math.Float32frombits(uint32(binary.LittleEndian.Uint16(b))<<16))), b[2:]
			case t.DType == "F16" && len(b) >= 2:
				table.List, b = append(table.List, half(binary.LittleEndian.Uint16(b))), b[2:]
			default:
				b = nil
			}
		}
		if len(table.List) > 0 {
			list = append(list, claims.Claim{Key: "inv_freq", Value: table, Place: claims.Place{File: path, Name: n}})
		}
	}
	return list
}

// half is a number of F16.
func half(h uint16) float64 {
	exponent, fraction, sign := int(h>>10&31), float64(h&1023), 1.0
	if h&0x8000 != 0 {
		sign = -1
	}
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		return sign * math.Inf(1)
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// Equal reports whether two tensors of a set are the same bytes.
func Equal(set Set, a, b string) bool {
	if Same(set, a, b) {
		return true
	}
	x, ok1 := Describe(set, a)
	y, ok2 := Describe(set, b)
	if !ok1 || !ok2 || x.DType != y.DType || fmt.Sprint(x.Shape) != fmt.Sprint(y.Shape) {
		return false
	}
	p, q := bytesOf(set, a, x), bytesOf(set, b, y)
	if len(p) != len(q) {
		return false
	}
	const step = 1 << 24
	for at := 0; at < len(p); at += step {
		end := min(at+step, len(p))
		if !bytes.Equal(p[at:end], q[at:end]) {
			return false
		}
		mmap.Release(p[at:end]) // so that what is compared is not counted as memory
		mmap.Release(q[at:end])
	}
	return true
}

func bytesOf(set Set, name string, h Header) []byte {
	if len(h.Chunks) == 1 {
		return h.Chunks[0]
	}
	t, _ := set.Tensor(name)
	return t.Data
}

// f32OfF64 rounds.
func f32OfF64(b []byte) []byte {
	out := make([]byte, len(b)/2)
	for i := 0; i+8 <= len(b); i += 8 {
		x := math.Float64frombits(binary.LittleEndian.Uint64(b[i:]))
		binary.LittleEndian.PutUint32(out[i/2:], math.Float32bits(float32(x)))
	}
	return out
}

func f32At(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }
