package passes

import (
	"fmt"
	"slices"

	"lorac/compiler/cost"
	"lorac/ir"
)

// storeTypes gives the frozen storages the types they have in memory: as the
// checkpoint stores them, in blocks where the setting quant.kind says so, and
// the linears of the layers in eight bits where compute is int8, which the
// trainer makes of whatever is stored:
//
//	param $embed : bf16[32000,4096] frozen          param $embed : q8_0[32000,4096] frozen
//	param $layer.wq.w : bf16[4096,4096] frozen  →   param $layer.wq.w : q4_0[4096,4096] frozen
func storeTypes(m *ir.Module, o *Options) int {
	n := storeAsBase(m, o.Facts.Base)
	if kind, _ := m.Setting("quant.kind").(string); kind != "" && o.Facts.Blocks != nil {
		n += storeInBlocks(m, kind, o.Facts.Blocks)
	}
	if computesInt8(m) {
		n += storeInEightBits(m)
	}
	return n
}

// knowsTypes reports whether something decides the types of a module.
func knowsTypes(m *ir.Module, o *Options) bool {
	kind, _ := m.Setting("quant.kind").(string)
	return o.Facts.Base != nil || kind != "" && o.Facts.Blocks != nil || computesInt8(m)
}

func computesInt8(m *ir.Module) bool {
	compute, _ := m.Setting("compute").(string)
	return compute == "int8"
}

// CheckTypes refuses what storeTypes cannot do: settings of the user that
// contradict each other.
func CheckTypes(m *ir.Module) error {
	if kind, _ := m.Setting("quant.kind").(string); kind != "" {
		for _, s := range m.Storages {
			if s.Kind == ir.Param && !s.Adapter() && s.Trainable {
				return fmt.Errorf("quant: %s keeps the base in blocks, but %s trains\n  = help: take it out of freeze_exclude in pet_config, or leave quant away", kind, s.Name)
			}
		}
	}
	if computesInt8(m) && !slices.ContainsFunc(m.Storages, frozenLinear) {
		return fmt.Errorf("compute: int8 is for the frozen linears of the layers, but all of them train\n  = help: take some out of freeze_exclude in pet_config, or leave compute away")
	}
	return nil
}

func storeAsBase(m *ir.Module, b *Base) (n int) {
	if b == nil {
		return 0
	}
	for _, s := range m.Storages {
		stored, ok := b.Stored[s.Name]
		if !ok || s.Trainable || s.Module() {
			continue
		}
		n += setType(s, stored.DType)
		if stored.Narrower != 0 {
			set(m, cost.Narrower(s), stored.Narrower)
		}
	}
	if b.InMemory {
		set(m, cost.InMemory, true)
	}
	if b.Joined > 0 {
		set(m, cost.Joined, b.Joined)
	}
	return n
}

// storeInBlocks leaves a base alone that is in blocks already: the trainer takes
// it as it is. One that is quantised is a new file, whose rows can be read.
func storeInBlocks(m *ir.Module, kind string, blocks BlockType) (n int) {
	var base []*ir.Storage
	for _, s := range m.Storages {
		if s.Kind == ir.Param && !s.Adapter() && !s.Module() {
			base = append(base, s)
		}
	}
	if slices.ContainsFunc(base, func(s *ir.Storage) bool { elems, _ := s.Type.DType.Block(); return elems > 1 }) {
		return 0
	}
	unset(m, cost.InMemory)
	for _, s := range base {
		if d, ok := blocks(kind, s.TensorName(0), s.Extents(), s.Type.DType); ok {
			n += setType(s, d)
			unset(m, cost.Narrower(s))
		}
	}
	return n
}

func storeInEightBits(m *ir.Module) (n int) {
	for _, s := range m.Storages {
		if frozenLinear(s) {
			n += setType(s, ir.I8)
		}
	}
	return n
}

// frozenLinear reports whether a storage is the frozen matrices of the layers.
func frozenLinear(s *ir.Storage) bool {
	return s.Kind == ir.Param && !s.Trainable && !s.Adapter() && !s.Module() && s.Stack != nil && s.Type.Rank() == 2
}

func setType(s *ir.Storage, d ir.DType) int {
	if s.Type.DType == d {
		return 0
	}
	s.Type.DType = d
	return 1
}
