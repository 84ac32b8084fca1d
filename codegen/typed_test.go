package codegen_test

import (
	"errors"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// goTypes checks emitted programs as the Go compiler does, in this process: some
// milliseconds each in place of the seconds of a build.
type goTypes struct {
	fset *token.FileSet
	imp  types.Importer
}

var sharedTypes *goTypes

// typesOfGo are shared by the tests of the package, which do not run side by side.
func typesOfGo(t testing.TB) *goTypes {
	t.Helper()
	if sharedTypes == nil {
		sharedTypes = newGoTypes(t)
	}
	return sharedTypes
}

func newGoTypes(t testing.TB) *goTypes {
	t.Helper()
	list, err := testkit.Command(t, "go", "list", "-export", "-deps", "-f", "{{.ImportPath}} {{.Export}}",
		"lorac/runtime", "lorac/kernels", "lorac/runtime/ascend", "lorac/kernels/ascend", "lorac/runtime/mesh", "embed").Output()
	if err != nil {
		t.Fatal(err)
	}
	exports := map[string]string{}
	for line := range strings.Lines(string(list)) {
		if path, file, ok := strings.Cut(strings.TrimSpace(line), " "); ok {
			exports[path] = file
		}
	}
	c := &goTypes{fset: token.NewFileSet()}
	c.imp = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("the program imports %s, which no trainer links", path)
		}
		return os.Open(exports[path])
	})
	return c
}

// check says what Go has against the files of a program.
func (c *goTypes) check(files map[string][]byte) error {
	var list []*ast.File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f, err := parser.ParseFile(c.fset, name, files[name], parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		list = append(list, f)
	}
	var errs []error
	conf := types.Config{Importer: c.imp, Error: func(err error) { errs = append(errs, err) }}
	conf.Check("trainer", c.fset, list, nil)
	return errors.Join(errs...)
}
