package codegen

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"

	"lorac/ir"
)

// Place is a line of an emitted file.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line"`
}

// Lines emits a program and finds the line of each function and of the comment above each
// statement in it.
func Lines(m *ir.Module) (files map[string][]byte, funcs map[*ir.Func]Place, stmts map[*ir.Stmt]Place, err error) {
	if files, err = Emit(m); err != nil {
		return nil, nil, nil, err
	}
	v, err := newView(m)
	if err != nil {
		return nil, nil, nil, err
	}
	funcs, stmts = map[*ir.Func]Place{}, map[*ir.Stmt]Place{}
	named := map[string]*fn{}
	for _, x := range v.order {
		named[x.name] = x
	}
	for _, name := range []string{"forward.go", "backward.go", "update.go"} {
		text, ok := files[name]
		if !ok {
			continue
		}
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, text, parser.ParseComments)
		if err != nil {
			return nil, nil, nil, fmt.Errorf("BUG: codegen: %s: %w", name, err)
		}
		line := func(p token.Pos) Place { return Place{name, set.Position(p).Line} }
		for _, d := range file.Decls {
			decl, ok := d.(*ast.FuncDecl)
			if !ok || decl.Body == nil || named[decl.Name.Name] == nil {
				continue
			}
			x := named[decl.Name.Name]
			funcs[x.f] = line(decl.Pos())
			x.locate(commentsIn(file, decl.Body), func(s *ir.Stmt, c *ast.CommentGroup) { stmts[s] = line(c.Pos()) })
		}
	}
	return files, funcs, stmts, nil
}

func commentsIn(file *ast.File, body *ast.BlockStmt) (list []*ast.CommentGroup) {
	for _, c := range file.Comments {
		if c.Pos() > body.Pos() && c.End() < body.End() {
			list = append(list, c)
		}
	}
	return list
}

// locate tells which comment of a function is that of each statement, as explain wrote
// them: in the order of the statements, with their first result and the line of the
// config.
func (x *fn) locate(list []*ast.CommentGroup, found func(*ir.Stmt, *ast.CommentGroup)) {
	var before *ast.CommentGroup
	for _, s := range x.f.Body {
		begin, here := "", before
		if len(s.Results) > 0 && s.Results[0].Type.Kept == nil {
			begin = strings.Join(strings.Fields(plain(s.Results[0].String())), " ")
		}
		for i, c := range list {
			text := strings.Join(strings.Fields(c.Text()), " ")
			rest, ok := strings.CutPrefix(text, begin)
			if ok && (begin == "" || rest == "" || strings.ContainsAny(rest[:1], " :,")) && strings.HasSuffix(text, at(s.Pos.Line)) {
				before, here, list = c, c, list[i+1:]
				break
			}
			if len(s.Results) > 0 {
				here = nil
			}
		}
		if here != nil { // the optimizer's statements share one loop
			found(s, here)
		}
	}
}
