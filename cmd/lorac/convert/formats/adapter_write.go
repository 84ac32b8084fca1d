package formats

import (
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/torch"
)

// AdapterTargets are the formats that adapters are written in.
var AdapterTargets = []string{"peft", "mindformers", "torchtune", "gguf"}

// Written says what was made of an adapter.
type Written struct {
	Files       []string
	Rank        int
	Alpha       float64
	Targets     []string // linears by MindFormers' leaf names
	Padded      int      // linears whose rank was raised by zeros, which changes nothing
	Scaled      int      // linears whose scale was multiplied into B
	ScaledExact bool     // by powers of two only, so that no bit was lost
}

// WriteAdapter writes an adapter in a format. dtype "" keeps that of each
// matrix; m must be known where rows are in rotary pairs.
func WriteAdapter(a *Adapter, to, out, dtype string, m *Model) (*Written, error) {
	w := &Written{Rank: a.Linears[0].Rank(), ScaledExact: true}
	for _, l := range a.Linears {
		if leaf := l.Name[strings.LastIndexByte(l.Name, '.')+1:]; !slices.Contains(w.Targets, leaf) {
			w.Targets = append(w.Targets, leaf)
		}
	}
	slices.Sort(w.Targets)
	var scheme naming.Scheme
	switch to {
	case "peft":
		w.Alpha = a.Config.Alpha
		return w, w.peft(a, out, dtype)
	case "mindformers":
		scheme = naming.SchemeMindFormers
		if !mindspore.IsCheckpoint(out) {
			return nil, fmt.Errorf("-o %s: the name of a MindFormers checkpoint ends in .ckpt or .safetensors", out)
		}
	case "torchtune":
		scheme = naming.SchemeTorchtune
	case "gguf":
		scheme = naming.SchemeGGUF
		if filepath.Ext(out) != ".gguf" {
			return nil, fmt.Errorf("-o %s: the name of a GGUF file ends in .gguf", out)
		}
	default:
		return nil, fmt.Errorf("there is no format %q; %s are written", to, strings.Join(AdapterTargets, ", "))
	}
	if err := a.modulesFor(to); err != nil {
		return nil, err
	}
	if a.Config.DoRA && scheme != naming.SchemeMindFormers {
		return nil, fmt.Errorf("%s has magnitudes of DoRA, for which %s has no place\n  = help: write it for peft or mindformers, or merge it: lorac convert merge", a.Path, to)
	}
	matrices, err := w.matrices(a, scheme, dtype, m)
	if err != nil {
		return nil, err
	}
	switch to {
	case "mindformers":
		return w, w.mindFormers(matrices, out)
	case "torchtune":
		return w, w.torchtune(a, matrices, out)
	}
	return w, w.gguf(a, matrices, out, m)
}

// matrix is one to be written.
type matrix struct {
	name, dtype string
	shape       []int
	data        []byte
}

// matrices are those of an adapter with one alpha for all, and, but for GGUF,
// one rank: what has less is filled up with rows of A and columns of B that
// are zero.
func (w *Written) matrices(a *Adapter, scheme naming.Scheme, dtype string, m *Model) ([]matrix, error) {
	w.Rank = 0
	for _, l := range a.Linears {
		w.Rank = max(w.Rank, l.Rank())
	}
	// The alpha that most linears have need not be multiplied into them.
	count := map[float64]int{}
	alphaOf := func(l *Linear) float64 {
		rank := w.Rank
		if scheme == naming.SchemeGGUF {
			rank = l.Rank()
		}
		return tidy(l.Scale * float64(rank))
	}
	for i := range a.Linears {
		alpha := alphaOf(&a.Linears[i])
		if count[alpha]++; count[alpha] > count[w.Alpha] {
			w.Alpha = alpha
		}
	}
	if w.Alpha == 0 {
		return nil, errors.New("its lora_alpha is 0, so it does nothing")
	}
	var out []matrix
	for i := range a.Linears {
		l := &a.Linears[i]
		rank := w.Rank
		if scheme == naming.SchemeGGUF {
			rank = l.Rank()
		}
		if rank > l.Rank() {
			w.Padded++
		}
		factor := alphaOf(l) / w.Alpha
		if factor != 1 {
			w.Scaled++
			if frac, _ := math.Frexp(math.Abs(factor)); frac != 0.5 {
				w.ScaledExact = false
			}
		}
		params := []Param{l.A, l.B}
		if l.M != nil {
			params = append(params, *l.M)
		}
		for _, p := range params {
			name, _ := naming.Translate(p.Name, naming.SchemeMindFormers, scheme)
			pairs := 0
			if scheme.Paired(name) && (m == nil || !m.qwen2()) {
				if m == nil || m.HeadDim == 0 {
					return nil, (&Model{}).needHeads()
				}
				if pairs = m.HeadDim; p.Shape[0]%pairs != 0 {
					return nil, fmt.Errorf("%s has %d rows, which are no heads of %d; is the config that of its base?", p.Name, p.Shape[0], pairs)
				}
			}
			x := matrix{name: name, dtype: p.DType, shape: slices.Clone(p.Shape)}
			if dtype != "" {
				x.dtype = dtype
			}
			if InBlocks(x.dtype) {
				return nil, fmt.Errorf("%s is stored in blocks (%s)\n  = help: --dtype f16, bf16 or f32", p.Name, x.dtype)
			}
			isB := len(name) > 0 && p.Name == l.B.Name
			scaled := 1.0
			if isB {
				scaled = factor
			}
			var err error
			if x.data, err = p.scaled(x.dtype, pairs, scaled); err != nil {
				return nil, fmt.Errorf("%s: %w", p.Name, err)
			}
			if len(x.shape) == 2 {
				x.pad(isB, rank)
			}
			out = append(out, x)
		}
	}
	return out, nil
}

// scaled is a matrix in another type and order of rows, times a factor.
func (p *Param) scaled(dtype string, pairs int, factor float64) ([]byte, error) {
	q := *p
	if factor != 1 {
		x, err := p.floats()
		if err != nil {
			return nil, err
		}
		for i := range x {
			x[i] = float32(float64(x[i]) * factor)
		}
		q.DType, q.headDim, q.data = "F32", 0, bytesOfMemory(peft.Bytes(x))
	}
	var b strings.Builder
	if err := q.write(&b, dtype, pairs); err != nil {
		return nil, err
	}
	return []byte(b.String()), nil
}

// pad raises the rank: rows of zeros under A, columns right of B.
func (x *matrix) pad(columns bool, rank int) {
	have := x.shape[0]
	if columns {
		have = x.shape[1]
	}
	if have == rank {
		return
	}
	if !columns {
		n := len(x.data) / have
		x.data, x.shape[0] = append(x.data, make([]byte, n*(rank-have))...), rank
		return
	}
	n := len(x.data) / x.shape[0]
	var out []byte
	for i := range x.shape[0] {
		out = append(append(out, x.data[i*n:(i+1)*n]...), make([]byte, n/have*(rank-have))...)
	}
	x.data, x.shape[1] = out, rank
}

// peft writes a directory of PEFT. What differs from the first linear's rank
// and alpha goes to rank_pattern and alpha_pattern, so no number changes.
func (w *Written) peft(a *Adapter, out, dtype string) error {
	if err := fresh(filepath.Join(globEscape(out), "adapter_model.*"), filepath.Join(globEscape(out), "adapter_config.json")); err != nil {
		return err
	}
	c := a.Config
	c.Rank, c.Alpha = w.Rank, w.Alpha
	c.RankOf, c.AlphaOf = map[string]int{}, map[string]float64{}
	var entries []safetensors.Entry
	for i := range a.Linears {
		l := &a.Linears[i]
		module, _ := naming.TranslateLinear(l.Name, naming.SchemeMindFormers, naming.SchemeHuggingFace)
		if l.Rank() != c.Rank {
			c.RankOf[module] = l.Rank()
		}
		if alpha := tidy(l.Scale * float64(l.Rank())); alpha != c.Alpha {
			c.AlphaOf[module] = alpha
		}
		params := []Param{l.A, l.B}
		if l.M != nil {
			params = append(params, *l.M)
		}
		for _, p := range params {
			kind := p.DType
			if dtype != "" {
				kind = dtype
			}
			if InBlocks(kind) {
				return fmt.Errorf("%s is stored in blocks (%s)\n  = help: --dtype f16, bf16 or f32", p.Name, kind)
			}
			entries = append(entries, safetensors.Entry{Name: p.Name, DType: kind, Shape: p.Shape, Write: func(w io.Writer) error { return p.write(w, kind, 0) }})
		}
	}
	for _, p := range a.moduleEntries(&c) {
		kind := p.DType
		if dtype != "" {
			kind = dtype
		}
		entries = append(entries, safetensors.Entry{Name: p.Name, DType: kind, Shape: p.Shape, Write: func(w io.Writer) error { return p.write(w, kind, 0) }})
	}
	w.Files = []string{filepath.Join(out, "adapter_model.safetensors"), filepath.Join(out, "adapter_config.json")}
	return peft.Write(out, c, entries)
}

func (w *Written) mindFormers(matrices []matrix, out string) error {
	if err := fresh(globEscape(out)); err != nil {
		return err
	}
	var entries []mindspore.Entry
	for _, x := range matrices {
		entries = append(entries, mindspore.Entry{Name: x.name, DType: x.dtype, Shape: x.shape, Write: mindspore.Bytes(x.data)})
	}
	w.Files = []string{out}
	return mindspore.Write(out, entries, false)
}

// torchtune writes adapter_0.pt and PEFT's config next to it, as its
// checkpointers do.
func (w *Written) torchtune(a *Adapter, matrices []matrix, out string) error {
	path := filepath.Join(out, "adapter_0.pt")
	if err := fresh(globEscape(path), filepath.Join(globEscape(out), "adapter_config.json")); err != nil {
		return err
	}
	var entries []torch.Entry
	for _, x := range matrices {
		entries = append(entries, torch.Entry{Name: x.name, DType: x.dtype, Shape: x.shape, Write: mindspore.Bytes(x.data)})
	}
	if err := torch.Write(path, entries); err != nil {
		return err
	}
	c := a.Config
	c.Rank, c.Alpha, c.Targets = w.Rank, w.Alpha, nil
	for _, leaf := range w.Targets {
		c.Targets = append(c.Targets, naming.Module(leaf))
	}
	slices.Sort(c.Targets)
	w.Files = []string{path, filepath.Join(out, "adapter_config.json")}
	return atomicfile.WriteText(w.Files[1], peft.ConfigText(c))
}

func (w *Written) gguf(a *Adapter, matrices []matrix, out string, m *Model) error {
	if err := fresh(globEscape(out)); err != nil {
		return err
	}
	var entries []gguf.Entry
	for _, x := range matrices {
		entries = append(entries, gguf.Entry{Name: x.name, Type: x.dtype, Shape: x.shape, Write: mindspore.Bytes(x.data)})
	}
	w.Files = []string{out}
	arch := "llama"
	if m != nil {
		arch = m.ggufArch()
	}
	return gguf.Write(out, []gguf.KV{
		{Key: "general.architecture", Value: arch}, {Key: "general.type", Value: "adapter"}, {Key: "adapter.type", Value: "lora"},
		{Key: "general.name", Value: filepath.Base(filepath.Clean(a.Path))}, {Key: "adapter.lora.alpha", Value: float32(w.Alpha)},
	}, entries)
}
