package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/synthetic"
	"lorac/compiler/config"
	"lorac/ir"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights/safetensors"
)

// writeBase makes the weights of the config, after saying how much there will be
// of them, until the context ends.
func writeBase(ctx context.Context, cfg *config.Config, dir string) error {
	stored := cfg.Model.ParamDType.V
	entries, params, err := synthetic.Base(cfg, stored, 1)
	if err != nil {
		return err
	}
	also := ""
	if n, err := build.BlockBytes(cfg); err != nil {
		return err
	} else if n > 0 {
		also = fmt.Sprintf(", from which the trainer makes %s in blocks", human.Bytes(n))
	}
	fmt.Fprintf(os.Stderr, "writing random weights of %s to %s: %s as %s%s\n", human.Count(cfg.Model.Layers.V, "layer"), dir, human.Bytes(synthetic.Bytes(params, stored)), stored, also)
	for i, e := range entries {
		entries[i].Write = func(w io.Writer) error { return e.Write(writerUntil{ctx, w}) }
	}
	err = safetensors.Write(filepath.Join(dir, "model.safetensors"), entries, map[string]string{"format": "pt"})
	if err != nil {
		return fmt.Errorf("%w\n  = help: fewer --layers take less; TMPDIR says where it is written to", err)
	}
	return nil
}

// buildBytes is what building a trainer writes: 11 MB, and for a moment some 64 MB
// of the go command where it has nothing cached.
const buildBytes = 75 << 20

// bytes is what the step writes to the disk.
func (j *stepJob) bytes() (int, error) {
	params, trained := 0, 0
	for _, s := range j.full.Module.Storages {
		n := s.Count() * s.Type.Elems(nil)
		if s.Kind == ir.Param && !s.Adapter() {
			params += n
		}
		switch {
		case s.Kind == ir.State: // in the checkpoint
			trained += n
		case s.Kind == ir.Param && s.Trainable: // there and in the result
			trained += 2 * n
		}
	}
	blocks, err := build.BlockBytes(j.cfg)
	rows := (j.Steps + 1) * (j.Tokens + 1) * (len(strconv.Itoa(j.cfg.Model.Vocab.V)) + 1)
	return buildBytes + synthetic.Bytes(params, j.cfg.Model.ParamDType.V) + 4*trained + blocks + rows, err
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
