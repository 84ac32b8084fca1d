package codegen

import (
	"go/types"
	"maps"
	"slices"
	"testing"
)

// The names that Go has are those that its type checker knows.
func TestPredeclared(t *testing.T) {
	if got, want := slices.Sorted(maps.Keys(predeclared)), types.Universe.Names(); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}
