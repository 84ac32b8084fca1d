package formats

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/weights/llama2c"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/modeldir"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
	"lorac/runtime/weights/torch"
)

// Options are the choices of a conversion.
type Options struct {
	DType     string // F32, F16 or BF16; "" keeps what is stored
	MaxShard  int64  // bytes of a file of a Hugging Face model; 0 for no limit
	QKVConcat bool   // of MindFormers
	Version   int    // of llama2.c
	Name      string // of a GGUF model
	Tokenizer string // for GGUF: where the tokenizer is, "" beside the weights
	Blocks    string // type of what is stored in blocks, in formats without them; "" refuses them
}

// Targets are the formats that base weights are written in.
var Targets = []string{"hf", "mindformers", "meta", "llama2c", "torchtune", "gguf"}

// Write writes the model in a format and says which files were made.
func Write(s *Source, to, out string, o Options) (files []string, err error) {
	write := map[string]func(*Source, string, Options) ([]string, error){
		"hf": writeHF, "mindformers": writeMindFormers, "meta": writeMeta, "llama2c": writeLlama2c, "torchtune": writeTorchtune, "gguf": writeGGUF,
	}[to]
	if write == nil {
		return nil, fmt.Errorf("there is no format %q; %s are written", to, strings.Join(Targets, ", "))
	}
	if len(s.Beside) > 0 && s.merged == nil {
		return nil, fmt.Errorf("%s holds an adapter (%s) with the base, which would be lost\n  = help: lorac convert adapter takes the adapter out; lorac convert merge adds it to its base", s.Path, some(s.Beside))
	}
	patterns := directories[to]
	if patterns == nil { // one file, written atomically
		return write(s, out, o)
	}
	if err := atomicfile.RemoveIncomplete(out); err != nil {
		return nil, err
	}
	var paths []string
	for _, p := range patterns {
		paths = append(paths, filepath.Join(globEscape(out), p))
	}
	if err := fresh(paths...); err != nil {
		return nil, err
	}
	err = atomicfile.WriteDir(out, func(dir string) (err error) {
		files, err = write(s, dir, o)
		for i, f := range files {
			rel, _ := filepath.Rel(dir, f)
			files[i] = filepath.Join(out, rel)
		}
		return err
	})
	return files, err
}

// Size is about how many bytes Write writes.
func Size(s *Source, o Options) (total int) {
	for _, name := range s.Names() {
		p, _ := s.Param(name)
		dtype := p.DType
		if d, err := o.dtype(p); err == nil {
			dtype = d
		}
		n, err := bytesOf(dtype, p.Shape)
		if err != nil { // in blocks
			n, _ = bytesOf("I8", p.Shape)
		}
		total += int(n)
	}
	return total
}

// directories are the formats that are a directory of files, and the files of an
// earlier model that must not stay next to a new one.
var directories = map[string][]string{
	"hf":        {"*.safetensors", "*.safetensors.index.json", "config.json"},
	"meta":      {"consolidated.*", "params.json"},
	"torchtune": {"model.pt", "config.json"},
}

// dtype is how a parameter is stored.
func (o *Options) dtype(p Param) (string, error) {
	if o.DType != "" {
		return o.DType, nil
	}
	if InBlocks(p.DType) {
		if o.Blocks != "" {
			return o.Blocks, nil
		}
		return "", fmt.Errorf("%s is stored in blocks (%s), which this format does not have\n  = help: --dtype f16, bf16 or f32", p.Name, p.DType)
	}
	return p.DType, nil
}

// fresh makes sure that nothing of an earlier model stays next to a new one.
func fresh(paths ...string) error {
	for _, path := range paths {
		list, err := filepath.Glob(path)
		if err != nil {
			list = []string{path}
		}
		for _, found := range list {
			if _, err := os.Lstat(found); err == nil {
				return fmt.Errorf("%s is there already; remove it, or give another -o", found)
			} else if !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// copyBeside copies what lies beside the weights: tokenizer, chat templates, the
// settings of generation. What an adapter brings along replaces the base's.
func (s *Source) copyBeside(out string) (files []string, err error) {
	seen := map[string]bool{}
	for _, dir := range []string{s.AdapterDir, s.Dir} {
		if dir == "" {
			continue
		}
		for _, name := range modeldir.Files(dir) {
			if seen[name] {
				continue
			}
			seen[name] = true
			text, err := os.ReadFile(filepath.Join(dir, name))
			if err == nil {
				err = atomicfile.WriteText(filepath.Join(out, name), text)
			}
			if err != nil {
				return files, err
			}
			files = append(files, filepath.Join(out, name))
		}
	}
	return files, nil
}

// Replaced lists the files of the adapter's directory that are taken in place of the
// base's, where the two differ.
func (s *Source) Replaced() (names []string) {
	if s.AdapterDir == "" {
		return nil
	}
	for _, name := range modeldir.Files(s.AdapterDir) {
		a, err1 := os.ReadFile(filepath.Join(s.AdapterDir, name))
		b, err2 := os.ReadFile(filepath.Join(s.Dir, name))
		if err1 == nil && err2 == nil && string(a) != string(b) {
			names = append(names, name)
		}
	}
	return names
}

// writeHF writes a Hugging Face directory: one file, or shards and their index,
// and what else makes it a model.
func writeHF(s *Source, out string, o Options) (files []string, err error) {
	var shards [][]safetensors.Entry
	weightMap, total, left := map[string]int{}, int64(0), int64(-1)
	main := "" // the type of the first matrix
	for _, name := range s.Names() {
		p, _ := s.Param(name)
		dtype, err := o.dtype(p)
		if err != nil {
			return nil, err
		}
		if main == "" {
			main = dtype
		}
		e := safetensors.Entry{Name: naming.HF(name), DType: dtype, Shape: p.Shape, Write: func(w io.Writer) error { return p.write(w, dtype, 0) }}
		n, err := bytesOf(dtype, p.Shape)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if left < n && (o.MaxShard > 0 || shards == nil) {
			shards, left = append(shards, nil), o.MaxShard
		}
		shards[len(shards)-1] = append(shards[len(shards)-1], e)
		weightMap[e.Name] = len(shards)
		left, total = left-n, total+n
	}
	file := func(i int) string {
		if len(shards) == 1 {
			return "model.safetensors"
		}
		return fmt.Sprintf("model-%05d-of-%05d.safetensors", i, len(shards))
	}
	for i, entries := range shards {
		path := filepath.Join(out, file(i+1))
		if err := safetensors.Write(path, entries, map[string]string{"format": "pt"}); err != nil {
			return files, err
		}
		files = append(files, path)
	}
	if len(shards) > 1 {
		names := map[string]any{}
		for name, i := range weightMap {
			names[name] = file(i)
		}
		path := filepath.Join(out, "model.safetensors.index.json")
		if err := atomicfile.WriteText(path, marshal(map[string]any{"metadata": map[string]any{"total_size": total}, "weight_map": names})); err != nil {
			return files, err
		}
		files = append(files, path)
	}
	more, err := s.copyBeside(out)
	if files = append(files, more...); err != nil {
		return files, err
	}
	if name, err := modeldir.Complete(out); err != nil {
		return files, err
	} else if name != "" {
		files = append(files, filepath.Join(out, name))
	}
	if s.Model.HeadDim == 0 {
		return files, nil
	}
	path := filepath.Join(out, "config.json")
	text, err := s.hfConfig(main)
	if err != nil {
		return files, err
	}
	return append(files, path), atomicfile.WriteText(path, text)
}

// bytesOf is what a tensor of a plain type takes.
func bytesOf(dtype string, shape []int) (int64, error) {
	n, ok := mindspore.ElemSize(dtype)
	if !ok {
		return 0, fmt.Errorf("numbers cannot be stored as %s here", dtype)
	}
	for _, d := range shape {
		n *= d
	}
	return int64(n), nil
}

func globEscape(path string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "?", `\?`, "[", `\[`).Replace(path)
}

// writeMindFormers writes a .ckpt, or the same tensors in a safetensors container.
func writeMindFormers(s *Source, out string, o Options) ([]string, error) {
	if !mindspore.IsCheckpoint(out) {
		return nil, fmt.Errorf("-o %s: the name of a MindFormers checkpoint ends in .ckpt or .safetensors", out)
	}
	if err := fresh(globEscape(out)); err != nil {
		return nil, err
	}
	var entries []mindspore.Entry
	for _, name := range s.withBiases(naming.ParameterNames(s.layers, naming.SchemeMindFormers, o.QKVConcat)) {
		if name == "lm_head.weight" && s.Model.Tied {
			continue
		}
		parts := naming.Parts(name)
		if parts == nil {
			parts = []string{name}
		}
		e := mindspore.Entry{Name: name}
		var write []func(io.Writer) error
		for i, part := range parts {
			p, _ := s.Param(part)
			dtype, err := o.dtype(p)
			if err != nil {
				return nil, err
			}
			if i == 0 {
				e.DType, e.Shape = dtype, append([]int(nil), p.Shape...)
			} else {
				if dtype != e.DType || !slices.Equal(p.Shape[1:], e.Shape[1:]) {
					return nil, fmt.Errorf("%s is %s %v and cannot be joined to %s %v (qkv_concat)", part, dtype, p.Shape, e.DType, e.Shape)
				}
				e.Shape[0] += p.Shape[0]
			}
			write = append(write, func(w io.Writer) error { return p.write(w, dtype, 0) })
		}
		e.Write = func(w io.Writer) error {
			for _, f := range write {
				if err := f(w); err != nil {
					return err
				}
			}
			return nil
		}
		entries = append(entries, e)
	}
	return []string{out}, mindspore.Write(out, entries, false)
}

// torchEntries are the parameters under the names of a scheme of torch, rows
// in pairs. A tied head is there as the embedding once more, in the same
// memory, if wanted.
func torchEntries(s *Source, scheme naming.Scheme, o Options, tiedHead bool) ([]torch.Entry, error) {
	if err := s.Model.needHeads(); err != nil {
		return nil, err
	}
	var entries []torch.Entry
	for _, name := range s.Names() {
		p, _ := s.Param(name)
		dtype, err := o.dtype(p)
		if err != nil {
			return nil, err
		}
		their, ok := naming.Translate(name, naming.SchemeMindFormers, scheme)
		if !ok {
			return nil, fmt.Errorf("%s has no name in a checkpoint of %s: its network has no biases", name, scheme)
		}
		pairs := 0
		if s.Model.paired(scheme, their) {
			pairs = s.Model.HeadDim
		}
		entries = append(entries, torch.Entry{Name: their, DType: dtype, Shape: p.Shape, Write: func(w io.Writer) error { return p.write(w, dtype, pairs) }})
	}
	if s.Model.Tied && tiedHead {
		e := entries[0]
		entries = append(entries, torch.Entry{Name: "output.weight", DType: e.DType, Shape: e.Shape, SameAs: e.Name})
	}
	return entries, nil
}

// writeMeta writes consolidated.00.pth and params.json.
func writeMeta(s *Source, out string, o Options) ([]string, error) {
	entries, err := torchEntries(s, naming.SchemeMeta, o, true)
	if err != nil {
		return nil, err
	}
	params, err := s.Model.metaParams()
	if err != nil {
		return nil, err
	}
	path := filepath.Join(out, "consolidated.00.pth")
	if err := torch.Write(path, entries); err != nil {
		return nil, err
	}
	files, err := s.copyBeside(out)
	if err != nil {
		return files, err
	}
	files = append(files, path, filepath.Join(out, "params.json"))
	return files, atomicfile.WriteText(filepath.Join(out, "params.json"), params)
}

// writeTorchtune writes model.pt and, since torchtune keeps no config, the
// model's config.json next to it.
func writeTorchtune(s *Source, out string, o Options) ([]string, error) {
	path := filepath.Join(out, "model.pt")
	entries, err := torchEntries(s, naming.SchemeTorchtune, o, false)
	if err != nil {
		return nil, err
	}
	if err := torch.Write(path, entries); err != nil {
		return nil, err
	}
	files, err := s.copyBeside(out)
	if err != nil {
		return files, err
	}
	files = append(files, path, filepath.Join(out, "config.json"))
	text, err := s.hfConfig(entries[0].DType)
	if err != nil {
		return files, err
	}
	return files, atomicfile.WriteText(filepath.Join(out, "config.json"), text)
}

// writeLlama2c writes a checkpoint of llama2.c, always in f32 or, as version 2,
// in blocks of 8 bits.
func writeLlama2c(s *Source, out string, o Options) ([]string, error) {
	m := &s.Model
	if err := errors.Join(m.needHeads()); err != nil {
		return nil, err
	}
	switch {
	case filepath.Ext(out) != ".bin":
		return nil, fmt.Errorf("-o %s: the name of a llama2.c checkpoint ends in .bin", out)
	case o.DType != "" && o.DType != "F32":
		return nil, errors.New("llama2.c has f32 only, and blocks of 8 bits in its version 2 (--llama2c_version 2)")
	case m.theta() != 10000 || m.eps() != 1e-5:
		return nil, fmt.Errorf("llama2.c computes with rope_theta 10000 and an epsilon of 1e-5; this model has %g and %g, and would answer otherwise there", m.theta(), m.eps())
	}
	if m.QKVBias || m.ProjBias || m.MLPBias {
		return nil, errors.New("llama2.c computes no biases, and this model has some")
	}
	if err := errors.Join(m.plain(), m.unscaled(), fresh(globEscape(out))); err != nil {
		return nil, err
	}
	h := llama2c.Header{Version: o.Version, Dim: m.Hidden, Hidden: m.FFN, Layers: m.Layers, Heads: m.Heads, KVHeads: m.KVHeads,
		Vocab: m.Vocab, SeqLen: m.MaxPosition, Shared: m.Tied}
	if h.SeqLen == 0 {
		h.SeqLen = 2048
	}
	return []string{out}, llama2c.Write(out, h, func(name string, w io.Writer) error {
		mf, _ := naming.Translate(name, naming.SchemeMeta, naming.SchemeMindFormers)
		p, ok := s.Param(mf)
		if !ok {
			return errors.New("it is missing")
		}
		pairs := 0
		if naming.SchemeMeta.Paired(name) {
			pairs = m.HeadDim
		}
		return p.write(w, "F32", pairs)
	})
}
