//go:build unix

package mmap

import (
	"os"
	"runtime/debug"
	"testing"
)

// A fault in a file that was shortened names it to whoever recovers, though the
// panic has closed the file on its way.
func TestFault(t *testing.T) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	f := open(t, make([]byte, 3*os.Getpagesize()))
	path, sum := f.Path, byte(0)
	if err := os.Truncate(path, 1); err != nil {
		t.Fatal(err)
	}
	defer func() {
		e, ok := recover().(interface{ Addr() uintptr })
		if !ok {
			t.Fatalf("no fault was met, the sum is %d", sum)
		}
		if at, ok := At(e.Addr()); !ok || at != path {
			t.Errorf("%q %v", at, ok)
		}
	}()
	defer f.Close()
	for _, b := range f.Data {
		sum += b
	}
}
