//go:build !linux

package offheap

// Bytes gives n zeroed bytes.
func Bytes(n int) ([]byte, error) { return make([]byte, n), nil }

// Ints gives an empty list.
func Ints() []int32 { return nil }

// Free gives a list of Ints back, which nobody may use any more.
func Free([]int32) {}
