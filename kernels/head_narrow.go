package kernels

// Where a model is narrow, the products of the head are small compared to the
// logits between them, and threads that share them would spend their time
// moving logits and waiting for each other. There a task has some rows and a
// part of the vocabulary to itself, and its logits stay in its own cache.

const (
	narrowHead    = 512  // columns of x at most
	narrowRows    = 128  // of a task at most
	narrowColumns = 1024 // of logits at a time
	narrowGroup   = 8    // panels of B a product takes at a time
	narrowParts   = 16   // of the vocabulary at most: 512 rows feed 64 threads
)

// vocabParts is the number of parts a vocabulary is split into. It depends on
// nothing else, so that the bits of a row do not.
func vocabParts(vocab int) int { return max(1, min(narrowParts, vocab/narrowColumns)) }

// vocabPart is the words of part p of a vocabulary: whole panels, but the last.
func vocabPart(vocab, p, parts int) (from, to int) {
	if to = vocab; p+1 < parts {
		to = vocab * (p + 1) / parts &^ 31
	}
	return vocab * p / parts &^ 31, to
}

// narrowFloats is the workspace of a task of n rows, products included.
func narrowFloats(n, dim, vocab int) int {
	_, nr := tileSize()
	columns := min(narrowColumns, vocab)
	return lineFloats(packedFloats(n, dim)) + lineFloats(packedFloats(n, columns)) + lineFloats(n*(columns+headPad)) +
		panelFloats + n*(narrowGroup*nr+sumPad)
}

// narrowSums is the memory for the gradients of all parts of the vocabulary
// but the first, which are summed in dx.
func narrowSums(rows, dim, vocab int) int {
	return (vocabParts(vocab) - 1) * rows * (dim + headPad)
}

// narrowBlock gives every task some rows and a part of the vocabulary.
func (c *Context) narrowBlock(dx, x Mat, w Weight, targets Ints, weights Vec) float64 {
	blocks, parts := (x.Rows+narrowRows-1)/narrowRows, vocabParts(w.Rows)
	states := c.headState(parts * x.Rows)
	grads := make([]Mat, parts)
	if !dx.Empty() {
		grads[0] = dx
		stride := x.Cols + headPad
		mem := grow(&c.headGrads, narrowSums(x.Rows, x.Cols, w.Rows))
		for p := 1; p < parts; p++ {
			grads[p] = Mat{mem[(p-1)*x.Rows*stride : p*x.Rows*stride], x.Rows, x.Cols, stride}
		}
	}
	state := func(p int) []headRow { return states[p*x.Rows : (p+1)*x.Rows] }
	c.Parallel(blocks*parts, func(worker, t int) {
		p, b := t/blocks, t%blocks
		r0, r1 := x.Rows*b/blocks, x.Rows*(b+1)/blocks
		v0, v1 := vocabPart(w.Rows, p, parts)
		h := narrowTask{x: x.Slice(r0, r1), w: w.slice(v0, v1), targets: targets[r0:r1], first: v0, state: state(p)[r0:r1]}
		if !dx.Empty() {
			h.dx = grads[p].Slice(r0, r1)
		}
		h.run(&c.workers[worker])
	})
	return c.sumRows(x.Rows, func(i int) float64 {
		s := joinParts(i, grads, state)
		return s.end(dx, i, w, int(targets[i]), float64(weights[i]))
	})
}

// joinParts adds up a row's sums over all parts of the vocabulary, and their
// gradients in those of the first.
func joinParts(i int, grads []Mat, state func(p int) []headRow) headRow {
	all := newHeadRow
	for p := range grads {
		all.top = max(all.top, state(p)[i].top)
		all.target = max(all.target, state(p)[i].target)
	}
	for p, g := range grads {
		s := state(p)[i]
		f := probability(s.top - all.top)
		all.others += s.others * float64(f)
		if g.Empty() {
			continue
		}
		scaleRow(g.Row(i), g.Row(i), f)
		if p > 0 {
			addRow(grads[0].Row(i), grads[0].Row(i), g.Row(i))
		}
	}
	return all
}

// narrowTask is some rows and a part of the vocabulary, which begins at first.
type narrowTask struct {
	dx, x   Mat
	w       Weight
	targets Ints
	first   int
	state   []headRow
}

func (h *narrowTask) run(ws *workspace) {
	mr, nr := tileSize()
	n, dim := h.x.Rows, h.x.Cols
	columns := min(narrowColumns, h.w.Rows)
	mem := carver(grow(&ws.head, narrowFloats(n, dim, h.w.Rows)))
	x := layoutA(mem.take(packedFloats(n, dim)), n, dim, mr)
	probabilities := mem.take(packedFloats(n, columns))
	logits := Mat{mem.take(n * (columns + headPad)), n, columns, columns + headPad}
	x.packAll(ws, rowsOf{h.x})
	for i := range h.state {
		h.state[i] = newHeadRow
	}
	for v0 := 0; v0 < h.w.Rows; v0 += columns {
		v1 := min(v0+columns, h.w.Rows)
		l, part := logits.Columns(0, v1-v0), h.w.slice(v0, v1)
		x.times(ws, mem, product{c: l, b: weightRows{part}, n: v1 - v0}, nr)
		for i := range h.state {
			h.state[i].add(l.Row(i), int(h.targets[i])-h.first-v0)
			if f := h.state[i].rescale; v0 > 0 && f != 1 && !h.dx.Empty() {
				scaleRow(h.dx.Row(i), h.dx.Row(i), f)
			}
		}
		if !h.dx.Empty() {
			p := layoutA(probabilities, n, v1-v0, mr)
			p.packAll(ws, rowsOf{l})
			p.times(ws, mem, product{c: h.dx, b: weightCols{part}, n: dim, acc: v0 > 0}, nr)
		}
	}
}

// packAll packs all panels on this thread.
func (p *panelsA) packAll(ws *workspace, a packer) {
	for i := range p.n {
		p.pack(ws, i, a, 0)
	}
}

// times computes a product of packed rows on this thread, in the memory mem.
func (p *panelsA) times(ws *workspace, mem []float32, to product, nr int) {
	outs := []output{{product: to}}
	group := func(from int) task {
		return task{from: from, to: min(from+narrowGroup, (to.n+nr-1)/nr), end: p.n}
	}
	for ts := group(0); ts.from < ts.to; {
		next := group(ts.to)
		if next.from >= next.to {
			next = task{}
		}
		multiplyTask(ws, mem, outs, p, &ts, &next, 0, p.k, nr)
		ts = group(ts.to)
	}
}
