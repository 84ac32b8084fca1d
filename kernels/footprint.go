package kernels

// ScratchBytes is the most scratch memory the kernels of a model take, by its
// sizes: rows of a pass, the widest sum of a product, the ranks of the adapters
// computed at once, the vocabulary, threads.
func ScratchBytes(rows, widest int, ranks []int, vocab, threads int) int {
	packed := max(min(rows, blockM)*widest, min(rows, chunk)*vocab, min(widest, blockM)*rows)
	perThread := groupN*blockK*32 + attentionScratch
	adapters := 0
	if len(ranks) > 0 {
		for _, r := range ranks {
			adapters += (r+31)/32*32*widest + (min(rows, blockM)+rows)*r // packed factors, packed xa, G
			perThread += gradCols * r
		}
		perThread += gradCols*gradRows + 2*16*blockK
	}
	return 4 * (packed + adapters + min(rows, chunk)*vocab + threads*perThread)
}

// attentionScratch is what a thread needs for its tiles of scores and the
// packed operands of their products, in numbers.
const attentionScratch = 1 << 18
