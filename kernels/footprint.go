package kernels

// ScratchBytes is the most scratch memory the kernels of a model take, by its
// sizes: rows of a pass, the widest sum of a product, the ranks of the adapters
// computed at once, the vocabulary, the size of a head, the number of heads and
// how many of them share a key head, threads.
func ScratchBytes(rows, widest int, ranks []int, vocab, headSize, heads, share, threads int) int {
	block := min(rows, blockM)
	packed := max(block*widest, min(rows, chunk)*vocab, min(widest, blockM)*rows)
	sum := min(sumFloats, block*groupN*32) + block*sumPad
	perThread := max(blockK*32+sum, groupFloats8) + attentionFloats(headSize, share)
	adapters, update := 0, 0
	if len(ranks) > 0 {
		for _, r := range ranks {
			adapters += (r+31)/32*32*widest + rows*r // packed factors, G
			perThread += gradCols * r
			update = max(update, 32*r)
		}
		perThread += update + gradCols*gradRows + maxTileRows*blockK
	}
	return 4 * (packed + adapters + min(rows, chunk)*vocab + rows*heads + threads*perThread) // rows·heads: attentionDelta
}

// attentionFloats is what attention takes of a thread.
func attentionFloats(headSize, share int) int {
	_, nr := tileSize()
	return max(forwardFloats(share, headSize, nr), gradFloats(headSize, nr))
}
