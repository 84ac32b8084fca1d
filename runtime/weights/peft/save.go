package peft

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
)

// Save writes an adapter directory in F32. Each file is replaced atomically,
// adapter_config.json last: a directory that has it is complete. c.Targets follows
// from the tensors and need not be given. An adapter on a linear of qkv_concat is
// split into adapters of its parts: each gets A and its rows of B.
func Save(dir string, c Config, tensors []Tensor) error {
	tensors, modules := apart(tensors)
	tensors, err := separate(tensors)
	if err == nil {
		err = checkPairs(&c, tensors)
	}
	if err != nil {
		return fmt.Errorf("cannot save the adapter in %s: %w", dir, err)
	}
	var entries []safetensors.Entry
	for _, t := range tensors {
		shape := []int{t.Rows, t.Cols}
		if _, factor, _ := naming.SplitLoRA(t.Name, naming.SchemeMindFormers); factor == naming.Magnitudes {
			shape = shape[:1]
		}
		entries = append(entries, safetensors.Entry{Name: t.Name, DType: "F32", Shape: shape, Write: safetensors.Bytes(Bytes(t.Data))})
	}
	return Write(dir, c, append(entries, c.entries(modules)...))
}

// Write is Save for matrices of any type, by their MindFormers names. The caller
// must pass them in pairs of the ranks of c.
func Write(dir string, c Config, matrices []safetensors.Entry) error {
	c.Targets = nil
	var named []Tensor
	var entries []safetensors.Entry
	for _, e := range matrices {
		named = append(named, Tensor{Name: e.Name})
		var ok bool
		if e.Name, ok = naming.Translate(e.Name, naming.SchemeMindFormers, naming.SchemeHuggingFace); !ok {
			return fmt.Errorf("cannot save the adapter in %s: %s has no name in PEFT", dir, e.Name)
		}
		linear, _, ok := naming.SplitLoRA(e.Name, naming.SchemeHuggingFace)
		if !ok {
			e.Name = naming.PEFTPrefix + e.Name
			entries = append(entries, e)
			continue
		}
		if leaf := linear[strings.LastIndexByte(linear, '.')+1:]; !slices.Contains(c.Targets, leaf) {
			c.Targets = append(c.Targets, leaf)
		}
		entries = append(entries, e)
	}
	pattern := spelled(named, c.Layers)
	slices.Sort(c.Targets)
	text := c.text(pattern)
	// New matrices must never be next to an old config, even after a crash here.
	config := filepath.Join(dir, configName)
	if old, err := os.ReadFile(config); err == nil && string(old) != string(text) {
		if err := os.Remove(config); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := atomicfile.SyncDir(dir); err != nil {
			return err
		}
	}
	metadata := map[string]string{"format": "pt"}
	if c.Trainer != "" {
		metadata["lorac"] = c.Trainer
	}
	if err := safetensors.Write(filepath.Join(dir, weightsName), entries, metadata); err != nil {
		return err
	}
	return atomicfile.WriteText(config, text)
}

// separate splits the adapters of qkv_concat into adapters of the parts.
func separate(tensors []Tensor) ([]Tensor, error) {
	widths := map[string]int{} // of the input, by the name of factor A
	for _, t := range tensors {
		if t.Rows < 1 || t.Cols < 1 || len(t.Data) != t.Rows*t.Cols {
			return nil, fmt.Errorf("%s has %d values for %d×%d", t.Name, len(t.Data), t.Rows, t.Cols)
		}
		widths[t.Name] = t.Cols
	}
	var out []Tensor
	for _, t := range tensors {
		linear, _, ok := naming.SplitLoRA(t.Name, naming.SchemeMindFormers)
		if !ok {
			return nil, fmt.Errorf("%s is not a matrix of an adapter", t.Name)
		}
		parts := naming.Parts(t.Name)
		switch {
		case parts == nil:
			if naming.HF(t.Name) == "" {
				return nil, fmt.Errorf("%s has no name in PEFT", t.Name)
			}
			out = append(out, t)
		case naming.Shared(t.Name):
			for _, p := range parts {
				out = append(out, Tensor{p, t.Rows, t.Cols, t.Data})
			}
		default:
			rows, err := divide(t.Rows, len(parts), widths[naming.LoRAName(linear, naming.FactorA, naming.SchemeMindFormers)])
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.Name, err)
			}
			at := 0
			for i, p := range parts {
				n := rows[i] * t.Cols
				out = append(out, Tensor{p, rows[i], t.Cols, t.Data[at : at+n]})
				at += n
			}
		}
	}
	return out, nil
}

// divide is the number of rows of a concatenated linear that belong to each part:
// half each to gate and up; hidden size rows to q, since a Llama's query heads add
// up to it, and half of the rest each to k and v.
func divide(rows, parts, width int) ([]int, error) {
	if parts == 2 && rows%2 == 0 {
		return []int{rows / 2, rows / 2}, nil
	}
	if rest := rows - width; parts == 3 && width > 0 && rest >= 2 && rest%2 == 0 {
		return []int{width, rest / 2, rest / 2}, nil
	}
	return nil, fmt.Errorf("%d rows cannot be divided among %d linears of width %d", rows, parts, width)
}

// checkPairs rejects tensors that Load could not read.
func checkPairs(c *Config, tensors []Tensor) error {
	if len(tensors) == 0 {
		return errors.New("the adapter has no matrices")
	}
	named := map[string]Tensor{}
	for _, t := range tensors {
		if _, ok := named[t.Name]; ok {
			return fmt.Errorf("%s is duplicated", t.Name)
		}
		named[t.Name] = t
	}
	for _, t := range tensors {
		linear, factor, _ := naming.SplitLoRA(t.Name, naming.SchemeMindFormers)
		if m, ok := named[naming.LoRAName(linear, naming.Magnitudes, naming.SchemeMindFormers)]; ok != c.DoRA || ok && factor == naming.FactorB && m.Rows != t.Rows {
			return fmt.Errorf("%s has magnitudes: %v (%d), and use_dora is %v", linear, ok, m.Rows, c.DoRA)
		}
		if factor == naming.Magnitudes {
			continue
		}
		if _, ok := named[naming.LoRAName(linear, factor^naming.FactorA^naming.FactorB, naming.SchemeMindFormers)]; !ok {
			return fmt.Errorf("%s is without its other factor", t.Name)
		}
		rank := c.Rank
		if module, ok := naming.TranslateLinear(linear, naming.SchemeMindFormers, naming.SchemeHuggingFace); ok && c.RankOf[module] > 0 {
			rank = c.RankOf[module]
		}
		if got := map[naming.Factor]int{naming.FactorA: t.Rows, naming.FactorB: t.Cols}[factor]; got != rank {
			return fmt.Errorf("%s is %d×%d, its rank is not %d", t.Name, t.Rows, t.Cols, rank)
		}
	}
	return nil
}
