package cost

import (
	"slices"

	"lorac/ir"
)

// What the methods of kernels/ascend launch, by kernel.
const (
	linearsAtOnce  = 3 // of a group
	productsAtOnce = 4 // weight gradients
)

// Launches is the kernels that a statement launches, in order.
func Launches(s *ir.Stmt) []string {
	switch s.Op.Name {
	case "lora_linear":
		return launchesForward(s)
	case "lora_linear_grad", "lora_linear_grad_acc":
		return launchesBackward(s)
	case "matmul":
		switch {
		case s.Results[0].Type.DType == ir.F32:
			return []string{"linear_f32"}
		case s.Attrs.Str("trans") == "none":
			return []string{"lora_linear_grad"}
		}
		return []string{"lora_linear"}
	case "head_loss":
		return []string{"head_loss", "row_sum"}
	case "norm":
		return append(slices.Repeat([]string{"sum_squares"}, len(s.Args)), "norm")
	case "zero":
		return slices.Repeat([]string{"zero"}, len(s.Args))
	}
	return []string{s.Op.Ascend}
}

func launchesForward(s *ir.Stmt) (out []string) {
	g, err := ir.LoRAOf(s)
	if err != nil {
		return nil
	}
	for group := range slices.Chunk(g.Linears, linearsAtOnce) {
		down := false
		for _, l := range group {
			if l.Adapted && g.Dropout > 0 {
				out = append(out, "lora_down_drop")
			}
			down = down || l.Adapted && g.Dropout == 0
		}
		if down {
			out = append(out, "lora_down")
		}
		out = append(out, "lora_linear")
	}
	return out
}

func launchesBackward(s *ir.Stmt) (out []string) {
	g, err := ir.LoRAOf(s)
	if err != nil {
		return nil
	}
	products, dropped := 0, false
	if adapters := g.Adapters(); len(adapters) > 0 && (g.DX != ir.None || g.Trains()) {
		out = append(out, "lora_up_grad")
	}
	for _, l := range g.Linears {
		dropped = dropped || l.Adapted && g.Dropout > 0
		if l.Kind != "lora" {
			continue
		}
		products++ // db
		if g.Dropout > 0 {
			out = append(out, "weight_grad_drop")
		} else {
			products++
		}
	}
	for ; products > 0; products -= productsAtOnce {
		out = append(out, "weight_grad")
	}
	if g.DX != ir.None {
		out = append(out, "lora_linear_grad")
		if dropped {
			out = append(out, "lora_dx_drop")
		}
	}
	return out
}
