package ir

import (
	"fmt"

	"lorac/ir/diag"
)

// NewStmt makes a statement, checks operands and attributes and infers the
// result types. It is the only way to make one outside this package, so a
// graph of wrong types cannot be built. names are the results' names; "" lets
// the builder choose.
func NewStmt(op *Op, names []string, args []Operand, attrs Attrs, pos diag.Pos) (*Stmt, error) {
	s := &Stmt{Op: op, Args: args, Attrs: attrs, Pos: pos}
	types, err := infer(s)
	if err != nil {
		return nil, err
	}
	if len(names) != len(types) {
		return nil, fmt.Errorf("`%s` gives %d results, %d are named", op.Name, len(types), len(names))
	}
	for i, t := range types {
		s.Results = append(s.Results, &Value{Name: names[i], Type: t, Def: s})
	}
	return s, nil
}

// NewRepeat makes a repeat of callee over r. When the callee keeps values, the
// last name is that of their handle.
func NewRepeat(callee *Func, r Range, names []string, args []Operand, pos diag.Pos) (*Stmt, error) {
	s := &Stmt{Op: Repeat, Callee: callee, Range: r, Args: args, Pos: pos}
	types, err := inferRepeat(s)
	if err != nil {
		return nil, err
	}
	if len(names) != len(types) {
		return nil, fmt.Errorf("repeat of `%s` gives %d results, %d are named", callee.Name, len(types), len(names))
	}
	for i, t := range types {
		s.Results = append(s.Results, &Value{Name: names[i], Type: t, Def: s})
	}
	return s, nil
}

func infer(s *Stmt) ([]Type, error) {
	if s.Op == Repeat {
		return inferRepeat(s)
	}
	if err := s.Op.CheckArity(len(s.Args)); err != nil {
		return nil, fmt.Errorf("`%s`: %w", s.Op.Name, err)
	}
	if err := s.Op.checkAttrs(s.Attrs); err != nil {
		return nil, fmt.Errorf("`%s`: %w", s.Op.Name, err)
	}
	types, err := s.Op.Infer(s)
	if err != nil {
		return nil, fmt.Errorf("`%s`: %w", s.Op.Name, err)
	}
	for _, i := range s.Op.writes(s) {
		if s.Args[i].Storage == nil {
			return nil, fmt.Errorf("`%s`: operand %d is written and must be a storage, not %s", s.Op.Name, i, s.Args[i])
		}
	}
	return types, nil
}

func inferRepeat(s *Stmt) ([]Type, error) {
	f := s.Callee
	want := append([]*Value(nil), f.Params...)
	n := len(want)
	if len(f.Saved) > 0 {
		n++
	}
	if len(s.Args) != n {
		return nil, fmt.Errorf("`repeat %s` takes %d operands, got %d", f.Name, n, len(s.Args))
	}
	for i, p := range want {
		if !s.Args[i].Type().Equal(p.Type) {
			return nil, fmt.Errorf("`repeat %s`: operand %d is %s, the parameter %s is %s", f.Name, i, s.Args[i].Type(), p, p.Type)
		}
	}
	if len(f.Saved) > 0 {
		k := s.Args[n-1].Type().Kept
		if k == nil || k.Func != f.Of {
			return nil, fmt.Errorf("`repeat %s`: the last operand must hold what `%s` kept", f.Name, f.Of)
		}
		if !k.Range.Contains(s.Range.Lo) || !k.Range.Contains(s.Range.Hi) {
			return nil, fmt.Errorf("`repeat %s%s`: kept values exist for %s only", f.Name, s.Range, k.Range)
		}
	}
	if len(f.Results) > len(f.Params) {
		return nil, fmt.Errorf("`repeat %s`: %d results cannot be carried by %d parameters", f.Name, len(f.Results), len(f.Params))
	}
	var types []Type
	for i, r := range f.Results {
		if s.Range.Len() > 1 && !r.Type.Equal(f.Params[i].Type) {
			return nil, fmt.Errorf("`repeat %s`: result %s is %s but the parameter it is carried to is %s", f.Name, r, r.Type, f.Params[i].Type)
		}
		types = append(types, r.Type)
	}
	if len(f.Keep) > 0 {
		r := s.Range
		types = append(types, Type{Kept: &Kept{Func: f.Name, Range: r}})
	}
	return types, nil
}

// Builder appends statements to a function, with names made unique.
type Builder struct {
	F *Func
	// Into collects the statements instead of the function's body when set.
	Into *[]*Stmt
	// Line is that of the dump which the statements are made from.
	Line int
	used map[string]bool
}

// NewBuilder returns a builder that appends to f.
func NewBuilder(f *Func) *Builder {
	b := &Builder{F: f, used: map[string]bool{}}
	f.EachValue(func(v *Value) { b.used[v.Name] = true })
	return b
}

// Name reserves a name that no value of the function has yet.
func (b *Builder) Name(name string) string {
	n := name
	for i := 2; b.used[n]; i++ {
		n = fmt.Sprintf("%s.%d", name, i)
	}
	b.used[n] = true
	return n
}

// Reserve marks a name as used without giving it to a value, so that derived
// names do not take it.
func (b *Builder) Reserve(name string) { b.used[name] = true }

// Param adds a parameter.
func (b *Builder) Param(name string, t Type) *Value {
	v := &Value{Name: b.Name(name), Type: t}
	b.F.Params = append(b.F.Params, v)
	return v
}

// Op appends a statement and returns its results. A wrong graph is a fault of
// the compiler, so it panics; text from users goes through Parse.
func (b *Builder) Op(pos diag.Pos, op string, names []string, attrs Attrs, args ...Operand) []*Value {
	def := Lookup(op)
	if def == nil {
		panic("BUG: ir: no op `" + op + "`")
	}
	for i := range names {
		names[i] = b.Name(names[i])
	}
	s, err := NewStmt(def, names, args, attrs, pos)
	if err != nil {
		panic(fmt.Sprintf("BUG: ir: building %s: %v", b.F.Name, err))
	}
	b.append(s)
	return s.Results
}

// Op1 is Op for an op of one result.
func (b *Builder) Op1(pos diag.Pos, op, name string, attrs Attrs, args ...Operand) *Value {
	return b.Op(pos, op, []string{name}, attrs, args...)[0]
}

// Repeat appends a repeat and returns its results.
func (b *Builder) Repeat(pos diag.Pos, callee *Func, r Range, names []string, args ...Operand) []*Value {
	for i := range names {
		names[i] = b.Name(names[i])
	}
	s, err := NewRepeat(callee, r, names, args, pos)
	if err != nil {
		panic(fmt.Sprintf("BUG: ir: building %s: %v", b.F.Name, err))
	}
	b.append(s)
	return s.Results
}

func (b *Builder) append(s *Stmt) {
	s.Line = b.Line
	if b.Into != nil {
		*b.Into = append(*b.Into, s)
		return
	}
	b.F.Body = append(b.F.Body, s)
}
