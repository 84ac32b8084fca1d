package ir

import (
	"github.com/alecthomas/participle/v2"
	"github.com/alecthomas/participle/v2/lexer"
)

// The grammar needs one token of lookahead everywhere. Names and types are
// resolved afterwards, in parse.go.

type moduleAST struct {
	Name     string        `parser:"'module' @Ident"`
	Source   string        `parser:"'from' @String"`
	Settings []*settingAST `parser:"@@*"`
	Sizes    []*sizeAST    `parser:"@@*"`
	Dims     []*dimAST     `parser:"@@*"`
	Mesh     *meshAST      `parser:"@@?"`
	Storages []*storageAST `parser:"@@*"`
	Funcs    []*funcAST    `parser:"@@*"`
}

type settingAST struct {
	Pos lexer.Position
	Key string   `parser:"'setting' @Ident '='"`
	Val *attrAST `parser:"@@"`
	At  string   `parser:"@At"`
}

type sizeAST struct {
	Pos   lexer.Position
	Name  string       `parser:"'size' @Ident '='"`
	N     int          `parser:"@Int"`
	Attrs []*namedAttr `parser:"('{' (@@ (',' @@)*)? '}')?"`
	At    string       `parser:"@At"`
}

type dimAST struct {
	Pos  lexer.Position
	Name string `parser:"'dim' @Ident '<='"`
	Max  string `parser:"@(Int | Ident)"`
	At   string `parser:"@At"`
}

type meshAST struct {
	Pos  lexer.Position
	Axes []*axisAST `parser:"'mesh' @@+"`
	At   string     `parser:"@At"`
}

type axisAST struct {
	Name string `parser:"@Ident '='"`
	N    int    `parser:"@Int"`
}

type storageAST struct {
	Pos   lexer.Position
	Kind  string       `parser:"@('param' | 'grad' | 'state' | 'table' | 'cache' | 'copy')"`
	Name  string       `parser:"@Storage"`
	Stack *rangeAST    `parser:"@@?"`
	Type  *typeAST     `parser:"':' @@"`
	Train string       `parser:"@('frozen' | 'trainable')?"`
	Attrs []*namedAttr `parser:"('{' (@@ (',' @@)*)? '}')?"`
	At    string       `parser:"@At"`
}

type funcAST struct {
	Pos     lexer.Position
	Entry   bool        `parser:"@'entry'?"`
	Name    string      `parser:"'func' @Ident"`
	Index   string      `parser:"('[' @Value ']')?"`
	Params  []*paramAST `parser:"'(' (@@ (',' @@)*)? ')'"`
	Saved   *savedAST   `parser:"@@?"`
	Results []string    `parser:"Arrow '(' (@Value (',' @Value)*)? ')'"`
	Keep    []string    `parser:"('keep' '(' @Value (',' @Value)* ')')?"`
	Doc     string      `parser:"('doc' @String)?"`
	Body    []*stmtAST  `parser:"'{' @@* '}'"`
}

type savedAST struct {
	Of     string      `parser:"'saved' @Ident"`
	Params []*paramAST `parser:"'(' (@@ (',' @@)*)? ')'"`
}

type paramAST struct {
	Pos  lexer.Position
	Name string   `parser:"@Value ':'"`
	Type *typeAST `parser:"@@"`
}

type stmtAST struct {
	Pos     lexer.Position
	Results []string     `parser:"(@Value (',' @Value)* '=')?"`
	Op      string       `parser:"@Ident"`
	Callee  *calleeAST   `parser:"@@?"`
	Args    []string     `parser:"(@(Value | Storage) (',' @(Value | Storage))*)?"`
	Attrs   []*namedAttr `parser:"('{' (@@ (',' @@)*)? '}')?"`
	Types   []*placedAST `parser:"(':' @@ (',' @@)*)?"`
	At      string       `parser:"@At"`
}

type placedAST struct {
	Type   *typeAST `parser:"@@"`
	Region string   `parser:"('in' @Ident '+'"`
	Offset int      `parser:"@Int)?"`
}

type calleeAST struct {
	Name  string    `parser:"@Ident"`
	Range *rangeAST `parser:"@@"`
}

type rangeAST struct {
	Lo int  `parser:"'[' @Int"`
	Hi *int `parser:"('..' @Int)? ']'"`
}

type typeAST struct {
	Kept  *calleeAST   `parser:"'kept' @@"`
	DType string       `parser:"| @Ident"`
	Shape []*extentAST `parser:"'[' (@@ (',' @@)*)? ']'"`
	Over  []*overAST   `parser:"@@*"`
}

type extentAST struct {
	N  string `parser:"@(Int | Ident)"`
	By string `parser:"('/' @Ident)?"`
}

type overAST struct {
	How  string   `parser:"@('sum' | 'lse' | 'share')"`
	Axes []string `parser:"'(' @Ident (',' @Ident)* ')'"`
}

type namedAttr struct {
	Name string   `parser:"@Ident '='"`
	Val  *attrAST `parser:"@@"`
}

type attrAST struct {
	Pos    lexer.Position
	Int    *int       `parser:"@Int"`
	IntBy  string     `parser:"('/' @Ident)?"`
	Float  *float64   `parser:"| @Float"`
	String *string    `parser:"| @String"`
	Word   *string    `parser:"| @Ident"`
	WordBy string     `parser:"('/' @Ident)?"`
	List   []*attrAST `parser:"| '[' (@@ (',' @@)*)?"`
	IsList bool       `parser:"@']'"`
}

var parser = participle.MustBuild[moduleAST](participle.Lexer(irLexer{}), participle.UseLookahead(1))
