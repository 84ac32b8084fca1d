package safetensors_test

import (
	"fmt"
	"os"
	"path/filepath"

	"lorac/runtime/weights/safetensors"
)

// A file is written at once or not at all, and mapped to be read.
func Example() {
	dir, err := os.MkdirTemp("", "safetensors-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "model.safetensors")
	one := []byte{0, 0, 0x80, 0x3f} // 1 in float32
	err = safetensors.Write(path, []safetensors.Entry{
		{Name: "norm.weight", DType: "F32", Shape: []int{1}, Write: safetensors.Bytes(one)},
	}, map[string]string{"format": "pt"})
	if err != nil {
		panic(err)
	}
	f, err := safetensors.Open(path)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	for _, name := range f.Names() {
		x, _ := f.Tensor(name)
		fmt.Println(name, x.DType, x.Shape, x.Data)
	}
	// Output: norm.weight F32 [1] [0 0 128 63]
}
