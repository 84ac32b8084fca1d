package ir

import (
	"fmt"
	"regexp"
	"sort"
)

// Op is what an operation is. Everything about one stands in one file of
// package ir/op; a new op touches no switch anywhere.
type Op struct {
	Name string
	Doc  string // one line: the formula with shapes
	// Formula says what a statement computes where Doc tells of several forms.
	Formula func(s *Stmt) string
	// Named: the names of Args in the formula stand for the operands.
	Named bool

	// Args names the operands in order; the last one may repeat when Variadic,
	// and those from Optional on may be missing.
	Args     []string
	Optional int // how many of the last Args may be absent
	Variadic bool
	Attrs    []AttrSpec

	// Infer gives the result types, or says why the operands do not fit.
	Infer func(s *Stmt) ([]Type, error)
	// Eval computes the results in float64: the meaning of the op. Storages
	// the op writes are changed in place.
	Eval func(c *EvalCtx)
	// Grad emits the statements of the reverse-mode rule. nil: no gradient
	// passes through (its operands are not differentiable).
	Grad func(g *GradCtx)
	// Cost is what running it once takes; nil for ops that only move data.
	Cost func(s *Stmt, env Env) []Work

	// Kernel is the name of the function that runs it, in every kernel package;
	// "" where no program holds the op, because a pass replaces it.
	Kernel string
	// KernelOf replaces Kernel where the name depends on the statement.
	KernelOf func(s *Stmt) string
	// Ascend is the kernels that run it on an Ascend device, by their names in
	// kernels/ascend/csrc without the type; or NoAscend says why a module that
	// holds it is refused there, and the way out. NoAscendOf is for ops that have
	// kernels for some statements only.
	Ascend, NoAscend string
	NoAscendOf       func(s *Stmt) string
	// Writes lists the operands (storages) the op changes.
	Writes []int
	// WritesOf replaces Writes where the list depends on the attributes.
	WritesOf func(s *Stmt) []int
	// InPlace lists pairs {result, operand}: the result may be written over the operand.
	InPlace [][2]int
	// Rowwise lists the operands whose row i alone decides row i of every
	// result; the other operands have no rows of the token dimension. nil: not row-wise.
	Rowwise []int
	// AddRows: instead of gathering the result, live-rows may gather operand
	// Rowwise and append the row numbers as a last operand.
	AddRows bool
	// Acc names the op that adds the results AccResults lists into storages,
	// appended to the operands in that order, instead of returning them.
	Acc        string
	AccResults func(s *Stmt) []int
	// Drop gives the attributes under which the op does not make the dead
	// results (the others keep their order), if it can.
	Drop func(s *Stmt, dead []bool) (Attrs, bool)
	// Only gives the operands and attributes under which the op makes no more
	// than result r and the results bound to it (their numbers, in order), if
	// it can make them separately.
	Only func(s *Stmt, r int) (args []Operand, attrs Attrs, results []int)
	// Exact lists the results that are statistics, not activations: they stay
	// f32 where saved activations are stored in half precision.
	Exact []int
	// Place is the rule of the op for processes that divide a step: given what a
	// rank of one axis has of the operands, what it has of each result, then of
	// what goes into each storage that is written; or why that is not the tensor.
	// nil: modules with a mesh refuse the op.
	Place func(p *Placing) ([]Placement, error)
	// Settles: the op makes storages whole that were partial, or gives ranks shares of them.
	Settles bool
	// Shares: of storages that are shared the op reads and writes the rank's share alone.
	// Others that do not settle or clear storages are refused what is shared.
	Shares bool
	// Clears: storages are zeros afterwards, which are whole and partial alike.
	Clears bool
	// Sends: it waits for another rank, and stays though nobody reads a result.
	Sends bool
	// Wire is the bytes that one rank of a mesh sends, for ops that communicate; of a
	// stage, the one that has most layers.
	Wire func(s *Stmt, env Env, m *Mesh) int
	// Cheap: recomputing the results costs no more than reading the operands
	// once more, so that they need not be saved for the backward.
	Cheap bool
}

// AttrSpec describes one attribute of an op.
type AttrSpec struct {
	Name     string
	Kind     AttrKind
	Required bool
}

// AttrKind is the type of an attribute's value.
type AttrKind uint8

// The kinds of attribute.
const (
	IntAttr AttrKind = iota
	FloatAttr
	BoolAttr
	StringAttr
	ListAttr
	DimAttr  // a number, or the size it is
	DimsAttr // a list of numbers, sizes and symbols
)

// Work is what one execution of a statement takes, by group: linear, lora,
// head, attention; in the backward followed by .dx, .dw or .grad.
// FLOPs counts the multiply-adds of matrix products (two each) and nothing
// else, as the field does.
type Work struct {
	Group string
	FLOPs float64
}

var registry = map[string]*Op{}

// Register adds an op; called from the init functions of package ir/op.
func Register(op *Op) *Op {
	if registry[op.Name] != nil {
		panic("BUG: ir: op " + op.Name + " is registered twice")
	}
	registry[op.Name] = op
	return op
}

// Lookup returns the named op, or nil.
func Lookup(name string) *Op { return registry[name] }

// Ops returns all registered ops by name.
func Ops() []*Op {
	out := make([]*Op, 0, len(registry))
	for _, op := range registry {
		out = append(out, op)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Formula is what the statement computes, in one line.
func (s *Stmt) Formula() string {
	text := s.Op.Doc
	if s.Op.Formula != nil {
		text = s.Op.Formula(s)
	}
	if !s.Op.Named {
		return text
	}
	return word.ReplaceAllStringFunc(text, func(w string) string {
		for i, name := range s.Op.Args {
			if name == w && i < len(s.Args) {
				return s.Args[i].Short()
			}
		}
		return w
	})
}

var word = regexp.MustCompile(`[A-Za-z_]+`)

// KernelName is the name of the kernel that runs the statement, "" for none.
func (s *Stmt) KernelName() string {
	if s.Op.KernelOf != nil {
		return s.Op.KernelOf(s)
	}
	return s.Op.Kernel
}

// RefusedOnAscend is why no Ascend device runs the statement, "" where one does.
func (s *Stmt) RefusedOnAscend() string {
	if s.Op.NoAscendOf != nil {
		if why := s.Op.NoAscendOf(s); why != "" {
			return why
		}
	}
	return s.Op.NoAscend
}

// Written lists the operands (storages) that a statement changes.
func (op *Op) Written(s *Stmt) []int { return op.writes(s) }

func (op *Op) writes(s *Stmt) []int {
	if op.WritesOf != nil {
		return op.WritesOf(s)
	}
	return op.Writes
}

// Repeat calls a function once per layer; it is the language's only control flow.
var Repeat = Register(&Op{Name: "repeat", Doc: "call a function once per layer of a range", Args: []string{"carried"}, Variadic: true})

func (op *Op) checkAttrs(a Attrs) error {
	for _, spec := range op.Attrs {
		v, ok := a[spec.Name]
		if !ok {
			if spec.Required {
				return fmt.Errorf("attribute `%s` is missing", spec.Name)
			}
			continue
		}
		switch spec.Kind {
		case IntAttr:
			_, ok = v.(int)
		case FloatAttr:
			_, ok = v.(float64)
		case BoolAttr:
			_, ok = v.(bool)
		case StringAttr:
			_, ok = v.(string)
		case ListAttr, DimsAttr:
			_, ok = v.([]any)
		case DimAttr:
			_, ok = DimOf(v)
		}
		if !ok {
			return fmt.Errorf("attribute `%s` has the wrong type: %s", spec.Name, FormatAttr(v))
		}
	}
	for k := range a {
		known := false
		for _, spec := range op.Attrs {
			known = known || spec.Name == k
		}
		if !known {
			return fmt.Errorf("attribute `%s` is unknown to `%s`", k, op.Name)
		}
	}
	return nil
}

// CheckArity reports whether the op can take n operands.
func (op *Op) CheckArity(n int) error {
	lo, hi := len(op.Args)-op.Optional, len(op.Args)
	if n < lo || n > hi && !op.Variadic {
		return fmt.Errorf("takes %d operands (%v), got %d", hi, op.Args, n)
	}
	return nil
}
