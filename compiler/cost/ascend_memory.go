package cost

import (
	"fmt"

	"lorac/ir"
)

// MemoryOn is what a run of a module takes of a device's memory, by part, and all
// of it, in bytes. Everything is there from the start to the end. scratch is the
// workspace of the kernels; nil: none is counted. sums are the bytes of sums of the
// gradients of several devices.
func MemoryOn(m *ir.Module, scratch func(z KernelSizes) int, sums int) (parts []Part, total int) {
	env := m.MaxEnv()
	add := func(name string, n int) {
		if n == 0 {
			return
		}
		total += n
		for i := range parts {
			if parts[i].Name == name {
				parts[i].Bytes += n
				return
			}
		}
		parts = append(parts, Part{name, n})
	}
	for _, s := range m.Storages {
		n := s.Count() * s.Type.Bytes(env)
		switch {
		case s.Kind == ir.Param && (s.Trainable || s.Type.DType == ir.F32 && s.Type.Rank() == 2):
			add("adapters", n)
		case s.Kind == ir.Param:
			add("frozen weights, as "+m.Low().String(), n)
		case s.Kind == ir.Copy:
			add("their copies, as "+m.Low().String(), n)
		case s.Kind == ir.Grad:
			add("gradients", n)
		case s.Kind == ir.State:
			add("optimizer state", n)
		default:
			add("tables", n)
		}
	}
	add("sums of gradients over units", sums)
	add(fmt.Sprintf("activations of a micro-batch of %d token rows", env["T"]), m.Arena())
	if scratch != nil {
		add("workspace of the kernels", scratch(KernelSizesOf(m, env, 1)))
	}
	return parts, total
}
