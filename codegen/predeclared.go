package codegen

import "strings"

// predeclared are the names that Go's universe has: those of go/types.Universe, a
// package that takes longer to compile than this one.
var predeclared = map[string]bool{}

func init() {
	for _, name := range strings.Fields(`any bool byte comparable complex64 complex128 error float32 float64 int int8 int16 int32
		int64 rune string uint uint8 uint16 uint32 uint64 uintptr true false iota nil append cap clear close complex copy
		delete imag len make max min new panic print println real recover`) {
		predeclared[name] = true
	}
}
