package formulas

// headLoss takes rows by groups and the vocabulary by ranges of blocks of 1024, and merges
// the ranges at the end, 8 rows and a piece of their columns at a time; csrc/head_cube.h,
// head_vector.h and head_merge.h have the same. What was summed of dx is read and written
// again where a row's largest logit grows from one block of a range to the next: for random
// logits, in block b of the range with probability 1/(b+1). Of rows with weight 0 less is
// read at the end.
func headLoss(a args) (w Work, err error) {
	rows, cols, vocab := a.int(7), a.int(8), a.int(9)
	if rows == 0 {
		return w, nil
	}
	blocks := ceil(vocab, headBlock)
	ranges := max(1, min(headTasks/ceil(rows, headRows), blocks))
	step := headStep(rows, ranges, a.Blocks)
	for r := 0; r < rows; r += step {
		m := min(step, rows-r)
		multiplied := m
		if m == 1 {
			multiplied = 16
		}
		for v0 := 0; v0 < vocab; v0 += headBlock {
			const wide = 256
			v := min(headBlock, vocab-v0)
			w.In += 2*cols*(m*ceil(v, wide)+v) + 4*m*up16(v)
			w.Out += 4 * m * up16(v)
			w.FLOPs += 2 * multiplied * cols * v
			if a.has(1) { // dx
				w.In += 2 * (m*up16(v)*ceil(cols, wide) + v*cols)
				w.Out += 2*m*up16(v) + 4*m*cols
				w.FLOPs += 2 * multiplied * cols * up16(v)
			}
		}
	}
	w.Out += 12*ranges*rows + 4*rows
	if !a.has(1) {
		w.In += (12*ranges + 4) * rows
		return w, nil
	}
	piece := 4096
	if ceil(rows, 8) < 2*a.Blocks {
		piece = 1024
	}
	w.In += (12*ranges + 4) * rows * ceil(cols, piece)
	grown := 0.0
	for r := range ranges {
		for b := 1; b < (r+1)*blocks/ranges-r*blocks/ranges; b++ {
			grown += float64(rows) / float64(b+1)
		}
	}
	again := 4 * cols * int(grown)
	w.In += again + (4*ranges+2)*cols*a.live(5, rows)
	w.Out += again + 2*cols*rows
	return w, nil
}

const (
	headRows  = 128  // that a group takes at a time, at most
	headBlock = 1024 // of the vocabulary
	headTasks = 48   // blocks of rows, and ranges, at most where there are ranges
)

// headStep divides the rows among the groups, or among blocks of rows where there are ranges.
func headStep(rows, ranges, groups int) int {
	if ranges > 1 {
		return up16(ceil(rows, ceil(rows, headRows)))
	}
	return up16(ceil(rows, groups*ceil(rows, groups*headRows)))
}

// live is how many of n weights are not zero; all where they are not known.
func (a args) live(weights, n int) int {
	list := a.words(a.Args[weights], n)
	if list == nil {
		return n
	}
	count := 0
	for _, bits := range list {
		if bits != 0 {
			count++
		}
	}
	return count
}
