package formulas

// headLoss takes rows by groups and the vocabulary by blocks of 1024; csrc/head_cube.h
// and head_vector.h have the same. What was summed of dx is read and written again where
// a row's largest logit grows from one block to the next: for random logits, in block b
// with probability 1/(b+1). Of rows with weight 0 less is read at the end.
func headLoss(a args) (w Work, err error) {
	const block, wide = 1024, 256
	rows, cols, vocab := a.int(7), a.int(8), a.int(9)
	step := headRows(rows, a.Blocks)
	for r := 0; r < rows; r += step {
		m := min(step, rows-r)
		multiplied := m
		if m == 1 {
			multiplied = 16
		}
		for v0 := 0; v0 < vocab; v0 += block {
			v := min(block, vocab-v0)
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
	w.In += 4 * rows
	w.Out += 4 * rows
	if !a.has(1) {
		return w, nil
	}
	grown := 0.0
	for b := 1; b < ceil(vocab, block); b++ {
		grown += float64(rows) / float64(b+1)
	}
	again := 4 * cols * int(grown)
	w.In += again + 6*cols*a.live(5, rows)
	w.Out += again + 2*cols*rows
	return w, nil
}

// headRows divides the rows among the groups, at most 128 at a time.
func headRows(rows, groups int) int {
	if rows == 0 {
		return 16
	}
	rounds := ceil(rows, groups*128)
	return up16(ceil(rows, groups*rounds))
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
