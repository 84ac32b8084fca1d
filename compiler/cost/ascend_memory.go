package cost

import (
	"fmt"

	"lorac/ir"
)

// workspace is the most that a mixed kernel takes for a group of cores, in bytes
// (csrc/*.table.h).
const workspace = 1 << 20

// MemoryOn is what a run of a module takes of a device's memory, by part, and all
// of it, in bytes. Everything is there from the start to the end.
func MemoryOn(m *ir.Module, cubes int) (parts []Part, total int) {
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
	add(fmt.Sprintf("activations of a micro-batch of %d token rows", env["T"]), m.Arena())
	add("workspace of the kernels", cubes*workspace+scratchRows(m, env))
	return parts, total
}

// scratchRows is what of the workspace grows with the token rows: gradients of x·a,
// row and partial sums of attention's gradient, losses of rows.
func scratchRows(m *ir.Module, env ir.Env) (most int) {
	for _, f := range m.Funcs {
		for _, s := range f.Body {
			n := 0
			switch s.Op.Name {
			case "head_loss":
				n = 4 * env["S"]
			case "attention_grad":
				q, k := s.Args[1].Type(), s.Args[2].Type()
				n = 8*env.Size(q.Shape[0])*s.Attrs.Int("heads") + 4*partialSums(env.Size(k.Shape[0]), env.Size(q.Shape[0]), s.Attrs.Int("kv_heads"))*env.Size(q.Shape[1])
			case "lora_linear_grad", "lora_linear_grad_acc":
				if g, err := ir.LoRAOf(s); err == nil {
					for _, l := range g.Adapters() {
						n += s.Args[l.XA].Type().Bytes(env)
					}
				}
			}
			most = max(most, n)
		}
	}
	return most
}

// partialSums is the rows of partial sums of dq: one for each query and range of keys
// that it sees (csrc/attention_sizes.h).
func partialSums(keys, queries, kvHeads int) (rows int) {
	span := 1024
	if kvHeads < 16 {
		span = 512
	}
	for k := 0; k < keys; k += span {
		rows += min(keys-k, queries)
	}
	return rows
}
