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
	if got, want := ScratchBytes(z, 20), 512+20*headWorkspace(4096); got != want {
		t.Errorf("of one row %d bytes, the head takes %d", got, want)
	}
	z.Rows, z.Ranks = 200, []int{64, 3}
	for _, n := range []int{AttentionWorkspace(4), 4 * headWorkspace(4096), 4*dropWorkspace + 2*200*67} {
		if got := ScratchBytes(z, 4); got < n {
			t.Errorf("%d bytes, a method takes %d", got, n)
		}
	}
}
