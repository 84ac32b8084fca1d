package gguf_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"lorac/runtime/weights/gguf"
)

// Shapes have the slowest dimension first; the file has them the other way round.
func Example() {
	dir, err := os.MkdirTemp("", "gguf-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.gguf")
	err = gguf.Write(path, []gguf.KV{{Key: "general.architecture", Value: "llama"}}, []gguf.Entry{
		{Name: "output.weight", Type: "F16", Shape: []int{3, 2}, Write: func(w io.Writer) error {
			_, err := w.Write(make([]byte, 12))
			return err
		}},
	})
	if err != nil {
		panic(err)
	}
	f, err := gguf.Open(path)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	fmt.Println(f.Meta["general.architecture"])
	for _, x := range f.Tensors {
		fmt.Println(x.Name, x.Type, x.Shape, len(x.Data))
	}
	// Output:
	// llama
	// output.weight F16 [3 2] 12
}
