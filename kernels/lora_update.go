package kernels

// An adapter adds a product of low rank to one of full rank that shares its
// rows, so both are computed together: the rows of A are projected while they
// are packed, and a piece of C begins with its update.

// projection is dst[i, j] = Σ_k drop(x)[i, k]·b(j, k), for the rows of A; with
// no dropout the packed rows are used as they are.
type projection struct {
	dst    Mat
	b      packer
	x      Mat  // the rows of A, for dropout
	drop   mask // of x
	panels []float32
}

// scratch of projections: their packed b, and of each worker the rows of a
// panel behind dropout, before and after transposing.
var (
	projected []float32
	dropped   [][]float32
)

// packProjections packs every b whole: [panel][k][nr].
func packProjections(down []*projection, k, nr int) {
	total := 0
	for _, d := range down {
		total += (d.dst.Cols + nr - 1) / nr * nr * k
	}
	if total == 0 {
		return
	}
	for len(dropped) < Threads() {
		dropped = append(dropped, nil)
	}
	all := grow(&projected, total)
	blocks := (k + blockK - 1) / blockK
	for _, d := range down {
		np := (d.dst.Cols + nr - 1) / nr
		d.panels, all = all[:np*nr*k], all[np*nr*k:]
	}
	Parallel(len(down)*blocks, func(_, t int) {
		d, k0 := down[t/blocks], t%blocks*blockK
		kc := min(blockK, k-k0)
		for j := 0; j < d.dst.Cols; j += nr {
			d.b.pack(d.panels[j*k+k0*nr:j*k+(k0+kc)*nr], j, min(nr, d.dst.Cols-j), k0, kc, nr)
		}
	})
}

// run projects the r rows of a packed panel, the first of which is row at.
func (d *projection) run(worker int, panel []float32, at, r, k int) {
	_, nr := tileSize()
	for k0 := 0; k0 < k; k0 += blockK {
		kc := min(blockK, k-k0)
		a := panel[k0*r:]
		if d.drop.on() {
			buf := grow(&dropped[worker], 2*16*blockK)
			rows := MatOf(buf, r, kc)
			for i := range r {
				d.drop.row(at+i).write(rows.Row(i), d.x.Row(at + i)[k0:k0+kc], k0)
			}
			a = buf[16*blockK:]
			rowsOf{rows}.pack(a[:kc*r], 0, r, 0, kc, r)
		}
		for j := 0; j < d.dst.Cols; j += nr {
			tile(r, kc, a, d.panels[j*k+k0*nr:], d.dst.Data[at*d.dst.Stride+j:], d.dst.Stride, min(nr, d.dst.Cols-j), k0 > 0)
		}
	}
}

// update is c[i, j] += drop(scale · Σ_q left[i, q]·b(j, q)).
type update struct {
	left   Mat
	scale  float32
	b      packer
	drop   mask
	packed []float32 // left, in the panels of A
}

// room is what a task needs beside its own: the packed panels of b and, for
// dropout, a piece of the update, whose rows are width apart.
func (u *update) room(rows, width int) int {
	if u == nil {
		return 0
	}
	return width * (u.left.Cols + rows)
}

// packedUp holds left of the updates of a multiplication, in panels.
var packedUp []float32

// reserveUpdates makes room for a block of rows.
func reserveUpdates(outs []output, rows int) {
	total := 0
	for _, o := range outs {
		if o.up != nil {
			total += rows*o.up.left.Cols + 32
		}
	}
	if total == 0 {
		return
	}
	all := grow(&packedUp, total)
	for _, o := range outs {
		if o.up != nil {
			n := rows*o.up.left.Cols + 32
			o.up.packed, all = all[:n], all[n:]
		}
	}
}

// packLeft packs the r rows of a panel that begins first rows behind m0.
func (u *update) packLeft(m0, first, r int) {
	if u == nil {
		return
	}
	n := u.left.Cols
	dst := u.packed[first*n : first*n+r*n]
	rowsOf{u.left}.pack(dst, m0+first, r, 0, n, r)
	for i := range dst {
		dst[i] *= u.scale
	}
}

// write writes the update of a task to c, on top of what it is to be added to
// when acc.
func (u *update) write(c, onto Mat, acc bool, ap *panelsA, ts *task, room []float32, m0, nr int) {
	n := u.left.Cols
	for p := range ts.to - ts.from {
		u.b.pack(room[p*n*nr:(p+1)*n*nr], (ts.from+p)*nr, min(nr, c.Cols-p*nr), 0, n, nr)
	}
	width := (ts.to-ts.from)*nr + sumPad
	piece := Mat{room[width*n:], 0, c.Cols, width}
	for i := ts.first; i < ts.end; i++ {
		r, first := ap.rows(i), ap.first(i)
		at := first - ap.first(ts.first) // in c
		left := u.packed[first*n:]
		for j := 0; j < c.Cols; j += nr {
			b, cols := room[j*n:], min(nr, c.Cols-j)
			if u.drop.on() {
				tile(r, n, left, b, piece.Data[j:], width, cols, false)
			} else {
				tileOnto(r, n, left, r, b, nr, c.Data[at*c.Stride+j:], c.Stride, onto.Data[at*onto.Stride+j:], onto.Stride, cols, acc, hint{})
			}
		}
		for q := 0; q < r && u.drop.on(); q++ {
			mask, to, from := u.drop.row(m0+first+q), c.Row(at+q), piece.Row(q)
			if acc {
				copy(to, onto.Row(at+q))
				mask.add(to, from, ts.from*nr)
			} else {
				mask.write(to, from, ts.from*nr)
			}
		}
	}
}
