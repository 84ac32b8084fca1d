//go:build !linux

package offheap

// Bytes gives n zeroed bytes, which the collector frees.
func Bytes(n int) (m []byte, free func(), err error) { return make([]byte, n), func() {}, nil }

// Ints gives an empty list.
func Ints() []int32 { return nil }

// Free gives a list of Ints back, which nobody may use any more.
func Free([]int32) {}
