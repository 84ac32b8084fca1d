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

// cutA lays rows of A, of k terms, out in memory.
func cutA(data []float32, rows, k, mr int) *panelsA {
	p := &panelsA{data: data, k: k, n: (rows + mr - 1) / mr}
	p.base = rows / p.n
	p.big = rows - p.base*p.n
	return p
}

// floatsA is the memory packed rows take: the last tile reads on behind them.
func floatsA(rows, k int) int { return rows*k + 32 }

// pack packs panel i of the rows of a from m0 on.
func (p *panelsA) pack(i int, a packer, m0 int) []float32 {
	r, first := p.rows(i), p.first(i)
	panel := p.data[first*p.k : first*p.k+r*p.k]
	a.pack(panel, m0+first, r, 0, p.k, r)
	return panel
}

// packA packs rows [m0, m0+rows) of A and projects them while they are near.
func packA(a packer, m0, rows, k, mr int, down []*projection) *panelsA {
	p := cutA(grow(&packedA, floatsA(rows, k)), rows, k, mr)
	Parallel(p.n, func(worker, i int) {
		panel := p.pack(i, a, m0)
		for _, d := range down {
			d.run(worker, panel, m0+p.first(i), p.rows(i), k)
		}
	})
	return p
}

// cutK cuts k terms into blocks as even as whole lines of memory allow, for a
// line two blocks share is fetched twice. The blocks depend on k alone: they
// decide how sums are rounded.
func cutK(k int) (step int) {
	const line = 16
	blocks := (k + blockK - 1) / blockK
	even := (k + blocks - 1) / blocks
	return min((even+line-1)/line*line, k)
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

// group is a task at work.
type group struct {
	*output
	ap       *panelsA
	ts       *task
	nr       int
	first    int       // row of A's block it begins with
	from, to int       // columns of C
	part     Mat       // of C
	sum      Mat       // where the next terms go
	have     Mat       // what they are added to, if anything
	add      bool      // whether there is
	panel    []float32 // of B
}

// multiplyGroup does one task. The panel of B it takes next, or the task then
// will, is fetched meanwhile.
func multiplyGroup(outs []output, ap *panelsA, ts, then *task, room []float32, m0, k, nr int) {
	g := begin(&outs[ts.out], ap, ts, room, m0, k, nr)
	if g.b == nil {
		for i := range g.part.Rows {
			copy(g.part.Row(i), g.sum.Row(i))
		}
		return
	}
	step := cutK(k)
	for k0 := 0; k0 < k; k0 += step {
		if k0+step >= k {
			g.sum = g.part
		}
		kc := min(step, k-k0)
		for p := ts.from; p < ts.to; p++ {
			var soon fetcher
			switch {
			case p+1 < ts.to:
				soon.region = g.locate(p+1, nr, k0, kc)
			case k0+step < k:
				soon.region = g.locate(ts.from, nr, k0+step, min(step, k-k0-step))
			case then.to > 0:
				soon.region = outs[then.out].locate(then.from, nr, 0, step)
			}
			g.multiply(p, k0, kc, &soon)
		}
		g.have, g.add = g.sum, true
	}
}

// begin lays out a task's room, for its part of C and a panel of B, and writes
// the update there.
func begin(o *output, ap *panelsA, ts *task, room []float32, m0, k, nr int) group {
	g := group{output: o, ap: ap, ts: ts, nr: nr, first: ap.first(ts.first), from: ts.from * nr, to: min(ts.to*nr, o.n)}
	at, rows := m0+g.first, ap.first(ts.end)-g.first
	g.part = o.c.Slice(at, at+rows).Columns(g.from, g.to)
	g.sum, g.panel = g.part, room
	if o.own(k) {
		stride := (ts.to-ts.from)*nr + sumPad
		g.sum = Mat{room[:rows*stride], rows, g.to - g.from, stride}
		g.panel = room[rows*stride:]
	}
	g.have, g.add = g.part, o.acc
	if o.up != nil {
		o.up.write(g.sum, at, g.from, nr, g.panel)
		for i := 0; i < rows && o.acc; i++ {
			addRow(g.sum.Row(i), g.sum.Row(i), g.part.Row(i))
		}
		g.have, g.add = g.sum, true
	}
	return g
}

// multiply takes kc terms of panel p of B, which the first tile packs, if it can.
func (g *group) multiply(p, k0, kc int, soon *fetcher) {
	at := p * g.nr
	j, n := at-g.from, min(g.nr, g.n-at)
	src := unpacked(g.b, g.ap.rows(g.ts.first), at, n, k0, kc)
	if src.at == nil {
		g.b.pack(g.panel[:kc*g.nr], at, n, k0, kc, g.nr)
	}
	for i := g.ts.first; i < g.ts.end; i++ {
		r, row := g.ap.rows(i), g.ap.first(i)-g.first
		h := soon.hint(kc)
		if i+1 < g.ts.end {
			h.next = &g.ap.data[g.ap.first(i+1)*g.ap.k+k0*g.ap.rows(i+1)]
		}
		a := g.ap.data[g.ap.first(i)*g.ap.k+k0*r:]
		c, from := g.sum.Data[row*g.sum.Stride+j:], g.have.Data[row*g.have.Stride+j:]
		if i == g.ts.first && src.at != nil {
			tilePacking(r, kc, a, src, g.panel, c, g.sum.Stride, from, g.have.Stride, g.add, h)
			continue
		}
		tileOnto(r, kc, a, r, g.panel, g.nr, c, g.sum.Stride, from, g.have.Stride, n, g.add, h)
	}
}

func zeroMat(m Mat) {
	for i := range m.Rows {
		clear(m.Row(i))
	}
}
