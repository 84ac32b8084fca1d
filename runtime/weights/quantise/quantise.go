// Package quantise rewrites a checkpoint as a GGUF file with block-quantised
// matrices of 8 or 4 bits. It must not know training, nor which tensors a model
// needs.
package quantise

import (
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"lorac/kernels"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights"
	"lorac/runtime/weights/claims"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
)

// Kinds of quantisation. int8 is Q8_0 throughout (8.5 bits a number). int4 is
// Q4_0 (4.5 bits) for the linears of the layers, and Q8_0 for the embedding and
// the output head, to which a model of small hidden size is most sensitive.
var Kinds = []string{"int8", "int4"}

// Type is the type a tensor gets: F32 for a vector, a quantised type for a matrix.
// A matrix that is quantised already, or whose rows are not a multiple of the
// block size, keeps the stored type. Types are spelt as in safetensors and GGML.
func Type(kind, name string, shape []int, stored string) string {
	d := kernels.Q8_0
	if kind == "int4" && strings.Contains(name, "layers.") {
		d = kernels.Q4_0
	}
	switch {
	case len(shape) == 1:
		return "F32"
	case !half(stored) && stored != "F32":
		return stored
	case len(shape) == 2 && kernels.CanQuantise(d, shape[1]):
		return d.String()
	}
	return stored
}

func quantised(stored string) bool { return strings.HasPrefix(stored, "Q") }

// Blocks counts the matrices of a checkpoint that are quantised already, by type.
// Such a checkpoint is used unchanged; other reports whether a type differs from
// the one that kind gives.
func Blocks(set weights.Set, kind string) (types map[string]int, other bool) {
	types = map[string]int{}
	for _, name := range set.Names() {
		t, _ := weights.Describe(set, name)
		if !quantised(t.DType) {
			continue
		}
		types[t.DType]++
		if hf := naming.HF(name); hf != "" {
			name = hf
		}
		other = other || t.DType != Type(kind, name, t.Shape, "F32")
	}
	return types, other
}

// Counts formats the number of tensors by type, as "8 Q8_0, 35 Q4_0".
func Counts(types map[string]int) string {
	var out []string
	for _, t := range slices.Sorted(maps.Keys(types)) {
		out = append(out, fmt.Sprintf("%d %s", types[t], t))
	}
	return strings.Join(out, ", ")
}

func half(stored string) bool { return stored == "F16" || stored == "BF16" }

// Model is the metadata of a GGUF file.
type Model struct {
	Name                                                  string
	Width, Hidden, Layers, Heads, KVHeads, Context, Vocab int
	Eps, Theta                                            float64
	Method                                                string             // of rotary scaling, as a trainer names it; "" is none
	More                                                  []gguf.KV          // tokenizer and chat template
	Factors                                               map[string]float64 // of the method
}

// scaling is the metadata of the method. llama3 has the tensor freqs.
func (m *Model) scaling(arch string) []gguf.KV {
	factor := gguf.KV{Key: arch + ".rope.scaling.factor", Value: float32(m.Factors["factor"])}
	switch m.Method {
	case "pi":
		return []gguf.KV{{Key: arch + ".rope.scaling.type", Value: "linear"}, factor}
	case "yarn":
		return []gguf.KV{{Key: arch + ".rope.scaling.type", Value: "yarn"}, factor,
			{Key: arch + ".rope.scaling.original_context_length", Value: uint32(m.Factors["original_max_position_embeddings"])}}
	case "llama3": // without a type llama.cpp passes over it; lorac reads the tensor by it
		return []gguf.KV{{Key: arch + ".rope.scaling.original_context_length", Value: uint32(m.Factors["original_max_position_embeddings"])}}
	}
	return nil
}

// theta is the base of the rotary frequencies, which NTK multiplies.
func (m *Model) theta() float64 {
	if m.Method == "ntk" {
		return m.Theta * m.Factors["factor"]
	}
	return m.Theta
}

// freqs is the tensor of what llama3 divides the rotary frequencies by.
func (m *Model) freqs() []gguf.Entry {
	if m.Method != "llama3" {
		return nil
	}
	var data []byte
	for _, x := range claims.Llama3(m.Width/m.Heads, m.Theta, m.Factors) {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(x)))
	}
	return []gguf.Entry{{Name: "rope_freqs.weight", Type: "F32", Shape: []int{len(data) / 4}, Write: func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	}}}
}

func (m *Model) meta(arch, kind string) []gguf.KV {
	file := map[string]uint32{"int8": 7, "int4": 2}[kind] // MOSTLY_Q8_0, MOSTLY_Q4_0
	u := func(n int) uint32 { return uint32(n) }
	return append([]gguf.KV{
		{Key: "general.architecture", Value: arch}, {Key: "general.type", Value: "model"}, {Key: "general.name", Value: m.Name},
		{Key: "general.file_type", Value: file}, {Key: "general.quantization_version", Value: uint32(2)},
		{Key: arch + ".context_length", Value: u(m.Context)}, {Key: arch + ".embedding_length", Value: u(m.Width)},
		{Key: arch + ".block_count", Value: u(m.Layers)}, {Key: arch + ".feed_forward_length", Value: u(m.Hidden)},
		{Key: arch + ".attention.head_count", Value: u(m.Heads)}, {Key: arch + ".attention.head_count_kv", Value: u(m.KVHeads)},
		{Key: arch + ".attention.layer_norm_rms_epsilon", Value: float32(m.Eps)},
		{Key: arch + ".rope.dimension_count", Value: u(m.Width / m.Heads)}, {Key: arch + ".rope.freq_base", Value: float32(m.theta())},
		{Key: arch + ".vocab_size", Value: u(m.Vocab)},
	}, append(m.scaling(arch), m.More...)...)
}

// Report summarises a written file.
type Report struct {
	Before, After int            // bytes of the tensors
	Types         map[string]int // tensors by type
	Left          []string       // matrices left unquantised: a row is not a multiple of the block size
	Kept          map[string]int // matrices that were quantised already, by type
	Error         float64        // relative root-mean-square error of the quantised elements
}

// Write writes the tensors of a checkpoint atomically, a few rows at a time; k is
// what it computes in. Names are Hugging Face's or MindFormers'.
func Write(k *kernels.Context, path string, set weights.Set, kind string, m Model) (*Report, error) {
	r := &Report{Types: map[string]int{}, Kept: map[string]int{}}
	arch := architecture(set)
	var entries []gguf.Entry
	var sum, wrong float64
	for _, name := range set.Names() {
		t, _ := set.Tensor(name)
		if naming.Derived(name) || naming.Bookkeeping(name, t.Shape) {
			continue
		}
		hf := name
		if n := naming.HF(name); n != "" {
			hf = n
		}
		out, ok := naming.Translate(hf, naming.SchemeHuggingFace, naming.SchemeGGUF)
		if !ok {
			return nil, fmt.Errorf("%s has no name in a GGUF file of a Llama", name)
		}
		x := &matrix{k: k, t: t, kind: Type(kind, hf, t.Shape, t.DType), sum: &sum, wrong: &wrong}
		if arch == "llama" && naming.SchemeGGUF.Paired(out) {
			x.pairs = m.Width / m.Heads
		}
		x.was = weights.Pairs(set, name)
		switch {
		case len(t.Shape) != 2 || x.kind != t.DType:
		case quantised(t.DType):
			r.Kept[t.DType]++
		default:
			r.Left = append(r.Left, name)
		}
		r.Before += len(t.Data)
		r.After += x.bytes()
		r.Types[x.kind]++
		entries = append(entries, gguf.Entry{Name: out, Type: x.kind, Shape: t.Shape, Write: func(w io.Writer) error {
			defer mmap.Release(t.Data)
			return x.write(w)
		}})
	}
	entries = append(entries, m.freqs()...)
	if err := gguf.Write(path, m.meta(arch, kind), entries); err != nil {
		return nil, err
	}
	if sum > 0 {
		r.Error = math.Sqrt(wrong / sum)
	}
	return r, nil
}

// architecture is that of llama.cpp which computes a checkpoint: qwen2 where it has the
// biases of one, unless its rows are in rotary pairs already, which llama has.
func architecture(set weights.Set) string {
	var names []string
	for _, name := range set.Names() {
		if weights.Pairs(set, name) > 0 {
			return "llama"
		}
		if hf := naming.HF(name); hf != "" {
			name = hf
		}
		names = append(names, name)
	}
	if naming.LikeQwen2(names, naming.SchemeHuggingFace) {
		return "qwen2"
	}
	return "llama"
}

// matrix is one tensor being converted.
type matrix struct {
	k          *kernels.Context
	t          weights.Tensor
	kind       string
	pairs      int // rows of a head if the output has rotary pairs, else 0
	was        int // the same of the input
	sum, wrong *float64
}

func (x *matrix) bytes() int {
	t, _ := gguf.TypeOf(x.kind)
	n := 1
	for _, d := range x.t.Shape {
		n *= d
	}
	return n / t.Elems * t.Bytes
}

// chunk is the number of elements in memory at a time, up to a multiple of a
// head: small, so that quantising takes less memory than the job it serves.
const chunk = 1 << 18

func (x *matrix) write(w io.Writer) error {
	if len(x.t.Shape) != 2 {
		v, err := peft.Floats(x.t.DType, x.t.Data)
		if err != nil {
			return err
		}
		data := peft.Bytes(v)
		if x.pairs > 0 && x.was == 0 && len(v)%x.pairs == 0 {
			data = paired(data, x.pairs, 4)
		}
		_, err = w.Write(data)
		return err
	}
	rows, cols := x.t.Shape[0], x.t.Shape[1]
	step := max(1, chunk/max(cols, 1))
	if x.pairs > 0 {
		step = max(step/x.pairs, 1) * x.pairs
		if rows%x.pairs != 0 {
			return fmt.Errorf("%d rows are not divisible into heads of %d", rows, x.pairs)
		}
	}
	size := len(x.t.Data) / max(rows, 1)
	for from := 0; from < rows; from += step {
		to := min(from+step, rows)
		part := x.t.Data[from*size : to*size]
		if x.pairs > 0 && x.was == 0 {
			part = paired(part, x.pairs, size)
		}
		if x.kind == x.t.DType {
			if _, err := w.Write(part); err != nil {
				return err
			}
		} else if err := x.encode(w, part, to-from, cols); err != nil {
			return fmt.Errorf("rows from %d on: %w", from, err)
		}
		mmap.Release(x.t.Data[:to*size])
	}
	return nil
}

// paired interleaves the two halves of each head, so that rows j and j+head/2
// become neighbours.
func paired(rows []byte, head, size int) []byte {
	out := make([]byte, 0, len(rows))
	for h := 0; h < len(rows); h += head * size {
		for j := range head / 2 {
			out = append(out, rows[h+j*size:][:size]...)
			out = append(out, rows[h+(j+head/2)*size:][:size]...)
		}
	}
	return out
}

func (x *matrix) encode(w io.Writer, data []byte, rows, cols int) error {
	stored, _ := kernels.DTypeNamed(x.t.DType)
	was, err := kernels.WeightFromBytes(data, stored, rows, cols)
	if err != nil {
		return err
	}
	v := was.Float32s()
	d, _ := kernels.DTypeNamed(x.kind)
	out := make([]byte, rows*d.RowBytes(cols))
	if err := x.k.Quantise(out, kernels.MatOf(v, rows, cols), d); err != nil {
		return err
	}
	back, err := kernels.WeightFromBytes(out, d, rows, cols)
	if err != nil {
		return err
	}
	now := back.Float32s()
	sums := make([][2]float64, rows)
	x.k.Parallel(rows, func(_, r int) {
		for i := r * cols; i < (r+1)*cols; i++ {
			e := float64(v[i] - now[i])
			sums[r][0] += float64(v[i]) * float64(v[i])
			sums[r][1] += e * e
		}
	})
	for _, s := range sums {
		*x.sum += s[0]
		*x.wrong += s[1]
	}
	_, err = w.Write(out)
	return err
}
