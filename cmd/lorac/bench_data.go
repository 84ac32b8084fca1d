package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"lorac/compiler/config"
	"lorac/ir"
	"lorac/runtime/checkpoint"
	"lorac/runtime/safetensors"
)

// writeBase makes the weights of the config, after saying how much there will be
// of them, until the context ends.
func writeBase(ctx context.Context, cfg *config.Config, m *ir.Module, dir string) error {
	stored := cfg.Model.ParamDType.V
	entries, params, err := randomBase(cfg, stored, 1)
	if err != nil {
		return err
	}
	bytes := 4 * params
	if stored != "f32" {
		bytes = 2 * params
	}
	also := ""
	if cfg.Quant.V != "" {
		also = fmt.Sprintf(", from which the trainer makes %s in blocks", size(frozenBytes(m)))
	}
	fmt.Fprintf(os.Stderr, "writing random weights of %s to %s: %s as %s%s\n", countOf(cfg.Model.Layers.V, "layer"), dir, size(bytes), stored, also)
	for i, e := range entries {
		entries[i].Write = func(w io.Writer) error { return e.Write(writerUntil{ctx, w}) }
	}
	err = safetensors.Write(filepath.Join(dir, "model.safetensors"), entries, map[string]string{"format": "pt"})
	if err != nil {
		return fmt.Errorf("%w\n  = help: fewer --layers take less; TMPDIR says where it is written to", err)
	}
	return nil
}

// frozenBytes is what the base takes as it is used.
func frozenBytes(m *ir.Module) (n int) {
	for _, s := range m.Storages {
		if s.Kind == ir.Param && !adapterParam(s) {
			n += s.Count() * s.Type.Bytes(nil)
		}
	}
	return n
}

// writerUntil fails when the context has ended.
type writerUntil struct {
	ctx context.Context
	io.Writer
}

func (w writerUntil) Write(b []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.Writer.Write(b)
}

// writeRows makes rows of random ids; a row of n+1 ids is n live tokens.
func writeRows(path string, rows, n, vocab int) error {
	return checkpoint.WriteFile(path, func(w io.Writer) error {
		ids := make([]int32, n+1)
		for r := range rows {
			for i := range ids {
				ids[i] = int32(3 + splitmix(uint64(r*(n+1)+i))%uint64(vocab-3))
			}
			line, err := json.Marshal(map[string][]int32{"input_ids": ids})
			if err != nil {
				return err
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}
