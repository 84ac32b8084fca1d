package main

import (
	"bytes"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"lorac/runtime/weights/mindspore"
)

// TestTrainsFromCkpt: a job that starts from a MindSpore checkpoint, or a
// directory or rank tree of one, ends with the same bits as from safetensors;
// what the checkpoint knows of the run it comes from is passed over.
func TestTrainsFromCkpt(t *testing.T) {
	t.Parallel()
	x := newTiny(t, map[string]string{"runner_config.epochs": "2"})
	want := filepath.Join(x.dir, "safetensors")
	x.run(want)
	entries := x.baseEntries()
	// Half of it in a file of its own, followed by the state of a run.
	state := []mindspore.Entry{mindspore.Int("epoch_num", 1), mindspore.Int("step_num", 4),
		{Name: "adam_m.model.norm_out.weight", DType: "F32", Shape: []int{16}, Write: func(w io.Writer) error { _, err := w.Write(make([]byte, 64)); return err }}}
	wrapped := slices.Clone(entries)
	for i := range wrapped {
		wrapped[i].Name = "network." + wrapped[i].Name
	}
	for name, files := range map[string]map[string][]mindspore.Entry{
		"one":     {"llama.ckpt": slices.Concat(entries, state)},
		"halves":  {"a.ckpt": entries[:5], "b.ckpt": slices.Concat(entries[5:], state)},
		"rank":    {"rank_0/llama-1_4.ckpt": slices.Concat(entries, state)},
		"onefile": {"x.ckpt": entries},
		"wrapped": {"llama.ckpt": wrapped},
	} {
		dir := filepath.Join(x.dir, name)
		for _, file := range slices.Sorted(maps.Keys(files)) {
			path := filepath.Join(dir, file)
			x.must(os.MkdirAll(filepath.Dir(path), 0o777))
			x.must(mindspore.Write(path, files[file], name == "one"))
		}
		from := dir
		if name == "onefile" {
			from = filepath.Join(dir, "x.ckpt")
		}
		out := filepath.Join(x.dir, "out_"+name)
		x.run(out, "--load_checkpoint", from)
		if !bytes.Equal(x.adapter(want), x.adapter(out)) {
			t.Errorf("%s: the adapter is another", name)
		}
		if a, b := metricsOf(t, want), metricsOf(t, out); !slices.Equal(a, b) {
			t.Errorf("%s: the losses are others: %v, %v", name, a, b)
		}
	}
}
