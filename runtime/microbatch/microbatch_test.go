package microbatch

import (
	"slices"
	"testing"

	"lorac/runtime/data/dataset"
)

// Tokens that no other one attends to are left out; the others keep their positions,
// and the seeds and targets that they have with them.
func TestHiddenTokens(t *testing.T) {
	pad := int32(0)
	row := dataset.Row{Tokens: []int32{0, 5, 0, 6, 0, 7, 8}, Labels: []int32{-100, 5, -100, 6, 9, 7, -100}}
	one := func(r dataset.Row) *MicroBatch {
		p := NewPacker(100)
		p.Add(r, 1, 42)
		return p.Done()[0]
	}
	whole := one(row)
	row.Hidden = &pad
	b := one(row)
	// The pad at 0 predicts 5, that at 2 predicts 6, that at 4 predicts 7: labels win.
	same(t, "all predict", b.Tokens, whole.Tokens)
	row.Labels = []int32{-100, -100, 9, -100, 9, -100, 8}
	whole = func() *MicroBatch { r := row; r.Hidden = nil; return one(r) }()
	b = one(row)
	same(t, "tokens", b.Tokens, []int32{5, 6, 7})
	same(t, "positions", b.Pos, []int32{1, 3, 5})
	same(t, "targets", b.Targets, []int32{9, 9, 8})
	same(t, "rows", b.Rows, []int32{0, 1, 2})
	same(t, "starts", b.Starts, []int32{0})
	same(t, "seeds", b.Seeds, []uint64{whole.Seeds[1], whole.Seeds[3], whole.Seeds[5]})
}

func same[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: %v, not %v", what, got, want)
	}
}
