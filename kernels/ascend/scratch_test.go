package ascend

import (
	"testing"

	"lorac/kernels"
)

// What is reserved for a model is the largest of what its methods take.
func TestScratchBytes(t *testing.T) {
	z := kernels.Sizes{Rows: 4096, Supervised: 4096, Ranks: []int{16, 16, 16}, Hidden: 4096, Vocab: 32000, HeadSize: 128, Heads: 32, Share: 1}
	if got, want := ScratchBytes(z, 20), AttentionGradWorkspace(20, 4096, 4096, 32, 32, 128); got != want {
		t.Errorf("%d bytes, attention's gradient takes %d", got, want)
	}
	z.Rows, z.Supervised, z.Heads, z.Share = 1, 1, 1, 1
	if got, want := ScratchBytes(z, 20), 512+headScratch(1, 4096, 32000, 20); got != want {
		t.Errorf("of one row %d bytes, the head takes %d", got, want)
	}
	z.Rows, z.Ranks = 200, []int{64, 3}
	for _, n := range []int{AttentionWorkspace(4), headWorkspace(1, 4096, 32000, 4), 4*dropWorkspace + 2*200*67} {
		if got := ScratchBytes(z, 4); got < n {
			t.Errorf("%d bytes, a method takes %d", got, n)
		}
	}
}

// The most of the head is that of some number of rows, and no less than that of any.
func TestHeadScratch(t *testing.T) {
	for _, vocab := range []int{3, 1025, 32000, 128256} {
		for _, rows := range []int{1, 127, 129, 700, 3072, 3073, 8192} {
			most := headScratch(rows, 64, vocab, 7)
			for n := 1; n <= rows; n++ {
				if got := headWorkspace(n, 64, vocab, 7); got > most {
					t.Fatalf("vocabulary %d: %d rows take %d bytes, at most %d rows %d", vocab, n, got, rows, most)
				}
			}
		}
	}
}
