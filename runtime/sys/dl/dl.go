// Package dl opens C libraries at run time, without cgo. A program that imports it
// is linked dynamically, whether it opens one or not: only programs for a device do.
package dl

import (
	"errors"

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
	h, err := open(path)
	if err != nil {
		return nil, err
	}
	return &Library{path, h}, nil
}

// OpenFirst opens the first of some libraries that the loader takes. Its error is
// that of the first one that is there but cannot be loaded, else of the first.
func OpenFirst(paths []string, missing func(error) bool) (*Library, error) {
	var first, broken error
	for _, p := range paths {
		l, err := Open(p)
		if err == nil {
			return l, nil
		}
		if first == nil {
			first = err
		}
		if broken == nil && !missing(err) {
			broken = err
		}
	}
	if broken != nil {
		return nil, broken
	}
	if first == nil {
		first = errors.New("no library is named")
	}
	return nil, first
}

// Call is a function of a library and the Go variable that it is called through.
type Call struct {
	Name string
	Func any // pointer to a func variable of the C function's type
}

// Bind sets the variables, and returns the names that the library does not have.
func (l *Library) Bind(calls []Call) (missing []string) {
	for _, c := range calls {
		sym, err := symbol(l.handle, c.Name)
		if err != nil {
			missing = append(missing, c.Name)
			continue
		}
		purego.RegisterFunc(c.Func, sym)
	}
	return missing
}

// Symbol is the address of a function of a library, 0 where it has none. Invoke
// calls it several times faster than a bound variable does.
func (l *Library) Symbol(name string) uintptr {
	sym, _ := symbol(l.handle, name)
	return sym
}

// Invoke calls a C function of integers and pointers. What a pointer points to must
// be on the heap, and the caller must keep it alive.
func Invoke(f uintptr, args ...uintptr) uintptr {
	r, _, _ := purego.SyscallN(f, args...)
	return r
}

// Callback makes a C function of a Go one; C may call it from any thread. The
// number of them is limited and none is ever freed.
func Callback(f any) uintptr { return purego.NewCallback(f) }
