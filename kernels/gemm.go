package kernels

// The product of two matrices follows Goto & van de Geijn (2008): rows of A
// are packed once into panels that stay in the second-level cache, columns of
// B into one panel at a time that stays in the first, converted from the stored
// type on the way, so frozen weights need no packed copy. A kernel multiplies
// one panel with another in registers. A task adds up in an accumulator of its
// own and writes C with the last terms: the rows of C are often a power of two
// apart, and would evict each other from the cache.

const (
	panelFloats = 6 << 10          // of a packed panel of B: 24 KiB
	mostK       = panelFloats / 16 // rows of it at most

	blockM = 1024 // rows of A packed at a time
	groupN = 16   // panels of B a task has at most

	sumFloats = 136 << 10 // of an accumulator at most: 544 KiB
	sumPad    = 16        // floats between its rows
)

// blockK is the rows of a packed panel of B of nr columns.
func blockK(nr int) int { return panelFloats / nr }

// packer packs one operand.
type packer interface {
	// pack writes rows [at, at+n) of the operand as columns of a panel of
	// width w: dst[k*w+r] = operand(at+r, k0+k) for k < kc; missing rows of
	// a B panel are zero. ws is the calling thread's.
	pack(ws *workspace, dst []float32, at, n, k0, kc, w int)
}

// product is one output of a multiplication that shares its rows of A.
type product struct {
	c    Mat
	b    packer
	n    int // columns
	acc  bool
	bias Vec // added to each row of c, or nil; not with acc
}

// start writes what the sums are added to, where the kernel that makes them knows
// no bias, and where there is nothing to sum.
func (o *product) start() {
	for i := range o.c.Rows {
		if o.bias != nil {
			copy(o.c.Row(i), o.bias)
		} else if !o.acc {
			clear(o.c.Row(i))
		}
	}
}

// multiply computes every product: c[i, j] (+)= Σ_k a(i, k)·b(j, k), for m
// rows and k terms. Each element is summed in the order of k by one task.
func (c *Context) multiply(m, k int, a packer, outs ...product) {
	full := make([]output, len(outs))
	for i, o := range outs {
		full[i] = output{product: o}
	}
	c.multiplyAdapted(m, k, a, nil, full)
}

// output is a product with an update of low rank, or none. Where the product
// was computed elsewhere, b is nil and the update is added to it.
type output struct {
	product
	up *update
}

// multiplyAdapted computes the projections of the rows of A, then the products
// with their updates, which may read them.
func (c *Context) multiplyAdapted(m, k int, a packer, down []*projection, outs []output) {
	if m == 0 {
		return
	}
	if k == 0 {
		for _, d := range down {
			zeroMat(d.dst)
		}
		for i := range outs {
			outs[i].start()
		}
		return
	}
	mr, nr := tileSize()
	c.packProjections(down, k, nr)
	blocks := (m + blockM - 1) / blockM
	for i := range blocks { // as even as possible
		m0 := m * i / blocks
		rows := m*(i+1)/blocks - m0
		ap := c.packA(a, m0, rows, k, mr, down)
		tasks := c.tasks(ap.n, nr, c.Threads(), outs)
		need := 0
		for _, ts := range tasks {
			need = max(need, ts.floats(&outs[ts.out], ap, k, nr))
		}
		c.Parallel(len(tasks), func(worker, t int) {
			ts, ws := &tasks[t], &c.workers[worker]
			var next task
			if t+c.Threads() < len(tasks) {
				next = tasks[t+c.Threads()]
			}
			multiplyTask(ws, grow(&ws.gemm, need), outs, ap, ts, &next, m0, k, nr)
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

// alike is how many panels from i on, before end, have the same rows.
func (p *panelsA) alike(i, end int) int {
	if i < p.big {
		end = min(end, p.big)
	}
	return end - i
}

// layoutA divides memory into panels for some rows of A, of k terms.
func layoutA(data []float32, rows, k, mr int) *panelsA {
	p := &panelsA{data: data, k: k, n: (rows + mr - 1) / mr}
	p.base = rows / p.n
	p.big = rows - p.base*p.n
	return p
}

// packedFloats is the memory packed rows take: the last tile reads beyond them.
func packedFloats(rows, k int) int { return rows*k + 32 }

// pack packs panel i of the rows of a from m0 on.
func (p *panelsA) pack(ws *workspace, i int, a packer, m0 int) []float32 {
	r, first := p.rows(i), p.first(i)
	panel := p.data[first*p.k : first*p.k+r*p.k]
	a.pack(ws, panel, m0+first, r, 0, p.k, r)
	return panel
}

// packA packs rows [m0, m0+rows) of A and projects them while they are cached.
func (c *Context) packA(a packer, m0, rows, k, mr int, down []*projection) *panelsA {
	p := layoutA(grow(&c.packedA, packedFloats(rows, k)), rows, k, mr)
	c.Parallel(p.n, func(worker, i int) {
		ws := &c.workers[worker]
		panel := p.pack(ws, i, a, m0)
		for _, d := range down {
			d.run(ws, panel, m0+p.first(i), p.rows(i), k)
		}
	})
	return p
}

// stepK splits k terms into blocks as even as whole cache lines allow, since a
// line that two blocks share is read twice. The blocks depend on k and the tile alone: they
// decide how sums are rounded.
func stepK(k, nr int) (step int) {
	const line = 16
	most := blockK(nr)
	blocks := (k + most - 1) / most
	even := (k + blocks - 1) / blocks
	return min((even+line-1)/line*line, k)
}

// accumulates reports whether a task adds up in an accumulator instead of C.
func (o *output) accumulates(k, nr int) bool { return o.up != nil || k > blockK(nr) }

// floats is the workspace of a task: a panel of B, or of the update's, and the
// accumulator.
func (ts *task) floats(o *output, ap *panelsA, k, nr int) int {
	n := max(panelFloats, o.up.floats(nr))
	if o.accumulates(k, nr) {
		n += (ap.first(ts.end) - ap.first(ts.first)) * ((ts.to-ts.from)*nr + sumPad)
	}
	return n
}

// tileJob is the state of a task that is running.
type tileJob struct {
	*output
	ws       *workspace
	ap       *panelsA
	ts       *task
	nr       int
	first    int       // row of A's block it begins with
	from, to int       // columns of C
	part     Mat       // of C
	sum      Mat       // where the next terms go: the accumulator, or part
	base     Mat       // what they are added to
	add      bool      // whether they are
	panel    []float32 // of B
}

// multiplyTask runs one task in the memory mem. The panel of B it packs next,
// or the next task of the thread will, is prefetched meanwhile.
func multiplyTask(ws *workspace, mem []float32, outs []output, ap *panelsA, ts, next *task, m0, k, nr int) {
	j := newTileJob(ws, mem, &outs[ts.out], ap, ts, m0, k, nr)
	if j.b == nil {
		for i := range j.part.Rows {
			copy(j.part.Row(i), j.sum.Row(i))
		}
		return
	}
	step := stepK(k, nr)
	for k0 := 0; k0 < k; k0 += step {
		if k0+step >= k {
			j.sum = j.part
		}
		kc := min(step, k-k0)
		for p := ts.from; p < ts.to; p++ {
			var f prefetcher
			switch {
			case p+1 < ts.to:
				f.region = j.locate(p+1, nr, k0, kc)
			case k0+step < k:
				f.region = j.locate(ts.from, nr, k0+step, min(step, k-k0-step))
			case next.to > 0:
				f.region = outs[next.out].locate(next.from, nr, 0, step)
			}
			if nr == 16 && f.rows < kc/4 { // a few long rows, which processors fetch themselves
				f.at = nil
			}
			j.multiply(p, k0, kc, &f)
		}
		j.base, j.add = j.sum, true
	}
}

// newTileJob divides a task's memory into its accumulator and a panel of B, and
// writes the update to the accumulator.
func newTileJob(ws *workspace, mem []float32, o *output, ap *panelsA, ts *task, m0, k, nr int) tileJob {
	j := tileJob{output: o, ws: ws, ap: ap, ts: ts, nr: nr, first: ap.first(ts.first), from: ts.from * nr, to: min(ts.to*nr, o.n)}
	at, rows := m0+j.first, ap.first(ts.end)-j.first
	j.part = o.c.Slice(at, at+rows).Columns(j.from, j.to)
	j.sum, j.panel = j.part, mem
	if o.accumulates(k, nr) {
		stride := (ts.to-ts.from)*nr + sumPad
		j.sum = Mat{mem[:rows*stride], rows, j.to - j.from, stride}
		j.panel = mem[rows*stride:]
	}
	j.base, j.add = j.part, o.acc
	var bias []float32
	if o.bias != nil {
		bias = o.bias[j.from:j.to]
		j.base, j.add = Mat{Data: bias, Rows: rows, Cols: len(bias)}, true // the same row for each
	}
	if o.up != nil {
		o.up.write(ws, j.panel, j.sum, at, j.from, nr)
		for i := 0; i < rows && bias != nil; i++ {
			addRow(j.sum.Row(i), j.sum.Row(i), bias)
		}
		for i := 0; i < rows && o.acc; i++ {
			addRow(j.sum.Row(i), j.sum.Row(i), j.part.Row(i))
		}
		j.base, j.add = j.sum, true
	}
	return j
}

// multiply takes kc terms of panel p of B, which the first tile packs, if it can.
func (j *tileJob) multiply(p, k0, kc int, f *prefetcher) {
	at := p * j.nr
	col, n := at-j.from, min(j.nr, j.n-at)
	src := unpacked(j.b, j.ap.rows(j.ts.first), at, n, k0, kc)
	if src.at == nil {
		j.b.pack(j.ws, j.panel[:kc*j.nr], at, n, k0, kc, j.nr)
	}
	for i, tiles := j.ts.first, 1; i < j.ts.end; i += tiles {
		r, row := j.ap.rows(i), j.ap.first(i)-j.first
		h := f.hint(kc)
		if i+1 < j.ts.end {
			h.panel = &j.ap.data[j.ap.first(i+1)*j.ap.k+k0*j.ap.rows(i+1)]
		}
		a := j.ap.data[j.ap.first(i)*j.ap.k+k0*r:]
		if tiles = 1; h.addr == nil { // nothing to prefetch tile by tile
			tiles = min(tilesRun(n), j.ap.alike(i, j.ts.end))
		}
		c, from := j.sum.Data[row*j.sum.Stride+col:], j.base.Data[row*j.base.Stride+col:]
		if i == j.ts.first && src.at != nil {
			tilePacking(r, kc, a, src, j.panel, c, j.sum.Stride, from, j.base.Stride, j.add, h)
			continue
		}
		if tiles > 1 {
			tileRun(tiles, r, kc, j.ap.k, a, j.panel, c, j.sum.Stride, from, j.base.Stride, j.add, h)
			continue
		}
		tileFrom(r, kc, a, r, j.panel, j.nr, c, j.sum.Stride, from, j.base.Stride, n, j.add, h)
	}
}

func zeroMat(m Mat) {
	for i := range m.Rows {
		clear(m.Row(i))
	}
}
