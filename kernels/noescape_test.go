package kernels

import "testing"

// TestMovedStack: a local array that noescape hides is found again where a callee has the
// stack moved.
func TestMovedStack(t *testing.T) {
	w, a := NewMat(1, 24), NewMat(2, 24)
	for i := range w.Data {
		w.Data[i] = 3
	}
	// deeper has so much of the stack in use that one of the depths makes any callee grow it.
	var deeper func(depth int) float64
	deeper = func(depth int) float64 {
		if depth > 0 {
			return deeper(depth - 1)
		}
		return spanSquares(w.Weight(), a, []float32{1, 1}, 0, 0, 24, 1)
	}
	for depth := range 600 {
		sum := make(chan float64)
		go func() { sum <- deeper(depth) }()
		if got := <-sum; got != 9*24 {
			t.Fatalf("depth %d: the squares are %v, not %v", depth, got, 9*24)
		}
	}
}
