package kernels

// ScratchBytes is the most scratch memory the kernels of a model take, by its
// sizes: rows of a pass, the widest sum of a product, the width of a LoRA
// linear's input (0 without dropout), the vocabulary, threads.
func ScratchBytes(rows, widest, lora, vocab, threads int) int {
	packed := max(min(rows, blockM)*widest, min(rows, chunk)*vocab, min(widest, blockM)*rows)
	perThread := groupN*blockK*32 + attentionScratch
	return 4 * (packed + rows*lora + min(rows, chunk)*vocab + threads*perThread)
}

// attentionScratch is what a thread needs for its tiles of scores and the
// packed operands of their products, in numbers.
const attentionScratch = 1 << 18
