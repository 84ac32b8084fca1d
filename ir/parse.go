package ir

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"

	"lorac/ir/diag"
)

// Parse reads a module from its text form and verifies it. All faults found
// are reported with their place in the text (a diag.List).
func Parse(filename, text string) (*Module, error) {
	ast, err := parser.ParseString(filename, text)
	if err != nil {
		var perr participle.Error
		if errors.As(err, &perr) {
			p := perr.Position()
			return nil, diag.List{diag.Errorf(diag.Pos{File: filename, Line: p.Line, Col: p.Column}, "ir-syntax", "%s", perr.Message())}
		}
		return nil, err
	}
	r := &resolver{file: filename, m: &Module{Name: ast.Name, Dump: filename}}
	r.module(ast)
	if len(r.errs) == 0 {
		for _, p := range r.m.problems() {
			r.errorf(lexer.Position{Line: max(p.Line, 1), Column: 1}, "%s", p.Text)
		}
	}
	if len(r.errs) > 0 {
		return nil, r.errs
	}
	return r.m, nil
}

// resolver turns syntax into a module: names into pointers, types checked.
type resolver struct {
	file   string
	m      *Module
	errs   diag.List
	values map[string]*Value
}

func (r *resolver) errorf(p lexer.Position, format string, args ...any) {
	r.errs = append(r.errs, diag.Errorf(diag.Pos{File: r.file, Line: p.Line, Col: p.Column}, "ir", format, args...))
}

func (r *resolver) module(ast *moduleAST) {
	if src, err := strconv.Unquote(ast.Source); err == nil {
		r.m.Source = src
	}
	for _, s := range ast.Settings {
		r.m.Settings = append(r.m.Settings, &Setting{Key: s.Key, Val: r.attr(s.Val), Pos: r.at(s.At), Line: s.Pos.Line})
	}
	for _, s := range ast.Sizes {
		if r.m.Size(s.Name) != nil {
			r.errorf(s.Pos, "size `%s` is declared twice", s.Name)
		}
		r.m.Sizes = append(r.m.Sizes, &Size{Name: s.Name, N: s.N, Attrs: r.attrs(s.Attrs, nil), Pos: r.at(s.At)})
	}
	for _, d := range ast.Dims {
		decl := &DimDecl{Name: d.Name, Pos: r.at(d.At)}
		if n, err := strconv.Atoi(d.Max); err == nil {
			decl.Max = N(n)
		} else {
			decl.Max = r.dim(d.Pos, d.Max)
		}
		r.m.Dims = append(r.m.Dims, decl)
	}
	if ast.Mesh != nil {
		r.m.Mesh = &Mesh{Pos: r.at(ast.Mesh.At), Line: ast.Mesh.Pos.Line}
		for _, a := range ast.Mesh.Axes {
			r.m.Mesh.Axes = append(r.m.Mesh.Axes, Axis{Name: a.Name, N: a.N})
		}
	}
	for _, s := range ast.Storages {
		r.storage(s)
	}
	for _, f := range ast.Funcs {
		r.fn(f)
	}
}

var kinds = map[string]StorageKind{"param": Param, "grad": Grad, "state": State, "table": Table, "cache": Cache, "copy": Copy}

func (r *resolver) storage(ast *storageAST) {
	s := &Storage{Name: ast.Name[1:], Kind: kinds[ast.Kind], Trainable: ast.Train == "trainable", Pos: r.at(ast.At), Line: ast.Pos.Line}
	s.Type = r.typ(ast.Pos, ast.Type)
	if ast.Stack != nil {
		rg := ast.Stack.get()
		s.Stack = &rg
	}
	if (s.Kind == Param) != (ast.Train != "") {
		r.errorf(ast.Pos, "a param is `frozen` or `trainable`, other storages are neither")
	}
	s.Attrs = r.attrs(ast.Attrs, storageAttrs)
	if r.m.Storage(s.Name) != nil {
		r.errorf(ast.Pos, "storage `$%s` is declared twice", s.Name)
	}
	r.m.Storages = append(r.m.Storages, s)
}

func (r *resolver) fn(ast *funcAST) {
	f := &Func{Name: ast.Name, Entry: ast.Entry, Line: ast.Pos.Line}
	if r.m.Func(f.Name) != nil {
		r.errorf(ast.Pos, "function `%s` is defined twice", f.Name)
	}
	if ast.Doc != "" {
		f.Doc = r.unquote(ast.Pos, ast.Doc)
	}
	r.values = map[string]*Value{}
	if ast.Index != "" {
		f.Index = r.define(ast.Pos, ast.Index, Scalar(I32), nil)
	}
	for _, p := range ast.Params {
		f.Params = append(f.Params, r.define(p.Pos, p.Name, r.typ(p.Pos, p.Type), nil))
	}
	if ast.Saved != nil {
		f.Of = ast.Saved.Of
		for _, p := range ast.Saved.Params {
			f.Saved = append(f.Saved, r.define(p.Pos, p.Name, r.typ(p.Pos, p.Type), nil))
		}
	}
	for _, s := range ast.Body {
		r.stmt(f, s)
	}
	for _, n := range ast.Results {
		f.Results = append(f.Results, r.value(ast.Pos, n))
	}
	for _, n := range ast.Keep {
		f.Keep = append(f.Keep, r.value(ast.Pos, n))
	}
	r.m.Funcs = append(r.m.Funcs, f)
}

func (r *resolver) stmt(f *Func, ast *stmtAST) {
	s := &Stmt{Op: Lookup(ast.Op), Pos: r.at(ast.At), Line: ast.Pos.Line}
	if s.Op == nil {
		r.errorf(ast.Pos, "no op `%s`", ast.Op)
		return
	}
	whole := false
	defer func() { // so that what reads the results is not reported as well
		if !whole {
			for i, n := range ast.Results {
				if r.values[n[1:]] == nil && i < len(ast.Types) {
					r.define(ast.Pos, n, r.typ(ast.Pos, ast.Types[i].Type), s)
				}
			}
		}
	}()
	s.Attrs = r.attrs(ast.Attrs, s.Op.Attrs)
	for _, a := range ast.Args {
		if a[0] == '%' {
			s.Args = append(s.Args, Val(r.value(ast.Pos, a)))
			continue
		}
		st := r.m.Storage(a[1:])
		if st == nil {
			r.errorf(ast.Pos, "no storage `%s`", a)
			return
		}
		s.Args = append(s.Args, Ref(st))
	}
	if (ast.Callee != nil) != (s.Op == Repeat) {
		r.errorf(ast.Pos, "`repeat`, and only `repeat`, names a function")
		return
	}
	if ast.Callee != nil {
		if s.Callee = r.m.Func(ast.Callee.Name); s.Callee == nil {
			r.errorf(ast.Pos, "no function `%s` above this line", ast.Callee.Name)
			return
		}
		s.Range = ast.Callee.Range.get()
	}
	for _, a := range s.Args {
		if a.Value != nil && a.Value.Type.DType == 0 && a.Value.Type.Kept == nil {
			return // its definition was reported already
		}
	}
	types, err := infer(s)
	if err != nil {
		r.errorf(ast.Pos, "%v", err)
	}
	if err == nil && len(types) != len(ast.Results) {
		r.errorf(ast.Pos, "`%s` gives %d results, %d are named", ast.Op, len(types), len(ast.Results))
	}
	if len(ast.Types) != len(ast.Results) {
		r.errorf(ast.Pos, "%d results but %d types", len(ast.Results), len(ast.Types))
		return
	}
	for i, n := range ast.Results {
		t := r.typ(ast.Pos, ast.Types[i].Type)
		if err == nil && i < len(types) && !r.m.stores(t, types[i]) {
			r.errorf(ast.Pos, "%s is %s, not %s", n, types[i], t)
		}
		v := r.define(ast.Pos, n, t, s)
		if region := ast.Types[i].Region; region != "" {
			if region != "frame" && region != "keep" && region != "hand" || ast.Types[i].Offset < 0 {
				r.errorf(ast.Pos, "%s is placed in %s+%d; regions are frame and keep", n, region, ast.Types[i].Offset)
			}
			v.Place = &Place{region, ast.Types[i].Offset}
		}
		s.Results = append(s.Results, v)
	}
	f.Body = append(f.Body, s)
	whole = true
}

func (r *resolver) define(p lexer.Position, name string, t Type, def *Stmt) *Value {
	v := &Value{Name: name[1:], Type: t, Def: def}
	if r.values[v.Name] != nil {
		r.errorf(p, "%s is defined twice", name)
	}
	r.values[v.Name] = v
	return v
}

func (r *resolver) value(p lexer.Position, name string) *Value {
	if v := r.values[name[1:]]; v != nil {
		return v
	}
	r.errorf(p, "%s is not defined above this line", name)
	return &Value{Name: name[1:]}
}

func (r *resolver) typ(p lexer.Position, ast *typeAST) Type {
	if ast.Kept != nil {
		return Type{Kept: &Kept{Func: ast.Kept.Name, Range: ast.Kept.Range.get()}}
	}
	d, ok := ParseDType(ast.DType)
	if !ok {
		r.errorf(p, "no element type `%s`", ast.DType)
	}
	t := Type{DType: d}
	for _, s := range ast.Shape {
		t.Shape = append(t.Shape, r.cut(p, r.dim(p, s.N), s.By))
	}
	for _, o := range ast.Over {
		how := Sum
		for h, name := range hows {
			if name == o.How {
				how = h
			}
		}
		for _, axis := range o.Axes {
			t.Over = append(t.Over, Over{how, axis})
		}
	}
	return t
}

// cut is what a rank of the axis has of an extent.
func (r *resolver) cut(p lexer.Position, d Dim, axis string) Dim {
	if axis == "" {
		return d
	}
	n := r.m.Mesh.Axis(axis)
	if n < 1 {
		return d // reported with the mesh
	}
	cut, err := d.Cut(axis, n)
	if err != nil {
		r.errorf(p, "%v", err)
	}
	return cut
}

func (r *resolver) dim(p lexer.Position, s string) Dim {
	if n, err := strconv.Atoi(s); err == nil {
		if n < 0 {
			r.errorf(p, "negative dimension %d", n)
		}
		return N(n)
	}
	for _, d := range r.m.Dims {
		if d.Name == s {
			return Sym(s)
		}
	}
	if size := r.m.Size(s); size != nil {
		return size.Dim()
	}
	r.errorf(p, "no dimension `%s`", s)
	return N(1)
}

// storageAttrs are the attributes of storages that may name a size.
var storageAttrs = []AttrSpec{{Name: "head_dim", Kind: DimAttr}, {Name: "blocks", Kind: DimsAttr}}

// attrs reads attributes; where a spec says extents, words are names of sizes.
func (r *resolver) attrs(list []*namedAttr, specs []AttrSpec) Attrs {
	if len(list) == 0 {
		return nil
	}
	a := Attrs{}
	for _, n := range list {
		if _, dup := a[n.Name]; dup {
			r.errorf(n.Val.Pos, "attribute `%s` stands twice", n.Name)
		}
		v := r.attr(n.Val)
		if slices.ContainsFunc(specs, func(s AttrSpec) bool { return s.Name == n.Name && (s.Kind == DimAttr || s.Kind == DimsAttr) }) {
			v = r.sized(v)
		}
		a[n.Name] = v
	}
	return a
}

// sized puts the sizes that words name in their place. A word that names none
// stays: it is a symbol, or a fault the op reports.
func (r *resolver) sized(v any) any {
	switch v := v.(type) {
	case string:
		if s := r.m.Size(v); s != nil {
			return s.Dim()
		}
	case []any:
		for i := range v {
			v[i] = r.sized(v[i])
		}
	}
	return v
}

func (r *resolver) attr(v *attrAST) any {
	switch {
	case v.Int != nil && v.IntBy != "":
		return r.cut(v.Pos, N(*v.Int), v.IntBy)
	case v.Int != nil:
		return *v.Int
	case v.Float != nil:
		return *v.Float
	case v.String != nil:
		return r.unquote(v.Pos, *v.String)
	case v.Word != nil:
		if *v.Word == "true" || *v.Word == "false" {
			return *v.Word == "true"
		}
		if v.WordBy != "" {
			return r.cut(v.Pos, r.dim(v.Pos, *v.Word), v.WordBy)
		}
		return *v.Word
	}
	list := []any{}
	for _, e := range v.List {
		list = append(list, r.attr(e))
	}
	return list
}

func (r *resolver) unquote(p lexer.Position, text string) string {
	s, err := strconv.Unquote(text)
	if err != nil {
		r.errorf(p, "bad string %s", text)
	}
	return s
}

func (r *resolver) at(s string) diag.Pos {
	line, col, _ := strings.Cut(s[1:], ":")
	l, _ := strconv.Atoi(line)
	c, _ := strconv.Atoi(col)
	if l == 0 {
		return diag.Pos{}
	}
	return diag.Pos{File: r.m.Source, Line: l, Col: c}
}

func (a *rangeAST) get() Range {
	if a.Hi == nil {
		return Range{a.Lo, a.Lo}
	}
	return Range{a.Lo, *a.Hi}
}

// MustParse is Parse for text known to be right, as in tests.
func MustParse(text string) *Module {
	m, err := Parse("text", text)
	if err != nil {
		panic(fmt.Sprintf("%v", err))
	}
	return m
}
