package mindindex

import (
	"bytes"
	"embed"
	"io"
	"io/fs"

	"lorac/cmd/lorac/program"
)

// sources are the program and its module, as a checkout has them.
//
//go:embed lorac-mindindex/main.go lorac-mindindex/module.mod lorac-mindindex/module.sum
var sources embed.FS

func files() map[string][]byte {
	dir, err := fs.Sub(sources, "lorac-mindindex")
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return program.Files(dir)
}

var sqlite = program.Program{Name: "lorac-mindindex", Protocol: "1", Needs: "the index of MindRecord files", Sources: files}

// ErrProgram is the error when the program can be neither found nor built.
var ErrProgram = program.Err

// Available finds the program, or builds it once, so that nothing is written
// without it. It returns an ErrProgram otherwise.
func Available() error {
	_, err := sqlite.Find()
	return err
}

// call runs the program; its error is what it wrote to standard error.
func call(in io.Reader, args ...string) (string, error) {
	var out bytes.Buffer
	err := sqlite.Run(in, &out, args...)
	return out.String(), err
}
