package sharded

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"lorac/runtime/weights/mindspore"
)

// whole is a little Llama of four layers, hidden 8, with one moment and a
// counter; element i of tensor k is 1000·k + i, an Int32.
var whole = func() (out []mindspore.Entry) {
	add := func(name string, shape ...int) {
		n := 1
		for _, d := range shape {
			n *= d
		}
		var b []byte
		for i := range n {
			b = binary.LittleEndian.AppendUint32(b, uint32(1000*len(out)+i))
		}
		out = append(out, mindspore.Entry{Name: name, DType: "I32", Shape: shape, Write: mindspore.Bytes(b)})
	}
	add("model.tok_embeddings.embedding_weight", 12, 8)
	for i := range 4 {
		p := fmt.Sprintf("model.layers.%d.", i)
		add(p+"attention_norm.weight", 8)
		add(p+"attention.wq.weight", 8, 8)
		add(p+"attention.wo.weight", 8, 8)
		add(p+"attention.wo.mindpet_delta_lora_a", 2, 8)
	}
	add("model.norm_out.weight", 8)
	add("lm_head.weight", 12, 8)
	for i := range 4 {
		add(fmt.Sprintf("adam_m.model.layers.%d.attention.wo.mindpet_delta_lora_a", i), 2, 8)
	}
	add("global_step", 1)
	out = append(out, mindspore.Int("epoch_num", 3), mindspore.Text("note", "größer"))
	return out
}()

func content(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			b, err := os.ReadFile(path)
			name, _ := filepath.Rel(dir, path)
			out[name] = string(b)
			return err
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func of(t *testing.T, d Degrees) *Spread {
	t.Helper()
	s, err := Of(d)
	must(t, err)
	return s
}

// transform rewrites the tree at from in another layout.
func transform(t *testing.T, from string, src, dst *Spread, to string) {
	t.Helper()
	tree, err := Open(from, "", src)
	must(t, err)
	defer tree.Close()
	must(t, tree.Verify())
	must(t, tree.WriteTree(dst, RankPath(to, "checkpoint_")))
}

// TestSlicesByHand: one file to two stages of two devices. What each rank's
// tensors hold is worked out here from row and column.
func TestSlicesByHand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "whole.ckpt")
	must(t, mindspore.Write(file, whole, false))
	transform(t, file, One(), of(t, Degrees{Model: 2, Pipeline: 2}), dir+"/4")
	number := map[string]int{}
	for k, e := range whole {
		number[e.Name] = k
	}
	for rank := range 4 {
		f, err := mindspore.Open(fmt.Sprintf("%s/4/rank_%d/checkpoint_%d.ckpt", dir, rank, rank))
		must(t, err)
		defer f.Close()
		stage, device := rank/2, rank%2
		want := map[string][2]int{} // name → which dimension is cut (−1: none), columns
		if stage == 0 {
			want["model.tok_embeddings.embedding_weight"] = [2]int{0, 8}
		} else {
			want["model.norm_out.weight"], want["lm_head.weight"] = [2]int{-1, 8}, [2]int{0, 8}
		}
		for i := 2 * stage; i < 2*stage+2; i++ {
			p := fmt.Sprintf("model.layers.%d.", i)
			want[p+"attention_norm.weight"], want[p+"attention.wq.weight"] = [2]int{-1, 8}, [2]int{0, 8}
			want[p+"attention.wo.weight"], want[p+"attention.wo.mindpet_delta_lora_a"] = [2]int{1, 8}, [2]int{1, 8}
			want["adam_m."+p+"attention.wo.mindpet_delta_lora_a"] = [2]int{1, 8}
		}
		want["global_step"], want["epoch_num"], want["note"] = [2]int{-1, 1}, [2]int{-1, 1}, [2]int{-1, 1}
		if got := slices.Sorted(slices.Values(f.Names())); !slices.Equal(got, slices.Sorted(maps.Keys(want))) {
			t.Errorf("rank %d holds %v", rank, got)
		}
		for name, w := range want {
			x, _ := f.Tensor(name)
			if name == "note" || name == "epoch_num" {
				continue
			}
			e := whole[number[name]]
			rows, cols := 1, e.Shape[0]
			if len(e.Shape) == 2 {
				rows, cols = e.Shape[0], e.Shape[1]
			}
			var b []byte
			for r := range rows {
				for c := range cols {
					if w[0] == 0 && r/(rows/2) != device || w[0] == 1 && c/(cols/2) != device {
						continue
					}
					b = binary.LittleEndian.AppendUint32(b, uint32(1000*number[name]+r*cols+c))
				}
			}
			if !bytes.Equal(x.Data, b) {
				t.Errorf("rank %d: %s %v holds %v\nwant %v", rank, name, x.Shape, x.Data, b)
			}
		}
		if n, err := f.Scalar("epoch_num"); n != 3 || err != nil {
			t.Errorf("rank %d: epoch_num %v, %v", rank, n, err)
		}
		if s, _ := f.Text("note"); s != "größer" {
			t.Errorf("rank %d: note %q", rank, s)
		}
	}
}

// TestRoundTrips: from one file to any layout, between layouts, and back, the
// bytes are the same; layouts from degrees and from their strategy files agree.
func TestRoundTrips(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "whole.ckpt")
	must(t, mindspore.Write(file, whole, true))
	want, err := os.ReadFile(file)
	must(t, err)
	layouts := map[string]*Spread{}
	for name, d := range map[string]Degrees{"dp2mp4": {Data: 2, Model: 4}, "pp2mp2": {Pipeline: 2, Model: 2}, "dp2pp4": {Data: 2, Pipeline: 4}, "mp2": {Model: 2}, "cp2mp2": {Context: 2, Model: 2, Data: 1}, "dp2": {Data: 2}} {
		layouts[name] = of(t, d)
		to := filepath.Join(dir, name)
		transform(t, file, One(), layouts[name], to)
		if got := len(content(t, to)); got != layouts[name].Ranks() {
			t.Errorf("%s: %d files", name, got)
		}
		transform(t, to, layouts[name], One(), filepath.Join(dir, "back", name))
		got, _ := os.ReadFile(filepath.Join(dir, "back", name, "rank_0", "checkpoint_0.ckpt"))
		if !bytes.Equal(sorted(t, got), sorted(t, want)) || !strings.Contains(name, "pp") && !bytes.Equal(got, want) {
			t.Errorf("%s: back in one file, the bytes are others", name)
		}
		// Again from there: the same ranks, byte for byte.
		transform(t, filepath.Join(dir, "back", name), One(), layouts[name], filepath.Join(dir, "again", name))
		if !maps.Equal(content(t, to), content(t, filepath.Join(dir, "again", name))) {
			t.Errorf("%s: cut again, the ranks are others", name)
		}
		// By strategy files, as a job of this layout leaves them.
		tree, err := Open(file, "", One())
		must(t, err)
		for rank := range layouts[name].Ranks() {
			f, err := tree.StrategyFile(layouts[name], rank)
			must(t, err)
			must(t, f.Write(fmt.Sprintf("%s/strategy/%s/ckpt_strategy_rank_%d.ckpt", dir, name, rank)))
		}
		tree.Close()
		files, err := Load(filepath.Join(dir, "strategy", name))
		must(t, err)
		transform(t, file, One(), files, filepath.Join(dir, "byfile", name))
		if !maps.Equal(content(t, to), content(t, filepath.Join(dir, "byfile", name))) {
			t.Errorf("%s: by its strategy files, the ranks are others", name)
		}
	}
	// 8 to 2, and over a pipeline.
	transform(t, dir+"/dp2mp4", layouts["dp2mp4"], layouts["mp2"], dir+"/8to2")
	if !maps.Equal(content(t, dir+"/8to2"), content(t, dir+"/mp2")) {
		t.Error("8 ranks to 2 differ from 1 to 2")
	}
	transform(t, dir+"/pp2mp2", layouts["pp2mp2"], layouts["dp2mp4"], dir+"/4to8")
	for name, data := range content(t, dir+"/4to8") {
		if !bytes.Equal(sorted(t, []byte(data)), sorted(t, []byte(content(t, dir+"/dp2mp4")[name]))) {
			t.Errorf("4 ranks of a pipeline to 8: %s differs", name)
		}
	}
}

// sorted writes the tensors of a checkpoint by name: a pipeline changes their
// order in the joined file.
func sorted(t *testing.T, data []byte) []byte {
	t.Helper()
	f, err := mindspore.Parse(data)
	must(t, err)
	var b bytes.Buffer
	for _, n := range slices.Sorted(slices.Values(f.Names())) {
		x, _ := f.Tensor(n)
		fmt.Fprintln(&b, n, x.DType, x.Shape, x.Data)
	}
	return b.Bytes()
}

// TestOptimizerShards: a strategy with shards of the optimizer, by hand: rank
// r of 4 holds slice r mod 2 of model parallelism, and of that half r div 2.
func TestOptimizerShards(t *testing.T) {
	dir := t.TempDir()
	s := &File{Stage: 1, Operators: []Operator{{"op", 0, [][]int{{1}}}}, Params: []Param{
		{Name: "w", Layout: Layout{Devices: []int{2, 2}, Map: []int{0, -1}, OptStep: 2, OptSize: 2}}}}
	must(t, s.Write(dir+"/strategy.ckpt"))
	spread, err := Load(dir + "/strategy.ckpt")
	must(t, err)
	rows := map[int][]byte{0: {0, 1, 2, 3}, 2: {4, 5, 6, 7}, 1: {8, 9, 10, 11}, 3: {12, 13, 14, 15}} // rank → 2 rows of 2
	for rank, b := range rows {
		must(t, mindspore.Write(fmt.Sprintf("%s/tree/rank_%d/a-1_2.ckpt", dir, rank), []mindspore.Entry{{Name: "w", DType: "I8", Shape: []int{2, 2}, Write: mindspore.Bytes(b)}}, false))
	}
	tree, err := Open(dir+"/tree", "", spread)
	must(t, err)
	defer tree.Close()
	var b bytes.Buffer
	must(t, tree.Write(&b, "w"))
	if _, shape, _ := tree.Header("w"); !slices.Equal(shape, []int{8, 2}) || !bytes.Equal(b.Bytes(), []byte{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}) {
		t.Errorf("%v %v", shape, b.Bytes())
	}
}

func TestTreeRefused(t *testing.T) {
	entry := func(name string, shape []int, dtype string, b ...byte) mindspore.Entry {
		return mindspore.Entry{Name: name, DType: dtype, Shape: shape, Write: mindspore.Bytes(b)}
	}
	const w = "model.layers.0.attention.wq.weight"
	for _, c := range []struct {
		name  string
		ranks map[int][]mindspore.Entry
		d     Degrees
		want  string
	}{
		{"a rank is missing", map[int][]mindspore.Entry{0: {entry(w, []int{1, 2}, "I8", 1, 2)}}, Degrees{Model: 2}, "which belongs in rank_1"},
		{"a stage is missing", map[int][]mindspore.Entry{0: {entry(w, []int{1, 2}, "I8", 1, 2)}}, Degrees{Pipeline: 2}, "none of rank_1 … rank_1, which hold stage 1"},
		{"a rank too many", map[int][]mindspore.Entry{0: nil, 1: nil, 2: nil}, Degrees{Model: 2}, "has rank_2"},
		{"shapes disagree", map[int][]mindspore.Entry{0: {entry(w, []int{1, 2}, "I8", 1, 2)}, 1: {entry(w, []int{2, 1}, "I8", 1, 2)}}, Degrees{Model: 2}, "[2 1] of [4 1] in rank_1, but I8 of [2 2] in rank_0"},
		{"types disagree", map[int][]mindspore.Entry{0: {entry(w, []int{1, 2}, "I8", 1, 2)}, 1: {entry(w, []int{1, 2}, "U8", 1, 2)}}, Degrees{Model: 2}, "is U8"},
		{"replicas differ", map[int][]mindspore.Entry{0: {entry(w, []int{1, 2}, "I8", 1, 2)}, 1: {entry(w, []int{1, 2}, "I8", 1, 3)}}, Degrees{Data: 2}, "differs between rank_0 and rank_1"},
		{"counters differ", map[int][]mindspore.Entry{0: {mindspore.Int("step_num", 1)}, 1: {mindspore.Int("step_num", 2)}}, Degrees{Model: 2}, "the layout does not speak of it"},
		{"a tensor in one rank only", map[int][]mindspore.Entry{0: {entry(w, []int{1, 2}, "I8", 1, 2)}, 1: {mindspore.Int("a", 1)}}, Degrees{Model: 2}, "is missing: 2 of 2"},
		{"no common save", map[int][]mindspore.Entry{0: {mindspore.Int("a", 1)}, 7: {mindspore.Int("a", 1)}}, Degrees{Model: 8}, "no other save is complete"},
		{"joined rows of no model", map[int][]mindspore.Entry{0: {entry("model.layers.0.attention.w_qkv.weight", []int{1, 2}, "I8", 1, 2)}, 1: {entry("model.layers.0.attention.w_qkv.weight", []int{1, 2}, "I8", 1, 2)}}, Degrees{Model: 2}, "do not split into 2 of queries"},
	} {
		dir := t.TempDir()
		for rank, entries := range c.ranks {
			name := fmt.Sprintf("x_rank_%d-1_2.ckpt", rank)
			if rank == 7 {
				name = "x_rank_7-1_1.ckpt"
			}
			if entries == nil {
				entries = []mindspore.Entry{mindspore.Int("a", 1)}
			}
			must(t, mindspore.Write(filepath.Join(dir, fmt.Sprintf("rank_%d", rank), name), entries, false))
		}
		tree, err := Open(dir, "", of(t, c.d))
		if err == nil {
			if err = tree.Verify(); err == nil {
				err = tree.WriteTree(One(), RankPath(dir+"/out", ""))
			}
			tree.Close()
		}
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want %q", c.name, err, c.want)
		}
		if _, err := os.Stat(dir + "/out"); err == nil {
			t.Errorf("%s: something was written", c.name)
		}
	}
}

// TestNewestSave: of several saves the newest one that every rank has is
// taken, and a name takes another.
func TestNewestSave(t *testing.T) {
	dir := t.TempDir()
	for rank := range 2 {
		for step := 1; step <= 3-rank; step++ { // rank 1 died before the third
			must(t, mindspore.Write(fmt.Sprintf("%s/rank_%d/p_rank_%d-1_%d.ckpt", dir, rank, rank, step), []mindspore.Entry{mindspore.Int("step_num", step)}, false))
		}
	}
	for name, want := range map[string]int{"": 2, "p_rank_0-1_1.ckpt": 1} {
		tree, err := Open(dir, name, of(t, Degrees{Data: 2}))
		must(t, err)
		var b bytes.Buffer
		must(t, tree.Write(&b, "step_num"))
		if got := int(binary.LittleEndian.Uint32(b.Bytes())); got != want {
			t.Errorf("%q: step %d, want %d", name, got, want)
		}
		tree.Close()
	}
	if _, err := Open(dir, "p_rank_0-1_3.ckpt", of(t, Degrees{Data: 2})); err == nil || !strings.Contains(err.Error(), "rank_1 has no file p_rank_1-1_3.ckpt") {
		t.Errorf("a save that is not complete: %v", err)
	}
}

// TestNewestOfOneRank: the file that was written last, whatever its kind.
func TestNewestOfOneRank(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"a-1_9.ckpt", "b.safetensors", "a-1_10.ckpt", "meta.json"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o666))
		when := time.Unix(int64(1000+min(i, 1)), 0) // b and the two after it at once
		must(t, os.Chtimes(filepath.Join(dir, name), when, when))
	}
	for _, want := range []string{"a-1_10.ckpt", "b.safetensors", "a-1_9.ckpt"} {
		got, err := Newest(dir, 0)
		if err != nil || filepath.Base(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
		must(t, os.Remove(got))
	}
	if _, err := Newest(dir, 0); err == nil {
		t.Error("a directory without checkpoints has one")
	}
}

// TestNewestAfterCopy: a copy gives files other times, so those of one job are ordered
// by the numbers in their names; another job's, which was written later, comes first.
func TestNewestAfterCopy(t *testing.T) {
	dir := t.TempDir()
	for i, name := range []string{"j_rank_0_1-1_2.ckpt", "j_rank_0-2_1.safetensors", "j_rank_0-1_10.safetensors", "j_rank_0-1_9.ckpt", "k_rank_0-1_1.ckpt"} {
		must(t, os.WriteFile(filepath.Join(dir, name), nil, 0o666))
		when := time.Unix(int64(1000+i), 0)
		must(t, os.Chtimes(filepath.Join(dir, name), when, when))
	}
	list, err := All(dir, 0)
	must(t, err)
	for i, want := range []string{"k_rank_0-1_1.ckpt", "j_rank_0_1-1_2.ckpt", "j_rank_0-2_1.safetensors", "j_rank_0-1_10.safetensors", "j_rank_0-1_9.ckpt"} {
		if filepath.Base(list[i]) != want {
			t.Errorf("%d: %s, want %s", i, list[i], want)
		}
	}
}

// TestDamagedRank: a checksum that is wrong is found before anything is written.
func TestDamagedRank(t *testing.T) {
	dir := t.TempDir()
	must(t, mindspore.Write(dir+"/a.ckpt", whole, true))
	b, err := os.ReadFile(dir + "/a.ckpt")
	must(t, err)
	b[len(b)/2] ^= 1
	must(t, os.WriteFile(dir+"/a.ckpt", b, 0o666))
	tree, err := Open(dir+"/a.ckpt", "", One())
	must(t, err)
	defer tree.Close()
	if err := tree.Verify(); err == nil || !strings.Contains(err.Error(), "checksum") {
		t.Errorf("a changed bit gives %v", err)
	}
}

// TestBoundedMemory: writing goes piece by piece, whatever the size of a tensor.
func TestBoundedMemory(t *testing.T) {
	dir := t.TempDir()
	const rows, cols = 4096, 1024 // 4 MiB
	row := make([]byte, cols)
	big := []mindspore.Entry{{Name: "model.layers.0.attention.wo.weight", DType: "I8", Shape: []int{rows, cols}, Write: func(w io.Writer) error {
		for range rows {
			if _, err := w.Write(row); err != nil {
				return err
			}
		}
		return nil
	}}}
	must(t, mindspore.Write(dir+"/a.ckpt", big, false))
	tree, err := Open(dir+"/a.ckpt", "", One())
	must(t, err)
	defer tree.Close()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	must(t, tree.WriteTree(of(t, Degrees{Model: 2}), RankPath(dir, "")))
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 { // the buffers of two files
		t.Errorf("%d bytes were allocated to write %d", grown, rows*cols)
	}
}

// TestJoined: rows of qkv_concat change their order with model parallelism.
// Queries are rows 0 to 3, keys 4 and 5, values 6 and 7 of a model 4 wide.
func TestJoined(t *testing.T) {
	for _, c := range []struct {
		name     string
		sections []int
		mp       int
		want     []int // canonical row at each place for mp devices
	}{
		{"qkv on 2", []int{4, 2, 2}, 2, []int{0, 1, 4, 6, 2, 3, 5, 7}},
		{"gate and hidden on 4", []int{4, 4}, 4, []int{0, 4, 1, 5, 2, 6, 3, 7}},
		{"on one", []int{4, 2, 2}, 1, []int{0, 1, 2, 3, 4, 5, 6, 7}},
	} {
		for place, want := range c.want {
			if row, n := joinedRow(c.sections, 1, c.mp, place); row != want || n < 1 {
				t.Errorf("%s: place %d holds row %d (%d), want %d", c.name, place, row, n, want)
			}
			if back, _ := joinedRow(c.sections, c.mp, 1, want); back != place {
				t.Errorf("%s: row %d is looked for at %d, it is at %d", c.name, want, back, place)
			}
		}
	}
	dir := t.TempDir()
	var entries []mindspore.Entry
	add := func(name string, rows, cols int) {
		var b []byte
		for r := range rows {
			b = append(b, bytes.Repeat([]byte{byte(r)}, cols)...)
		}
		shape := []int{rows, cols}
		if cols == 1 {
			shape = shape[:1]
		}
		entries = append(entries, mindspore.Entry{Name: name, DType: "I8", Shape: shape, Write: mindspore.Bytes(b)})
	}
	const p = "model.layers.0."
	add(p+"attention.w_qkv.weight", 8, 4)
	add(p+"attention.w_qkv.bias", 8, 1)
	add(p+"attention.w_qkv.mindpet_delta_lora_b", 8, 3)
	add("adam_v."+p+"attention.w_qkv.mindpet_delta_lora_b", 8, 3)
	add(p+"feed_forward.w_gate_hidden.weight", 8, 4)
	must(t, mindspore.Write(dir+"/one.ckpt", entries, false))
	two := of(t, Degrees{Model: 2})
	transform(t, dir+"/one.ckpt", One(), two, dir+"/two")
	for rank, want := range [][2][]byte{{{0, 1, 4, 6}, {0, 1, 4, 5}}, {{2, 3, 5, 7}, {2, 3, 6, 7}}} {
		f, err := mindspore.Open(fmt.Sprintf("%s/two/rank_%d/checkpoint_%d.ckpt", dir, rank, rank))
		must(t, err)
		defer f.Close()
		for _, name := range f.Names() {
			x, _ := f.Tensor(name)
			rows, cols := want[0], len(x.Data)/4
			if strings.Contains(name, "gate") {
				rows = want[1]
			}
			for i, r := range rows {
				if x.Data[i*cols] != r || x.Data[i*cols+cols-1] != r {
					t.Errorf("rank %d: %s has %v, want rows %v", rank, name, x.Data, rows)
					break
				}
			}
		}
	}
	transform(t, dir+"/two", two, of(t, Degrees{Model: 1, Data: 2}), dir+"/back")
	want, _ := os.ReadFile(dir + "/one.ckpt")
	if got, _ := os.ReadFile(dir + "/back/rank_1/checkpoint_1.ckpt"); !bytes.Equal(got, want) {
		t.Error("back on one device, the rows are in another order")
	}
	tree, err := Open(dir+"/two", "", two)
	must(t, err)
	defer tree.Close()
	var b bytes.Buffer
	must(t, tree.Write(&b, p+"attention.w_qkv.bias"))
	if !bytes.Equal(b.Bytes(), []byte{0, 1, 2, 3, 4, 5, 6, 7}) {
		t.Errorf("joined: %v", b.Bytes())
	}
}
