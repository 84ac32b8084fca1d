package ascend

import "lorac/kernels"

// ScratchBytes is the most that a method takes at once on so many groups of cores,
// for a model of these sizes: what a Context reserves, so that it need not grow.
func ScratchBytes(z kernels.Sizes, groups int) int {
	lines := func(n int) int { return (n + align - 1) / align * align }
	keys := z.Heads / max(z.Share, 1)
	back := lines(groups * dropWorkspace) // of a group of linears: dy·b of each adapter
	for _, r := range z.Ranks {
		back += lines(2 * z.Rows * r)
	}
	return max(
		lines(AttentionWorkspace(groups)),
		lines(AttentionGradWorkspace(groups, z.Rows, z.Rows, z.Heads, keys, z.HeadSize)),
		lines(4*z.Supervised)+lines(headScratch(z.Supervised, z.Hidden, z.Vocab, groups)),
		back)
}
