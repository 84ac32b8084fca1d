package build

import (
	"lorac/compiler/config"
	"lorac/compiler/model"
	"lorac/compiler/passes"
	"lorac/ir"
)

// Tensor is a tensor of a base checkpoint, by its name in the graph.
type Tensor struct {
	Name  string
	Shape []int
}

// Tensors are those that the base of a config has, adapters aside.
func Tensors(c *config.Config) ([]Tensor, error) {
	m, err := model.Build(c)
	if err != nil {
		return nil, err
	}
	var out []Tensor
	for _, s := range m.Storages {
		if s.Kind != ir.Param || s.Adapter() {
			continue
		}
		for i := range s.Count() {
			out = append(out, Tensor{s.TensorName(i), s.Extents()})
		}
	}
	return out, nil
}

// BlockBytes is what the base of a config takes in the blocks that its key quant
// gives, 0 without it. A compiled module would not tell: with compute the linears
// are no blocks.
func BlockBytes(c *config.Config) (n int, err error) {
	if c.Quant.V == "" {
		return 0, nil
	}
	inBlocks := *c
	inBlocks.Compute.V = "f32"
	m, err := model.Build(&inBlocks)
	if err == nil {
		err = passes.CheckTypes(m)
	}
	if err == nil {
		_, err = passes.Run(m, &passes.Options{Last: "store-types", Facts: passes.Facts{Blocks: BlockType}}, nil)
	}
	if err != nil {
		return 0, err
	}
	for _, s := range m.Storages {
		if s.Kind == ir.Param && !s.Adapter() {
			n += s.Count() * s.Type.Bytes(nil)
		}
	}
	return n, nil
}
