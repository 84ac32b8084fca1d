package kernels

// The product of two matrices follows Goto & van de Geijn (2008): columns of
// B are packed into panels that stay in the second-level cache, rows of A in
// panels that stay in the first, and a kernel multiplies one panel with
// another in registers. B is packed once per block of A's rows, converting
// from the stored type on the way, so frozen weights need no packed copy.

const (
	blockK = 256  // rows of a packed panel of B: 32 KiB
	blockM = 1024 // rows of A packed at a time
	groupN = 4    // panels of B a task packs at most: 256 KiB

	groupFloats = groupN * blockK * 32
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

// scratch of the packed operands: A shared, B one per worker.
var (
	packedA []float32
	packedB [][]float32
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
	for len(packedB) < Threads() {
		packedB = append(packedB, nil)
	}
	packProjections(down, k, nr)
	need := groupFloats
	for _, o := range outs {
		need = max(need, o.up.scratch(mr, nr))
	}
	blocks := (m + blockM - 1) / blockM
	for i := range blocks { // as even as possible
		m0 := m * i / blocks
		rows := m*(i+1)/blocks - m0
		ap := packA(a, m0, rows, k, mr, down, outs)
		tasks := split(ap.n, nr, Threads(), outs)
		Parallel(len(tasks), func(worker, t int) {
			ts := &tasks[t]
			bp := grow(&packedB[worker], need)
			var then task
			if t+Threads() < len(tasks) {
				then = tasks[t+Threads()]
			}
			multiplyGroup(outs, ap, ts, &then, bp, m0, k, nr)
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

// packA packs rows [m0, m0+rows) of A, projects them while they are near, and
// packs what the updates take from that.
func packA(a packer, m0, rows, k, mr int, down []*projection, outs []output) *panelsA {
	p := &panelsA{k: k, n: (rows + mr - 1) / mr}
	p.base = rows / p.n
	p.big = rows - p.base*p.n
	p.data = grow(&packedA, rows*k+32)
	reserveUpdates(outs, rows)
	Parallel(p.n, func(worker, i int) {
		r, first := p.rows(i), p.first(i)
		panel := p.data[first*k : first*k+r*k]
		a.pack(panel, m0+first, r, 0, k, r)
		for _, d := range down {
			d.run(worker, panel, m0+first, r, k)
		}
		for _, o := range outs {
			o.up.packLeft(m0, first, r)
		}
	})
	return p
}

// multiplyGroup does one task. What it packs next, or the task then will, is
// fetched meanwhile.
func multiplyGroup(outs []output, ap *panelsA, ts, then *task, bp []float32, m0, k, nr int) {
	o := &outs[ts.out]
	blocks := (k + blockK - 1) / blockK
	step := (k + blocks - 1) / blocks
	for k0 := 0; k0 < k && o.b != nil; k0 += step {
		kc := min(step, k-k0)
		for p := ts.from; p < ts.to; p++ {
			o.b.pack(bp[(p-ts.from)*kc*nr:(p-ts.from+1)*kc*nr], p*nr, min(nr, o.n-p*nr), k0, kc, nr)
		}
		var f fetcher
		if k0+step < k {
			f.region = ts.locate(outs, nr, k0+step, min(step, k-k0-step))
		} else if then.to > 0 {
			f.region = then.locate(outs, nr, 0, step)
		}
		acc := o.acc || k0 > 0
		for i := ts.first; i < ts.end; i++ {
			r := ap.rows(i)
			a := ap.data[ap.first(i)*ap.k+k0*r:]
			row := (m0 + ap.first(i)) * o.c.Stride
			for p := ts.from; p < ts.to; p++ {
				w := f.hint(kc)
				if i+1 < ts.end { // the next panel of A, a share at a time
					w.next = &ap.data[ap.first(i+1)*ap.k+k0*ap.rows(i+1)+ap.rows(i+1)*kc*(p-ts.from)/(ts.to-ts.from)]
				}
				tileStrided(r, kc, a, r, bp[(p-ts.from)*kc*nr:], nr, o.c.Data[row+p*nr:], o.c.Stride, min(nr, o.n-p*nr), acc, w)
			}
		}
	}
	if o.up != nil {
		o.up.add(o, ap, ts, bp, m0, nr)
	}
}

func zeroMat(m Mat) {
	for i := range m.Rows {
		clear(m.Row(i))
	}
}
