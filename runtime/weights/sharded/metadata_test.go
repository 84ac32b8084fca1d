package sharded

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/weights/mindspore"
)

// writeIteration writes a checkpoint as save_checkpoint of MindFormers' Checkpoint
// 2.0 does for two ranks: wq is split by rows, wo by columns, the norm is on both.
// elements writes offsets as elements of each dimension instead of slices.
func writeIteration(t *testing.T, dir string, elements bool) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	bytes := func(from, n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(from + i)
		}
		return b
	}
	entry := func(name string, data []byte, shape ...int) mindspore.Entry {
		return mindspore.Entry{Name: name, DType: "U8", Shape: shape, Write: mindspore.Bytes(data)}
	}
	const wq, wo, norm = "model.layers.0.attention.wq.weight", "model.layers.0.attention.wo.weight", "model.norm_out.weight"
	tensors, storage := map[string]any{}, map[string]any{}
	list := func(name, kind string, whole, parts, slice []int) {
		var chunks []any
		for rank := range 2 {
			offset := []int{0}
			if elements {
				offset = make([]int, len(parts))
			}
			for i, p := range parts {
				switch {
				case p == 2 && elements:
					offset[i] = rank * slice[i]
				case p == 2:
					offset = []int{rank}
				}
			}
			key := fmt.Sprintf("('%s', (%s,))", name, strings.Trim(strings.ReplaceAll(fmt.Sprint(offset), " ", ", "), "[]"))
			at, _ := storage[key].([]any)
			if at == nil {
				chunks = append(chunks, map[string]any{"global_offset": offset, "local_shape": slice})
			}
			storage[key] = append(at, map[string]any{"file_name": fmt.Sprintf("CKP-%s-%07d-0000002.safetensors", kind, rank), "storage_rank": rank, "rank_group": []int{0, 1}})
		}
		tensors[name] = map[string]any{"properties": map[string]any{"dtype": "UInt8"}, "global_shape": whole, "axis_fragmentations": parts, "layout": nil, "chunk": chunks}
	}
	for rank := range 2 {
		model := []mindspore.Entry{entry(wq, bytes(rank*8, 8), 2, 4), entry(norm, bytes(0, 4), 4)}
		columns := append(append(append(bytes(rank*2, 2), bytes(4+rank*2, 2)...), bytes(8+rank*2, 2)...), bytes(12+rank*2, 2)...)
		model = append(model, entry(wo, columns, 4, 2))
		state := []mindspore.Entry{entry("adam_m."+wq, bytes(100+rank*8, 8), 2, 4)}
		for kind, entries := range map[string][]mindspore.Entry{"model": model, "opt": state} {
			if err := mindspore.Write(filepath.Join(dir, fmt.Sprintf("CKP-%s-%07d-0000002.safetensors", kind, rank)), entries, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	list(wq, "model", []int{4, 4}, []int{2, 1}, []int{2, 4})
	list(wo, "model", []int{4, 4}, []int{1, 2}, []int{4, 2})
	list(norm, "model", []int{4}, []int{1}, []int{4})
	list("adam_m."+wq, "opt", []int{4, 4}, []int{2, 1}, []int{2, 4})
	text, err := json.Marshal(map[string]any{"state_dict_metadata": tensors, "storage_data": storage})
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "metadata.json"), text, 0o666)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "common.json"), []byte(`{"epoch_num": 1, "step_num": 6, "global_step": 6, "loss_scale": null, "global_batch_size": 2}`), 0o666)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(filepath.Dir(dir), "latest_checkpointed_iteration.txt"), []byte("6"), 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// Slices of Checkpoint 2.0 are joined as metadata.json lays them out, with the
// optimizer's and the counters.
func TestIteration(t *testing.T) {
	for _, elements := range []bool{false, true} {
		root := t.TempDir()
		dir := filepath.Join(root, "iteration_00000006")
		writeIteration(t, dir, elements)
		tree, err := Open(root, "", One())
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Verify(); err != nil {
			t.Error(err)
		}
		out := filepath.Join(root, "one.ckpt")
		if err := tree.WriteTree(One(), func(int) string { return out }); err != nil {
			t.Fatal(err)
		}
		tree.Close()
		f, err := mindspore.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for name, from := range map[string]int{"model.layers.0.attention.wq.weight": 0, "model.layers.0.attention.wo.weight": 0, "adam_m.model.layers.0.attention.wq.weight": 100} {
			x, ok := f.Tensor(name)
			if !ok || !slices.Equal(x.Shape, []int{4, 4}) || x.Data[0] != byte(from) || x.Data[15] != byte(from+15) || x.Data[6] != byte(from+6) {
				t.Errorf("%s is %v %v", name, x.Shape, x.Data)
			}
		}
		for name, want := range map[string]float64{"step_num": 6, "global_step": 6, "epoch_num": 1, "global_batch_size": 2} {
			if got, err := f.Scalar(name); got != want || err != nil {
				t.Errorf("%s is %v, %v", name, got, err)
			}
		}
	}
}

// What is wrong with such a directory is said with its file.
func TestWrongIteration(t *testing.T) {
	edit := func(name string, change func(text string) string) func(t *testing.T, dir string) {
		return func(t *testing.T, dir string) {
			path := filepath.Join(dir, name)
			text, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, []byte(change(string(text))), 0o666)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	remove := func(name string) func(*testing.T, string) {
		return func(_ *testing.T, dir string) { os.Remove(filepath.Join(dir, name)) }
	}
	for want, change := range map[string]func(*testing.T, string){
		"metadata.json, which gives the layout of 2 ranks, is damaged":            edit("metadata.json", func(s string) string { return s[:len(s)/2] }),
		"their layout cannot be read":                                             remove("metadata.json"),
		"common.json, which counts the steps, is damaged":                         edit("common.json", func(s string) string { return s[:20] }),
		"says step_num 7, its directory is that of iteration 6":                   edit("common.json", func(s string) string { return strings.Replace(s, `"step_num": 6`, `"step_num": 7`, 1) }),
		"a slice of model.layers.0.attention.wo.weight is missing: 2 of 2":        remove("CKP-model-0000001-0000002.safetensors"),
		"names the iteration 9, but iteration_00000009 is missing (the newest is": edit("../latest_checkpointed_iteration.txt", func(string) string { return "9" }),
		"not the number of an iteration":                                          edit("../latest_checkpointed_iteration.txt", func(string) string { return "release" }),
		"does not match 2 dimensions":                                             edit("metadata.json", func(s string) string { return strings.ReplaceAll(s, `"global_offset":[1]`, `"global_offset":[3]`) }),
	} {
		root := t.TempDir()
		dir := filepath.Join(root, "iteration_00000006")
		writeIteration(t, dir, false)
		change(t, dir)
		tree, err := Open(root, "", One())
		if err == nil {
			tree.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	// A tracker that was cut short leaves the newest iteration.
	root := t.TempDir()
	writeIteration(t, filepath.Join(root, "iteration_00000006"), false)
	edit("latest_checkpointed_iteration.txt", func(string) string { return "" })(t, root)
	tree, err := Open(root, "", One())
	if err != nil {
		t.Fatal(err)
	}
	tree.Close()
}
