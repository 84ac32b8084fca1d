// Package dl opens C libraries at run time, without cgo. A program that imports it
// is linked dynamically, whether it opens one or not: only programs for a device do.
package dl

import (
	"strings"

	"github.com/ebitengine/purego"
)

// Library is an open library.
type Library struct {
	Path   string
	handle uintptr
}

// Open opens a library by its path, or by its name where the system's loader
// looks for libraries.
func Open(path string) (*Library, error) {
	h, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_GLOBAL)
	if err != nil {
		return nil, err
	}
	return &Library{path, h}, nil
}

// Call is a function of a library and the Go variable that it is called through.
type Call struct {
	Name string
	Func any // pointer to a func variable of the C function's type
}

// Bind sets the variables, and returns the names that the library does not have.
func (l *Library) Bind(calls []Call) (missing []string) {
	for _, c := range calls {
		sym, err := purego.Dlsym(l.handle, c.Name)
		if err != nil {
			missing = append(missing, c.Name)
			continue
		}
		purego.RegisterFunc(c.Func, sym)
	}
	return missing
}

// Names joins names for a message.
func Names(list []string) string { return strings.Join(list, ", ") }
