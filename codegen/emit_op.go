package codegen

import (
	"fmt"
	"reflect"
	"strings"

	j "github.com/dave/jennifer/jen"

	"lorac/ir"
)

// call is one statement to be written as a kernel call.
type call struct {
	*body
	s     *ir.Stmt
	types map[j.Code]operand // of the arguments made so far
	fault error              // the first that has no form
}

// operand is an argument of a call: what it is, and its type.
type operand struct{ what, typ string }

// note remembers the type of an argument; one without a type has no form.
func (c *call) note(arg *j.Statement, what, typ string) *j.Statement {
	if typ == "" {
		c.refuse("%s is not one tensor in `%s`", what, c.x.f.Name)
	}
	if c.types == nil {
		c.types = map[j.Code]operand{}
	}
	c.types[arg] = operand{what, typ}
	return arg
}

func (c *call) refuse(format string, args ...any) {
	if c.fault == nil {
		c.fault = c.v.formless(c.s.Line, "`%s`: %s", c.s.Op.Name, fmt.Sprintf(format, args...))
	}
}

// fits checks the type of an argument against that which is wanted.
func (c *call) fits(arg j.Code, want reflect.Type, by string) {
	if o, ok := c.types[arg]; ok && o.typ != "" && kernelTypes(c.v.ascend)[o.typ] != want {
		c.refuse("%s, a %s, is not what %s takes there", o.what, o.typ, by)
	}
}

// check checks the arguments against the kernel.
func (c *call) check(kernel string, args []j.Code) {
	m, ok := c.v.method(kernel)
	if !ok {
		c.refuse("there is no kernel %s", kernel)
		return
	}
	n := m.Type.NumIn() - 1 // without the receiver
	for i, arg := range args {
		switch {
		case m.Type.IsVariadic() && i >= n-1:
			c.fits(arg, m.Type.In(n).Elem(), kernel)
		case i < n:
			c.fits(arg, m.Type.In(i+1), kernel)
		}
	}
	if results := m.Type.NumOut(); results == 0 && len(c.s.Results) > 0 && c.s.Results[0].Type.Rank() == 0 {
		c.refuse("%s returns no number", kernel)
	}
}

func (c *call) in(i int) *j.Statement {
	o := c.s.Args[i]
	return c.note(c.arg(o), o.String(), c.v.typeOfOperand(c.x, o))
}

func (c *call) out(i int) *j.Statement {
	r := c.s.Results[i]
	return c.note(c.val(r), r.String(), c.v.typeOfValue(c.x, r))
}

// scalarIn is operand i where the kernel wants a number that a kernel made.
func (c *call) scalarIn(i int) *j.Statement {
	want := "Scalar"
	arg := c.in(i)
	if c.s.Args[i].Value == nil || c.s.Args[i].Value.Def == nil {
		want = "float64"
	}
	c.fits(arg, kernelTypes(c.v.ascend)[want], "the kernel")
	if want == "float64" {
		return j.Qual(kPath, "Number").Call(arg)
	}
	return arg
}

// weightIn is operand i where the kernel wants a weight.
func (c *call) weightIn(i int) *j.Statement {
	o := c.s.Args[i]
	typ := c.v.typeOfOperand(c.x, o)
	if o.Value != nil || slab(o.Storage) && o.Storage.Kind != ir.Copy {
		typ = map[string]string{"Mat": "Weight"}[typ]
	}
	return c.note(c.weight(o), o.String(), typ)
}

// real and size are attributes: a number by its name, an extent by its role.
func (c *call) real(name string) *j.Statement { return c.v.numbers.attr(c.s, name) }
func (c *call) size(name string) *j.Statement { return c.v.numbers.dim(c.s.Attrs.Dim(name)) }

// dtype is the kernels' name of an element type.
func dtype(name string) *j.Statement { return j.Qual(kPath, strings.ToUpper(name)) }

// layout gives the arguments of a kernel call: outputs first, inputs next,
// scalars last.
type layout func(c *call) []j.Code

// inOrder is the layout of most ops: results, operands, then the named attributes.
func inOrder(attrs ...string) layout {
	return func(c *call) (args []j.Code) {
		for i := range c.s.Results {
			if c.s.Results[i].Type.Rank() > 0 {
				args = append(args, c.out(i))
			}
		}
		for i := range c.s.Args {
			args = append(args, c.in(i))
		}
		for _, a := range attrs {
			args = append(args, c.real(a))
		}
		return args
	}
}

// layouts are the ops that are written in another way.
var layouts = map[string]layout{
	"scale":       inOrder("by"),
	"rmsnorm":     inOrder("eps"),
	"add_rmsnorm": inOrder("eps"),
	"round":       func(c *call) []j.Code { return []j.Code{c.out(0), c.in(0), dtype(c.s.Attrs.Str("dtype"))} },
	"rmsnorm_grad_w_acc": func(c *call) []j.Code {
		return []j.Code{c.in(3), c.in(0), c.in(1), c.in(2)}
	},
	"row_norms": func(c *call) []j.Code {
		return []j.Code{c.out(0), c.weightIn(0), c.in(1), c.in(2), c.real("by")}
	},
	"scale_cols_grad_m_acc": func(c *call) []j.Code {
		return []j.Code{c.in(3), c.in(0), c.in(1), c.in(2)}
	},
	"sum_rows_acc": func(c *call) []j.Code { return []j.Code{c.in(1), c.in(0)} },
	"add_matmul":   func(c *call) []j.Code { return []j.Code{c.out(0), c.in(0), c.in(1), c.weightIn(2)} },
	"matmul": func(c *call) []j.Code {
		if c.s.Attrs.Str("trans") == "lhs" {
			return []j.Code{c.out(0), c.in(0), c.in(1)}
		}
		return []j.Code{c.out(0), c.in(0), c.weightIn(1)}
	},
	"matmul_acc": func(c *call) []j.Code { return []j.Code{c.in(2), c.in(0), c.in(1)} },
	"dropout": func(c *call) []j.Code {
		return []j.Code{c.out(0), c.in(0), c.drop(c.s.Attrs.Int("stream"), 0, 1, 2)}
	},
	"rope": func(c *call) []j.Code { return append(inOrder()(c), c.size("head_dim")) },
	"attention": func(c *call) []j.Code {
		return append([]j.Code{c.out(0), c.out(1), c.in(0), c.in(1), c.in(2), c.in(3)}, c.attention(4)...)
	},
	"cached_attention": func(c *call) []j.Code {
		args := inOrder()(c)
		if len(c.s.Args) == 6 { // one text
			args = append(args, j.Nil(), j.Nil())
		}
		return append(args, c.size("heads"), c.size("kv_heads"), c.real("scale"))
	},
	"attention_grad": func(c *call) []j.Code {
		args := []j.Code{c.out(0), c.out(1), c.out(2)}
		for i := range 7 {
			args = append(args, c.in(i))
		}
		return append(args, c.attention(7)...)
	},
	"split_cols": func(c *call) []j.Code {
		args := []j.Code{c.in(0)}
		for i := range c.s.Results {
			args = append(args, c.out(i))
		}
		return args
	},
	"embed": func(c *call) []j.Code { return append([]j.Code{c.out(0), c.in(0), c.weightIn(1)}, c.first(1, 0)...) },
	"embed_grad_acc": func(c *call) []j.Code {
		return append([]j.Code{c.in(2), c.in(0), c.in(1)}, c.first(2, 0)...)
	},
	"head_stats": func(c *call) []j.Code {
		return append([]j.Code{c.out(0), c.out(1), c.in(0), c.weightIn(1), c.in(2)}, c.firstOrZero(1, 0))
	},
	"head_grad":            (*call).headGrad,
	"sum_squares":          (*call).slabs,
	"root":                 (*call).numbers,
	"head_loss":            (*call).headLoss,
	"lora_linear":          (*call).loraLinear,
	"lora_linear_grad":     (*call).loraGrad,
	"lora_linear_grad_acc": (*call).loraGrad,
	"norm":                 (*call).slabs,
	"zero":                 (*call).slabs,
	"clip": func(c *call) []j.Code {
		return []j.Code{c.scalarIn(0), c.real("max"), j.Lit(c.s.Attrs.Str("rule") == "torch")}
	},
}

func init() {
	for name, l := range optimizers {
		layouts[name] = l
	}
}

// slabs are operands that stand for all their layers at once.
func (c *call) slabs() (args []j.Code) {
	for _, a := range c.s.Args {
		if a.Storage == nil || !slab(a.Storage) {
			c.refuse("%s is not what trains, its gradient or its state", a)
			return nil
		}
		args = append(args, c.data(a.Storage))
	}
	return args
}

// attention writes the row numbers (or nil) and the scalars.
func (c *call) attention(rows int) []j.Code {
	r := j.Nil()
	if len(c.s.Args) > rows {
		r = c.in(rows)
	}
	return []j.Code{r, c.size("heads"), c.size("kv_heads"), c.real("scale")}
}

func (c *call) headLoss() []j.Code {
	dx := j.Qual(kPath, "Mat").Values()
	if c.s.Attrs.Bool("dx") {
		dx = c.out(1)
	}
	args := []j.Code{dx}
	if len(c.s.Args) > 4 {
		args = append(args, c.in(4))
	}
	return append(args, c.in(0), c.weightIn(1), c.in(2), c.in(3))
}
