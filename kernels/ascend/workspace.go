package ascend

// Workspaces of mixed kernels, in bytes for each group of cores: what cube and vector
// cores hand each other goes through it. The sources of the kernels say what is in them.
const (
	dropWorkspace = 393216 // csrc/dropped.table.h: the largest of its kernels
)

// headWorkspace is what csrc/head.h lays out: for each group of cores blocks of logits
// and of weights, two each; for each range of the vocabulary and row three numbers and,
// unless cols is 0, a sum of dx.
func headWorkspace(rows, cols, vocab, groups int) int {
	n := headRanges(rows, vocab) * rows
	return groups*headGroup + (12*n+align-1)/align*align + 4*n*cols
}

// headRanges is into how many ranges of blocks the vocabulary is split: blocks of rows
// and ranges are headTasks at most, or the blocks of rows.
func headRanges(rows, vocab int) int {
	return max(1, min(headTasks/max(1, blocksOf(rows, headRows)), blocksOf(vocab, headBlock)))
}

// headScratch is the most that headWorkspace gives for so many rows or fewer.
func headScratch(rows, cols, vocab, groups int) int {
	most := max(rows, min(headTasks, blocksOf(rows, headRows)*blocksOf(vocab, headBlock))*headRows)
	return groups*headGroup + (12*most+align-1)/align*align + 4*most*cols
}

const (
	headRows  = 128  // rows that a group of cores takes at a time, at most
	headBlock = 1024 // columns of a block of the vocabulary
	headTasks = 48
	headGroup = 2 * headRows * headBlock * (4 + 2)
)
