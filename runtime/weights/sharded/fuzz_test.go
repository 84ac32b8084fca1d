package sharded

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"

	"lorac/runtime/weights/mindspore"
)

// FuzzTree lays any files out by any strategy: an error, or tensors that can
// be written, spread over two devices, and joined again.
func FuzzTree(f *testing.F) {
	dir := f.TempDir()
	write := func(name string, entries ...mindspore.Entry) []byte {
		path := filepath.Join(dir, name)
		if err := mindspore.Write(path, entries, false); err != nil {
			f.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		return b
	}
	const w = "model.layers.0.attention.wq.weight"
	a := write("a", mindspore.Entry{Name: w, DType: "I8", Shape: []int{1, 2}, Write: mindspore.Bytes([]byte{1, 2})}, mindspore.Int("step_num", 1))
	b := write("b", mindspore.Entry{Name: w, DType: "I8", Shape: []int{1, 2}, Write: mindspore.Bytes([]byte{3, 4})}, mindspore.Int("step_num", 1))
	s := &File{Stage: 1, Params: []Param{{Name: w, Layout: Layout{Devices: []int{2}, Map: []int{0, -1}}}}}
	f.Add(s.Bytes(), a, b)
	s.Params[0].Layout.OptStep, s.Params[0].Layout.OptSize, s.Params[0].Layout.Map = 1, 2, []int{-1, -1}
	f.Add(s.Bytes(), a, b)
	f.Fuzz(func(t *testing.T, layout, first, second []byte) {
		dir := t.TempDir()
		for i, data := range [][]byte{first, second} {
			rank := filepath.Join(dir, "tree", fmt.Sprintf("rank_%d", i))
			must(t, os.MkdirAll(rank, 0o777))
			must(t, os.WriteFile(filepath.Join(rank, fmt.Sprintf("x_rank_%d-1_1.ckpt", i)), data, 0o666))
		}
		must(t, os.WriteFile(filepath.Join(dir, "s.ckpt"), layout, 0o666))
		spread, err := Load(filepath.Join(dir, "s.ckpt"))
		if err != nil {
			return
		}
		tree, err := Open(filepath.Join(dir, "tree"), "", spread)
		if err != nil || tree.Verify() != nil {
			return
		}
		defer tree.Close()
		for _, name := range tree.Names() {
			n := 0
			if err := tree.Write(counter{&n}, name); err != nil || n > 4*(len(first)+len(second)) {
				t.Fatalf("%s: %d bytes, %v", name, n, err)
			}
		}
		two, err := Of(Degrees{Model: 2})
		must(t, err)
		for rank := range 2 {
			entries, err := tree.entries(two, rank)
			if err != nil {
				return // shapes need not divide
			}
			for _, e := range entries {
				if err := e.Write(io.Discard); err != nil {
					t.Fatalf("%s for rank %d: %v", e.Name, rank, err)
				}
			}
		}
	})
}

type counter struct{ n *int }

func (c counter) Write(b []byte) (int, error) { *c.n += len(b); return len(b), nil }
