// Package ir is the language of lorac: functions over typed tensors that say
// what one training step computes. It knows no YAML key, no Llama, no Go
// source and no kernel; what an op means is registered by package ir/op.
//
// The text form is the language itself: whatever prints parses back to the
// same bytes, so every dump can be edited and resumed.
package ir

import (
	"fmt"
	"strings"

	"lorac/ir/diag"
)

// Module is everything one trainer is made from.
type Module struct {
	Name     string
	Source   string // the file the positions point into
	Dump     string // the dump it was read from; "" for none
	Settings []*Setting
	Sizes    []*Size
	Dims     []*DimDecl
	Mesh     *Mesh // nil: one process does all
	Storages []*Storage
	Funcs    []*Func
}

// Setting is a constant of the job that the graph itself does not use (batch
// size, schedule, where checkpoints go), carried along for the trainer.
type Setting struct {
	Key  string
	Val  any // as an attribute
	Pos  diag.Pos
	Line int // of the dump; 0 for none, as in all below
}

// Size is a constant extent with a role: hidden, heads, vocab. Types name it.
type Size struct {
	Name  string
	N     int
	Attrs Attrs // letter: how formulas abbreviate it; doc: what it counts
	Pos   diag.Pos
}

// Dim is the size as an extent.
func (s *Size) Dim() Dim { return Dim{N: s.N, Name: s.Name} }

// DimDecl declares a symbolic dimension and its greatest value: a number, or
// another dimension declared before.
type DimDecl struct {
	Name string
	Max  Dim
	Pos  diag.Pos
}

// StorageKind says what a storage is for; everything else derives from it.
type StorageKind uint8

// The kinds of storage.
const (
	Param StorageKind = iota + 1 // weights, from a checkpoint or initialised
	Grad                         // sum of gradients of one trainable parameter
	State                        // what an optimizer remembers of it
	Table                        // constants computed when the program starts
	Cache                        // what prediction remembers of the rows before
	Copy                         // a parameter in 16 bits, times a factor, as a device multiplies it
)

var kindNames = map[StorageKind]string{Param: "param", Grad: "grad", State: "state", Table: "table", Cache: "cache", Copy: "copy"}

func (k StorageKind) String() string { return kindNames[k] }

// Storage is memory that outlives a step. A stacked storage is one tensor per
// layer of its range.
type Storage struct {
	Name      string // without the sigil
	Kind      StorageKind
	Type      Type
	Trainable bool   // parameters only
	Stack     *Range // nil: a single tensor
	Attrs     Attrs  // name (in checkpoints), init, of, …
	Pos       diag.Pos
	Line      int
}

// Count is the number of tensors in the storage.
func (s *Storage) Count() int {
	if s.Stack == nil {
		return 1
	}
	return s.Stack.Len()
}

// Func is a list of statements. A function called by a repeat may name the
// layer index, and its stacked storages then mean that layer's tensor.
type Func struct {
	Name    string
	Doc     string // what it computes, for people; "" for nothing to say
	Entry   bool   // called by the trainer itself
	Index   *Value // layer index, nil when the function has none
	Params  []*Value
	Of      string   // backward functions: the forward function whose kept values Saved names
	Saved   []*Value // a subset of Of's keep list, bound by name
	Results []*Value
	Keep    []*Value // values the matching backward function needs, in memory until then
	Body    []*Stmt
	Line    int
}

// Value is something computed: a parameter or a result of a statement.
type Value struct {
	Name  string // without the sigil, unique in its function
	Type  Type
	Def   *Stmt  // nil for a parameter
	Place *Place // where it is stored; nil for parameters and before plan-memory
}

// Place is where a value is stored: in the frame of its function, in the record
// the function fills for each layer, or, when only the next layer reads it, in
// one of two places that take turns. Offsets are in bytes, for the largest
// extents of all dimensions.
type Place struct {
	Region string // "frame", "keep" or "hand"
	Offset int
}

func (v *Value) String() string { return "%" + v.Name }

// Operand is a value or a storage.
type Operand struct {
	Value   *Value
	Storage *Storage
}

// Val makes an operand of a value.
func Val(v *Value) Operand { return Operand{Value: v} }

// Ref makes an operand of a storage.
func Ref(s *Storage) Operand { return Operand{Storage: s} }

// Type is the type of the value or of one tensor of the storage.
func (o Operand) Type() Type {
	if o.Storage != nil {
		return o.Storage.Type
	}
	return o.Value.Type
}

func (o Operand) String() string {
	if o.Storage != nil {
		return "$" + o.Storage.Name
	}
	return o.Value.String()
}

// Short is the name of the operand in a formula: wq of $layer.wq.w.
func (o Operand) Short() string {
	if o.Storage == nil {
		return o.Value.Name
	}
	name := o.Storage.Name
	if o.Storage.Stack != nil {
		_, name, _ = strings.Cut(name, ".")
	}
	return strings.TrimSuffix(name, ".w")
}

// Stmt is one operation. A repeat also names the function it calls and the
// layers it runs over: its first len(Callee.Results) arguments are carried
// from layer to layer, the others are the same for all; with a handle of
// kept values as last argument when the callee has Saved parameters.
type Stmt struct {
	Op      *Op
	Results []*Value
	Args    []Operand
	Attrs   Attrs
	Callee  *Func
	Range   Range
	Pos     diag.Pos
	Line    int // of the statement it was made from
}

// Func returns the named function, or nil.
func (m *Module) Func(name string) *Func {
	for _, f := range m.Funcs {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Storage returns the named storage, or nil.
func (m *Module) Storage(name string) *Storage {
	for _, s := range m.Storages {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// OnlyEmbeds reports whether a frozen matrix is an embedding and nothing else,
// not the head as well: a pass reads a few of its rows.
func (m *Module) OnlyEmbeds(s *Storage) bool {
	embeds := false
	for _, f := range m.Funcs {
		for _, st := range f.Body {
			for _, a := range st.Args {
				if a.Storage == s {
					if st.Op.Name != "embed" {
						return false
					}
					embeds = true
				}
			}
		}
	}
	return embeds && s.Kind == Param && !s.Trainable && !s.Module()
}

// Setting returns the value of a setting, or nil.
func (m *Module) Setting(key string) any {
	for _, s := range m.Settings {
		if s.Key == key {
			return s.Val
		}
	}
	return nil
}

// Low is the type of 16 bits that activations, their gradients and frozen
// matrices have on the device of the module; 0 where it runs on the CPU.
func (m *Module) Low() DType {
	if m.Setting("device") == nil {
		return 0
	}
	low, _ := m.Setting("device.low").(string)
	d, _ := ParseDType(low)
	return d
}

// stores reports whether a value whose type is inferred as t may have the type
// have: on a device, in 16 bits instead of 32.
func (m *Module) stores(have, t Type) bool {
	if t.Kept == nil && t.DType == F32 && t.Rank() > 0 && have.DType == m.Low() {
		t.DType = have.DType
	}
	return have.Equal(t)
}

// Size returns the named size, or nil.
func (m *Module) Size(name string) *Size {
	for _, s := range m.Sizes {
		if s.Name == name {
			return s
		}
	}
	return nil
}

// SizeOf is the number of the named size, 0 where the module has none. Dumps of
// before sizes were declared say it in a setting.
func (m *Module) SizeOf(name string) int {
	if s := m.Size(name); s != nil {
		return s.N
	}
	n, _ := m.Setting("size." + name).(int)
	return n
}

// MaxEnv gives every dimension its greatest size.
func (m *Module) MaxEnv() Env {
	env := Env{}
	for _, d := range m.Dims {
		env[d.Name] = env.Size(d.Max)
	}
	return env
}

// GradOf returns the gradient storage of a parameter, or nil.
func (m *Module) GradOf(p *Storage) *Storage {
	for _, s := range m.Storages {
		if s.Kind == Grad && s.Attrs.Str("of") == p.Name {
			return s
		}
	}
	return nil
}

// Fresh returns name, followed by a number when the function already uses it.
func (f *Func) Fresh(name string) string {
	used := map[string]bool{}
	f.EachValue(func(v *Value) { used[v.Name] = true })
	if !used[name] {
		return name
	}
	for i := 2; ; i++ {
		if n := fmt.Sprintf("%s.%d", name, i); !used[n] {
			return n
		}
	}
}

// EachValue visits every value the function defines, parameters first.
func (f *Func) EachValue(visit func(*Value)) {
	if f.Index != nil {
		visit(f.Index)
	}
	for _, v := range f.Params {
		visit(v)
	}
	for _, v := range f.Saved {
		visit(v)
	}
	for _, s := range f.Body {
		for _, v := range s.Results {
			visit(v)
		}
	}
}

// Uses counts how often each value is read: by statements, as a result, as kept.
func (f *Func) Uses() map[*Value]int {
	n := map[*Value]int{}
	for _, s := range f.Body {
		for _, a := range s.Args {
			if a.Value != nil {
				n[a.Value]++
			}
		}
	}
	for _, v := range f.Results {
		n[v]++
	}
	for _, v := range f.Keep {
		n[v]++
	}
	return n
}

// Replace makes every reader of old read new instead.
func (f *Func) Replace(old, new *Value) {
	for _, s := range f.Body {
		for i := range s.Args {
			if s.Args[i].Value == old {
				s.Args[i].Value = new
			}
		}
	}
	for i := range f.Results {
		if f.Results[i] == old {
			f.Results[i] = new
		}
	}
	keep := f.Keep[:0]
	seen := map[*Value]bool{}
	for _, v := range f.Keep {
		if v == old {
			v = new
		}
		if !seen[v] {
			seen[v] = true
			keep = append(keep, v)
		}
	}
	f.Keep = keep
}

// Remove deletes the given statements from the body.
func (f *Func) Remove(dead map[*Stmt]bool) {
	if len(dead) == 0 {
		return
	}
	body := f.Body[:0]
	for _, s := range f.Body {
		if !dead[s] {
			body = append(body, s)
		}
	}
	f.Body = body
}

// IndexOf is the position of a statement in the body, or -1.
func (f *Func) IndexOf(s *Stmt) int {
	for i, t := range f.Body {
		if t == s {
			return i
		}
	}
	return -1
}

// Effect reports whether the statement writes a storage, itself or through
// the function it calls, and so must stay even if nobody reads its results.
func (s *Stmt) Effect() bool {
	if s.Callee != nil {
		for _, t := range s.Callee.Body {
			if t.Effect() {
				return true
			}
		}
		return false
	}
	return s.Op.Sends || s.Op.writes(s) != nil
}

// Written returns the storages the statement itself writes.
func (s *Stmt) Written() []*Storage {
	var out []*Storage
	if s.Callee != nil {
		return nil
	}
	for _, i := range s.Op.writes(s) {
		if st := s.Args[i].Storage; st != nil {
			out = append(out, st)
		}
	}
	return out
}

func (s *Stmt) String() string {
	var b strings.Builder
	printStmt(&b, s)
	return strings.TrimSuffix(b.String(), "\n")
}
