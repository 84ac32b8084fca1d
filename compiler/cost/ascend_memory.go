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

// onTheWay is what the host takes to bring a matrix to a device, a part at a time: its
// 16 bits and the f32 that they are made of.
const onTheWay = 3 * 8 << 20

// HostOf is what a run on a device takes of the host's memory, by part, and all of it:
// what trains is mirrored there, and weights pass through. What the driver takes is not
// known.
func HostOf(m *ir.Module, u Use, d *Device) (parts []Part, total int) {
	env, mirrored, tables := m.MaxEnv(), 0, 0
	for _, s := range m.Storages {
		n := s.Count() * s.Type.Bytes(env)
		switch {
		case s.Kind == ir.Param && (s.Trainable || s.Type.DType == ir.F32 && s.Type.Rank() == 2), s.Kind == ir.Grad, s.Kind == ir.State:
			mirrored += n
		case s.Kind == ir.Table:
			tables += n
		}
	}
	for _, p := range []Part{
		{"what trains, its gradients and states, mirrored", mirrored}, {"tables", tables}, {"a weight on its way to the device", onTheWay},
		{"data", u.Data + u.Parsed}, {"the program and Go", max(d.Program+layersOf(m)*d.PerLayer+d.Procs*d.PerProc, d.Start)},
	} {
		if p.Bytes > 0 {
			parts, total = append(parts, p), total+p.Bytes
		}
	}
	return parts, total
}
