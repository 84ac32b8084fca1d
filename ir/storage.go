package ir

import (
	"fmt"
	"strings"
)

// TensorName is the name in checkpoints of tensor i of the storage.
func (s *Storage) TensorName(i int) string {
	if s.Stack != nil {
		i += s.Stack.Lo
	}
	return strings.ReplaceAll(s.Attrs.Str("name"), "{i}", fmt.Sprint(i))
}

// Extents is the shape of one tensor of the storage.
func (s *Storage) Extents() []int {
	shape := make([]int, s.Type.Rank())
	for i, d := range s.Type.Shape {
		shape[i] = d.N
	}
	return shape
}

// Adapter reports whether the storage is a factor of a LoRA adapter.
func (s *Storage) Adapter() bool { return strings.Contains(s.Attrs.Str("name"), "_lora_") }

// Module reports whether the storage is a module that is saved with an adapter and read
// from it: it is in memory, whether it trains or not.
func (s *Storage) Module() bool { return s.Attrs.Bool("module") }
