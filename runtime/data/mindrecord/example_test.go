package mindrecord_test

import (
	"fmt"
	"os"
	"path/filepath"

	"lorac/runtime/data/mindrecord"
)

// Rows are written page by page and read without the index.
func Example() {
	dir, err := os.MkdirTemp("", "mindrecord-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "rows.mindrecord")
	fields := map[string]mindrecord.Field{"input_ids": {Shape: []int{-1}, Type: "int32"}}
	w, err := mindrecord.Create(path, fields, mindrecord.Options{HeaderSize: 1 << 14, PageSize: 1 << 15})
	if err != nil {
		panic(err)
	}
	if err := w.Write(mindrecord.Row{"input_ids": []int32{1, 17, 2}}, mindrecord.Row{"input_ids": []int32{1, 2}}); err != nil {
		panic(err)
	}
	if err := w.Close(0); err != nil {
		panic(err)
	}
	s, err := mindrecord.Open(path)
	if err != nil {
		panic(err)
	}
	defer s.Close()
	err = s.Each(func(r *mindrecord.Record) error {
		ids, err := r.Ints("input_ids")
		fmt.Println(r.ID, ids)
		return err
	})
	if err != nil {
		panic(err)
	}
	// Output:
	// 0 [1 17 2]
	// 1 [1 2]
}
