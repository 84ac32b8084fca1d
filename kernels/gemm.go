package kernels

// The product of two matrices follows Goto & van de Geijn (2008): rows of A
// are packed once into panels that stay in the second-level cache, columns of
// B into one panel at a time that stays in the first, converting from the
// stored type on the way, so frozen weights need no packed copy. A kernel
// multiplies one panel with another in registers. A task sums up in memory of
// its own and writes C with the last terms: rows of C often lie a power of two
// apart, and would push each other out of the cache.

const (
	blockK = 192  // rows of a packed panel of B: 24 KiB
	blockM = 1024 // rows of A packed at a time
	groupN = 16   // panels of B a task has at most

	sumFloats = 136 << 10 // of C a task has at most: 544 KiB
	sumPad    = 16        // floats between its rows
)

// source packs one operand.
type packer interface {
	// pack writes rows [at, at+n) of the operand as columns of a panel of
	// width w: dst[k*w+r] = operand(at+r, k0+k) for k < kc; missing rows of
	// a B panel are zero.
	pack(dst []float32, at, n, k0, kc, w int)
}

// product is one output of a multiplication that shares its rows of A.
type product struct {
	c   Mat
	b   packer
	n   int // columns
	acc bool
}

// scratch: the packed A, and of each worker a panel of B and its part of C.
var (
	packedA []float32
	ownRoom [][]float32
)

// multiply computes every product: c[i, j] (+)= Σ_k a(i, k)·b(j, k), for m
// rows and k terms. Each element is summed in the order of k by one task.
func multiply(m, k int, a packer, outs ...product) {
	full := make([]output, len(outs))
	for i, o := range outs {
		full[i] = output{product: o}
	}
	multiplyAdapted(m, k, a, nil, full)
}

// output is a product with an update of low rank, or none. Where the product
// was done otherwise, b is nil and the update is added to it.
type output struct {
	product
	up *update
}

// multiplyAdapted computes the projections of the rows of A, then the products
// with their updates, which may read them.
func multiplyAdapted(m, k int, a packer, down []*projection, outs []output) {
	if m == 0 {
		return
	}
	if k == 0 {
		for _, d := range down {
			zeroMat(d.dst)
		}
		for _, o := range outs {
			if !o.acc {
				zeroMat(o.c)
			}
		}
		return
	}
	mr, nr := tileSize()
	for len(ownRoom) < Threads() {
		ownRoom = append(ownRoom, nil)
	}
	packProjections(down, k, nr)
	blocks := (m + blockM - 1) / blockM
	for i := range blocks { // as even as possible
		m0 := m * i / blocks
		rows := m*(i+1)/blocks - m0
		ap := packA(a, m0, rows, k, mr, down)
		tasks := split(ap.n, nr, Threads(), outs)
		need := 0
		for _, ts := range tasks {
			need = max(need, ts.room(&outs[ts.out], ap, k, nr))
		}
		Parallel(len(tasks), func(worker, t int) {
			ts := &tasks[t]
			room := grow(&ownRoom[worker], need)
			var then task
			if t+Threads() < len(tasks) {
				then = tasks[t+Threads()]
			}
			multiplyGroup(outs, ap, ts, &then, room, m0, k, nr)
		})
	}
}

// panelsA is a block of rows of A in panels of at most mr rows, as even as
// possible: panel p holds [k][rows(p)].
type panelsA struct {
	data      []float32
	k         int
	n         int // panels
	big, base int // the first big panels have base+1 rows
}

func (p *panelsA) rows(i int) int {
	if i < p.big {
		return p.base + 1
	}
	return p.base
}

func (p *panelsA) first(i int) int { return i*p.base + min(i, p.big) }

// packA packs rows [m0, m0+rows) of A and projects them while they are near.
func packA(a packer, m0, rows, k, mr int, down []*projection) *panelsA {
	p := &panelsA{k: k, n: (rows + mr - 1) / mr}
	p.base = rows / p.n
	p.big = rows - p.base*p.n
	p.data = grow(&packedA, rows*k+32)
	Parallel(p.n, func(worker, i int) {
		r, first := p.rows(i), p.first(i)
		panel := p.data[first*k : first*k+r*k]
		a.pack(panel, m0+first, r, 0, k, r)
		for _, d := range down {
			d.run(worker, panel, m0+first, r, k)
		}
	})
	return p
}

// cutK cuts k terms into blocks as even as possible, which depend on k alone:
// they decide how sums are rounded.
func cutK(k int) (step int) {
	blocks := (k + blockK - 1) / blockK
	return (k + blocks - 1) / blocks
}

// own reports whether a task sums up beside C.
func (o *output) own(k int) bool { return o.up != nil || k > blockK }

// room is how many floats a task needs: a panel of B, or of the update's, and
// its part of C.
func (ts *task) room(o *output, ap *panelsA, k, nr int) int {
	n := max(blockK*nr, o.up.room(nr))
	if o.own(k) {
		n += (ap.first(ts.end) - ap.first(ts.first)) * ((ts.to-ts.from)*nr + sumPad)
	}
	return n
}

// multiplyGroup does one task. What it packs next, or the task then will, is
// fetched meanwhile.
func multiplyGroup(outs []output, ap *panelsA, ts, then *task, room []float32, m0, k, nr int) {
	o := &outs[ts.out]
	first, from, to := ap.first(ts.first), ts.from*nr, min(ts.to*nr, o.n)
	rows := ap.first(ts.end) - first
	c := o.c.Slice(m0+first, m0+first+rows).Columns(from, to)
	sum, panel := c, room
	if o.own(k) {
		stride := (ts.to-ts.from)*nr + sumPad
		sum = Mat{room[:rows*stride], rows, to - from, stride}
		panel = room[rows*stride:]
	}
	have, acc := c, o.acc // what is added to
	if o.up != nil {
		o.up.write(sum, m0+first, from, nr, panel)
		for i := 0; i < rows && o.acc; i++ {
			addRow(sum.Row(i), sum.Row(i), c.Row(i))
		}
		have, acc = sum, true
	}
	if o.b == nil {
		for i := range rows {
			copy(c.Row(i), sum.Row(i))
		}
		return
	}
	step := cutK(k)
	for k0 := 0; k0 < k; k0 += step {
		kc := min(step, k-k0)
		var f fetcher
		if k0+step < k {
			f.region = ts.locate(outs, nr, k0+step, min(step, k-k0-step))
		} else {
			sum = c
			if then.to > 0 {
				f.region = then.locate(outs, nr, 0, step)
			}
		}
		for p := ts.from; p < ts.to; p++ {
			j, n := p*nr-from, min(nr, o.n-p*nr)
			o.b.pack(panel[:kc*nr], p*nr, n, k0, kc, nr)
			for i := ts.first; i < ts.end; i++ {
				r, at := ap.rows(i), ap.first(i)
				h := f.hint(kc)
				if i+1 < ts.end {
					h.next = &ap.data[ap.first(i+1)*ap.k+k0*ap.rows(i+1)]
				}
				a, row := ap.data[at*ap.k+k0*r:], at-first
				tileOnto(r, kc, a, r, panel, nr, sum.Data[row*sum.Stride+j:], sum.Stride, have.Data[row*have.Stride+j:], have.Stride, n, acc, h)
			}
		}
		have, acc = sum, true
	}
}

func zeroMat(m Mat) {
	for i := range m.Rows {
		clear(m.Row(i))
	}
}
