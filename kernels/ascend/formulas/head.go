package formulas

// headLoss takes blocks of rows, and where these are few, ranges of the vocabulary, by
// blocks of 1024 of it; csrc/head_cube.h, head_vector.h and head_merge.h have the same.
// What was summed of dx is read and written again where a row's largest logit grows from
// one block to the next: for random logits, in block b of a range with probability
// 1/(b+1). Of rows with weight 0 less is read at the end.
func headLoss(a args) (w Work, err error) {
	const block, wide = 1024, 256
	rows, cols, vocab, grad := a.int(7), a.int(8), a.int(9), a.has(1)
	if rows == 0 {
		return w, nil
	}
	ranges, step := headPlan(rows, vocab, a.Blocks)
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
			if grad {
				w.In += 2 * (m*up16(v)*ceil(cols, wide) + v*cols)
				w.Out += 2*m*up16(v) + 4*m*cols
				w.FLOPs += 2 * multiplied * cols * up16(v)
			}
		}
	}
	w.In += (12*ranges + 4) * rows
	w.Out += (12*ranges + 4) * rows
	if !grad {
		return w, nil
	}
	grown, blocks := 0.0, ceil(vocab, block)
	for part := range ranges {
		for b := 1; b < (part+1)*blocks/ranges-part*blocks/ranges; b++ {
			grown += float64(rows) / float64(b+1)
		}
	}
	again := 4 * cols * int(grown)
	w.In += again + (4*ranges+2)*cols*a.live(5, rows)
	w.Out += again + 2*cols*rows
	return w, nil
}

// headPlan is how many ranges of the vocabulary there are, and how many rows a group
// takes at a time.
func headPlan(rows, vocab, groups int) (ranges, step int) {
	const tasks, most = 48, 128
	ranges = max(1, min(tasks/ceil(rows, most), ceil(vocab, 1024)))
	rounds := ceil(rows, most)
	if ranges == 1 {
		rounds = groups * ceil(rows, groups*most)
	}
	return ranges, up16(ceil(rows, rounds))
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
