package codegen

import (
	"strings"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// call is one statement to be written as a kernel call.
type call struct {
	*body
	s *ir.Stmt
}

func (c *call) in(i int) *j.Statement  { return c.arg(c.s.Args[i]) }
func (c *call) out(i int) *j.Statement { return c.val(c.s.Results[i]) }
func (c *call) f(name string) *j.Statement {
	return number(c.s.Attrs.Float(name))
}

func kernel(name string, args ...j.Code) *j.Statement { return j.Qual(kPath, name).Call(args...) }

// dtype is the kernels' name of an element type.
func dtype(name string) *j.Statement { return j.Qual(kPath, strings.ToUpper(name)) }

// plain writes outputs, inputs, then the named attributes.
func plain(name string, attrs ...string) func(c *call) *j.Statement {
	return func(c *call) *j.Statement {
		return j.Qual(kPath, name).CallFunc(func(g *j.Group) {
			for i := range c.s.Results {
				g.Add(c.out(i))
			}
			for i := range c.s.Args {
				g.Add(c.in(i))
			}
			for _, a := range attrs {
				g.Add(literal(c.s.Attrs[a]))
			}
		})
	}
}

// emitters is how each op is written; the kernels take outputs first, inputs
// next, scalars last.
var emitters = map[string]func(c *call) *j.Statement{
	"add": plain("Add"), "mul": plain("Mul"), "silu": plain("SiLU"), "silu_grad": plain("SiLUGrad"),
	"swiglu": plain("SwiGLU"), "swiglu_grad": plain("SwiGLUGrad"),
	"round":  func(c *call) *j.Statement { return kernel("Round", c.out(0), c.in(0), dtype(c.s.Attrs.Str("dtype"))) },
	"narrow": plain("Narrow"), "widen": plain("Widen"),
	"scale":   func(c *call) *j.Statement { return kernel("Scale", c.out(0), c.in(0), c.f("by")) },
	"rmsnorm": func(c *call) *j.Statement { return kernel("RMSNorm", c.out(0), c.out(1), c.in(0), c.in(1), c.f("eps")) },
	"add_rmsnorm": func(c *call) *j.Statement {
		return kernel("AddRMSNorm", c.out(0), c.out(1), c.out(2), c.in(0), c.in(1), c.in(2), c.f("eps"))
	},
	"rmsnorm_grad":     plain("RMSNormGrad"),
	"rmsnorm_grad_add": plain("RMSNormGradAdd"),
	"rmsnorm_grad_w_acc": func(c *call) *j.Statement {
		return kernel("RMSNormGradW", c.in(3), c.in(0), c.in(1), c.in(2))
	},
	"add_matmul": func(c *call) *j.Statement {
		return kernel("MatMulOnto", c.out(0), c.in(0), c.in(1), c.weight(c.s.Args[2]))
	},
	"matmul":     func(c *call) *j.Statement { return c.matmul("", c.out(0)) },
	"matmul_acc": func(c *call) *j.Statement { return c.matmul("Add", c.in(2)) },
	"dropout": func(c *call) *j.Statement {
		return kernel("Dropout", c.out(0), c.in(0), c.drop(c.s.Attrs.Int("stream"), c.in(1), c.in(2)))
	},
	"rope": func(c *call) *j.Statement {
		name := "Rope"
		if c.s.Attrs.Bool("inverse") {
			name = "RopeGrad"
		}
		return kernel(name, c.out(0), c.in(0), c.in(1), c.in(2), c.in(3), c.v.num(c.s.Attrs.Int("head_dim")))
	},
	"attention": func(c *call) *j.Statement {
		return kernel("Attention", append([]j.Code{c.out(0), c.out(1), c.in(0), c.in(1), c.in(2), c.in(3)}, c.attention(4)...)...)
	},
	"cached_attention": func(c *call) *j.Statement {
		return kernel("CachedAttention", c.out(0), c.in(0), c.in(1), c.in(2), c.in(3), c.in(4), c.in(5),
			c.v.num(c.s.Attrs.Int("heads")), c.v.num(c.s.Attrs.Int("kv_heads")), c.f("scale"))
	},
	"attention_grad": func(c *call) *j.Statement {
		args := []j.Code{c.out(0), c.out(1), c.out(2)}
		for i := range 7 {
			args = append(args, c.in(i))
		}
		return kernel("AttentionGrad", append(args, c.attention(7)...)...)
	},
	"gather_rows": func(c *call) *j.Statement {
		if t := c.s.Results[0].Type; t.Rank() == 1 {
			return kernel("Gather", c.out(0), c.in(0), c.in(1))
		}
		return kernel("GatherRows", c.out(0), c.in(0), c.in(1))
	},
	"scatter_rows": plain("ScatterRows"),
	"split_cols": func(c *call) *j.Statement {
		args := []j.Code{c.in(0)}
		for i := range c.s.Results {
			args = append(args, c.out(i))
		}
		return kernel("SplitCols", args...)
	},
	"concat_cols":    plain("ConcatCols"),
	"zeros":          plain("Zeros"),
	"embed":          func(c *call) *j.Statement { return kernel("Embed", c.out(0), c.in(0), c.weight(c.s.Args[1])) },
	"embed_grad_acc": func(c *call) *j.Statement { return kernel("EmbedGrad", c.in(2), c.in(0), c.in(1)) },
	"cross_entropy":  func(c *call) *j.Statement { return kernel("CrossEntropy", c.in(0), c.in(1), c.in(2)) },
	"cross_entropy_grad": func(c *call) *j.Statement {
		return kernel("CrossEntropyGrad", c.out(0), c.in(0), c.in(1), c.in(2))
	},
	"head_loss":            func(c *call) *j.Statement { return c.headLoss() },
	"lora_linear":          func(c *call) *j.Statement { return c.loraLinear() },
	"lora_linear_grad_acc": func(c *call) *j.Statement { return c.loraGrad() },
	"accumulate":           func(c *call) *j.Statement { return kernel("Accumulate", c.in(0), c.in(1)) },
	"norm": func(c *call) *j.Statement {
		var args []j.Code
		for _, a := range c.s.Args {
			args = append(args, j.Line().Add(c.data(a.Storage)))
		}
		return kernel("Norm", append(args, j.Line())...)
	},
	"clip": func(c *call) *j.Statement {
		return kernel("Clip", c.in(0), c.f("max"), j.Lit(c.s.Attrs.Str("rule") == "torch"))
	},
	"zero": func(c *call) *j.Statement {
		var args []j.Code
		for _, a := range c.s.Args {
			args = append(args, j.Line().Add(c.data(a.Storage)))
		}
		return kernel("Clear", append(args, j.Line())...)
	},
}

func init() {
	for name, emit := range optimizers {
		emitters[name] = emit
	}
}

// matmul writes a product; prefix Add accumulates.
func (c *call) matmul(prefix string, out *j.Statement) *j.Statement {
	switch c.s.Attrs.Str("trans") {
	case "rhs":
		return kernel(prefix+"MatMulNT", out, c.in(0), c.weight(c.s.Args[1]))
	case "lhs":
		return kernel(prefix+"MatMulTN", out, c.in(0), c.in(1))
	}
	return kernel(prefix+"MatMulNN", out, c.in(0), c.weight(c.s.Args[1]))
}

func (c *call) drop(stream int, keys, layer *j.Statement) *j.Statement {
	return j.Qual(kPath, "Drop").Values(j.Id("P").Op(":").Add(c.f("p")), j.Id("Keys").Op(":").Add(keys),
		j.Id("Layer").Op(":").Add(layer), j.Id("Stream").Op(":").Lit(stream))
}

// attention writes the row numbers (or nil) and the scalars.
func (c *call) attention(rows int) []j.Code {
	r := j.Nil()
	if len(c.s.Args) > rows {
		r = c.in(rows)
	}
	return []j.Code{r, c.v.num(c.s.Attrs.Int("heads")), c.v.num(c.s.Attrs.Int("kv_heads")), c.f("scale")}
}

func (c *call) headLoss() *j.Statement {
	dx := j.Qual(kPath, "Mat").Values()
	if c.s.Attrs.Bool("dx") {
		dx = c.out(1)
	}
	if len(c.s.Args) > 4 {
		return kernel("HeadLossGradW", dx, c.in(4), c.in(0), c.weight(c.s.Args[1]), c.in(2), c.in(3))
	}
	return kernel("HeadLoss", dx, c.in(0), c.weight(c.s.Args[1]), c.in(2), c.in(3))
}

// loraParts reads the groups of operands from index w on: per part the
// positions of w, a and b (0 for none).
func (c *call) loraParts(w int) (kinds []string, at [][3]int, keys int) {
	for _, p := range c.s.Attrs.List("parts") {
		kind, _ := p.(string)
		kinds = append(kinds, kind)
		if kind == "plain" {
			at = append(at, [3]int{w, 0, 0})
			w++
		} else {
			at = append(at, [3]int{w, w + 1, w + 2})
			w += 3
		}
	}
	return kinds, at, w
}

// adapterFields are the fields an adapted part has beyond its weight.
func (c *call) adapterFields(at [3]int, keys, n int) []j.Code {
	out := []j.Code{
		j.Id("A").Op(":").Add(c.in(at[1])), j.Id("B").Op(":").Add(c.in(at[2])),
		j.Id("Scale").Op(":").Add(c.f("scale")),
	}
	if c.s.Attrs.Float("p") > 0 {
		stream, _ := c.s.Attrs.List("streams")[n].(int)
		out = append(out, j.Id("Drop").Op(":").Add(c.drop(stream, c.in(keys), c.in(keys+1))))
	}
	return out
}

func (c *call) loraLinear() *j.Statement {
	kinds, at, keys := c.loraParts(1)
	args := []j.Code{c.in(0)}
	result, adapted := 0, 0
	for i, kind := range kinds {
		fields := []j.Code{j.Id("Y").Op(":").Add(c.out(result)), j.Id("W").Op(":").Add(c.weight(c.s.Args[at[i][0]]))}
		result++
		if kind != "plain" {
			fields = append(fields, j.Id("XA").Op(":").Add(c.out(result)))
			fields = append(fields, c.adapterFields(at[i], keys, adapted)...)
			result++
			adapted++
		}
		args = append(args, j.Line().Qual(kPath, "Adapted").Values(fields...))
	}
	return kernel("LoRALinear", append(args, j.Line())...)
}

func (c *call) loraGrad() *j.Statement {
	parts := c.s.Attrs.List("parts")
	n := len(parts)
	adapters := 0
	for _, p := range parts {
		if p != "plain" {
			adapters++
		}
	}
	kinds, at, keys := c.loraParts(n + 1 + adapters)
	grads := keys
	if c.s.Attrs.Float("p") > 0 {
		grads += 2
	}
	dx := j.Qual(kPath, "Mat").Values()
	if len(c.s.Results) > 0 {
		dx = c.out(0)
	}
	args := []j.Code{dx, c.in(n)}
	xa, adapted := n+1, 0
	for i, kind := range kinds {
		fields := []j.Code{j.Id("DY").Op(":").Add(c.in(i)), j.Id("W").Op(":").Add(c.weight(c.s.Args[at[i][0]]))}
		if kind != "plain" {
			fields = append(fields, j.Id("XA").Op(":").Add(c.in(xa)))
			fields = append(fields, c.adapterFields(at[i], keys, adapted)...)
			xa++
			adapted++
		}
		if kind == "lora" {
			fields = append(fields, j.Id("DA").Op(":").Add(c.in(grads)), j.Id("DB").Op(":").Add(c.in(grads+1)))
			grads += 2
		}
		args = append(args, j.Line().Qual(kPath, "AdaptedGrad").Values(fields...))
	}
	return kernel("LoRALinearGrad", append(args, j.Line())...)
}
