package cost

import "lorac/ir"

// The fusions that save a step passes over memory.
const (
	savedLoRA   = "adapter and base in one tile of sums"
	savedShared = "one tile for the gradient of what linears share"
	savedNorm   = "residual and norm, and their gradients, in one pass"
	savedSwiGLU = "gate and its gradients in one pass"
	savedHead   = "logits by blocks of the vocabulary"
	savedAdamW  = "one pass of the optimizer, copies included"
)

var fusions = []string{savedLoRA, savedShared, savedNorm, savedSwiGLU, savedHead, savedAdamW}

// savedBy is what the fused statement s saves against a kernel for each part: bytes
// that its parts would hand over through memory.
func savedBy(s *ir.Stmt, env ir.Env, soc SoC) []Saving {
	result := func(i int) float64 { return float64(s.Results[i].Type.Bytes(env)) }
	one := func(fusion string, bytes float64) []Saving {
		if bytes <= 0 {
			return nil
		}
		return []Saving{{Fusion: fusion, Bytes: bytes, Seconds: bytes / soc.Bandwidth()}}
	}
	switch s.Op.Name {
	case "lora_linear", "lora_linear_grad", "lora_linear_grad_acc":
		return savedByLoRA(s, one, env)
	case "add_rmsnorm": // the sum is not read again
		return one(savedNorm, result(0))
	case "rmsnorm_grad_add": // the gradient of the norm alone is not written, nor read
		return one(savedNorm, 2*result(0))
	case "swiglu": // silu(gate) neither
		return one(savedSwiGLU, 2*result(0))
	case "swiglu_grad": // nor d∘up, and d is read once
		return one(savedSwiGLU, 4*result(0))
	case "head_loss":
		return savedByHead(s, one, env)
	case "adamw":
		return savedByAdamW(s, one)
	}
	return nil
}

// savedByLoRA: base and low-rank part are neither written nor read on their own,
// nor is their sum: x·A·B written and read, y read and written once more.
func savedByLoRA(s *ir.Stmt, one func(string, float64) []Saving, env ir.Env) (out []Saving) {
	g, err := ir.LoRAOf(s)
	if err != nil {
		return nil
	}
	if s.Op.Name == "lora_linear" {
		bytes := 0.0
		for _, l := range g.Adapters() {
			bytes += 4 * float64(s.Results[l.Y].Type.Bytes(env))
		}
		if n := len(g.Adapters()); n > 1 && g.Dropout == 0 { // all down-projections read x at once
			bytes += float64(n-1) * float64(s.Args[g.X].Type().Bytes(env))
		}
		return one(savedLoRA, bytes)
	}
	if g.DX == ir.None {
		return nil
	}
	dx := float64(s.Results[g.DX].Type.Bytes(env))
	lora := 4 * dx * float64(len(g.Adapters()))
	if g.Dropout > 0 && lora > 0 {
		lora -= 2 * dx // masks cost a second pass, one for all adapters
	}
	return append(one(savedLoRA, lora), one(savedShared, 2*dx*float64(len(g.Linears)-1))...)
}

// savedByHead: logits in f32 are neither written nor read for the loss, nor is their
// gradient written, and read for that of x.
func savedByHead(s *ir.Stmt, one func(string, float64) []Saving, env ir.Env) []Saving {
	logits := 4 * float64(env.Size(s.Args[0].Type().Shape[0])) * float64(s.Args[1].Type().Shape[0].N)
	if s.Attrs.Bool("dx") {
		return one(savedHead, 5*logits)
	}
	return one(savedHead, 2*logits)
}

// savedByAdamW: passes for m, v and the parameter read and write ten words for each
// number instead of seven, and each copy reads it once more.
func savedByAdamW(s *ir.Stmt, one func(string, float64) []Saving) []Saving {
	p := s.Args[0].Storage
	bytes := float64(p.Count() * p.Type.Bytes(nil))
	copies := 0
	for _, a := range s.Args {
		if a.Storage != nil && a.Storage.Kind == ir.Copy {
			copies++
		}
	}
	return one(savedAdamW, bytes*float64(3+copies))
}
