package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"lorac/compiler/config"
	"lorac/compiler/model"
	"lorac/ir"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/weights/safetensors"
)

// writeBase makes the weights of the config, after saying how much there will be
// of them, until the context ends.
func writeBase(ctx context.Context, cfg *config.Config, dir string) error {
	stored := cfg.Model.ParamDType.V
	entries, params, err := randomBase(cfg, stored, 1)
	if err != nil {
		return err
	}
	also := ""
	if n, err := quantisedBytes(cfg); err != nil {
		return err
	} else if n > 0 {
		also = fmt.Sprintf(", from which the trainer makes %s in blocks", size(n))
	}
	fmt.Fprintf(os.Stderr, "writing random weights of %s to %s: %s as %s%s\n", countOf(cfg.Model.Layers.V, "layer"), dir, size(baseBytes(params, stored)), stored, also)
	for i, e := range entries {
		entries[i].Write = func(w io.Writer) error { return e.Write(writerUntil{ctx, w}) }
	}
	err = safetensors.Write(filepath.Join(dir, "model.safetensors"), entries, map[string]string{"format": "pt"})
	if err != nil {
		return fmt.Errorf("%w\n  = help: fewer --layers take less; TMPDIR says where it is written to", err)
	}
	return nil
}

// baseBytes is what a base of so many parameters takes as it is stored.
func baseBytes(params int, stored string) int {
	if stored == "f32" {
		return 4 * params
	}
	return 2 * params
}

// buildBytes is what building a trainer writes: 7 MB, beside which the go command
// needs some 64 MB for a moment where it has nothing cached.
const buildBytes = 72 << 20

// bytes is what the step writes to the disk.
func (j *stepJob) bytes() (int, error) {
	params, trained := 0, 0
	for _, s := range j.full.Module.Storages {
		n := s.Count() * s.Type.Elems(nil)
		if s.Kind == ir.Param && !adapterParam(s) {
			params += n
		}
		switch {
		case s.Kind == ir.State: // in the checkpoint
			trained += n
		case s.Kind == ir.Param && s.Trainable: // there and in the result
			trained += 2 * n
		}
	}
	blocks, err := quantisedBytes(j.cfg)
	rows := (j.Steps + 1) * (j.Tokens + 1) * (len(strconv.Itoa(j.cfg.Model.Vocab.V)) + 1)
	return buildBytes + baseBytes(params, j.cfg.Model.ParamDType.V) + 4*trained + blocks + rows, err
}

// quantisedBytes is what the trainer makes of a base that is to lie in blocks, 0
// for others. Compiled storages would not tell: with compute they are no blocks.
func quantisedBytes(cfg *config.Config) (n int, err error) {
	if cfg.Quant.V == "" {
		return 0, nil
	}
	m, err := model.Build(cfg)
	if err != nil {
		return 0, err
	}
	if err := quantiseTypes(m, cfg.Quant.V); err != nil {
		return 0, err
	}
	for _, s := range m.Storages {
		if s.Kind == ir.Param && !adapterParam(s) {
			n += s.Count() * s.Type.Bytes(nil)
		}
	}
	return n, nil
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
	return atomicfile.WriteFile(path, func(w io.Writer) error {
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
