package kernels

// An adapter adds a product of low rank to one of full rank that shares its
// rows, so both are computed together: the rows of A are projected while they
// are packed, and a part of C starts from its update.

// projection is dst[i, j] = Σ_k drop(x)[i, k]·b(j, k), for the rows of A; with
// no dropout the packed rows are used as they are.
type projection struct {
	dst    Mat
	b      packer
	x      Mat  // the rows of A, for dropout
	drop   mask // of x
	panels []float32
}

// packProjections packs every b whole: [panel][k][nr].
func (c *Context) packProjections(down []*projection, k, nr int) {
	total := 0
	for _, d := range down {
		total += (d.dst.Cols + nr - 1) / nr * nr * k
	}
	if total == 0 {
		return
	}
	all := grow(&c.factors, total)
	most := blockK(nr)
	blocks := (k + most - 1) / most
	for _, d := range down {
		np := (d.dst.Cols + nr - 1) / nr
		d.panels, all = all[:np*nr*k], all[np*nr*k:]
	}
	c.Parallel(len(down)*blocks, func(worker, t int) {
		d, k0 := down[t/blocks], t%blocks*most
		kc := min(most, k-k0)
		for j := 0; j < d.dst.Cols; j += nr {
			d.b.pack(&c.workers[worker], d.panels[j*k+k0*nr:j*k+(k0+kc)*nr], j, min(nr, d.dst.Cols-j), k0, kc, nr)
		}
	})
}

// run projects the r rows of a packed panel, the first of which is row at.
func (d *projection) run(ws *workspace, panel []float32, at, r, k int) {
	mr, nr := tileSize()
	most, dst := blockK(nr), d.dst.Slice(at, at+r)
	for k0 := 0; k0 < k; k0 += most {
		kc := min(most, k-k0)
		var rows Mat
		if d.drop.on() {
			rows = MatOf(grow(&ws.dropped, mr*most), r, kc)
			for i := range r {
				d.drop.row(at+i).write(rows.Row(i), d.x.Row(at + i)[k0:k0+kc], k0)
			}
		}
		for j := 0; j < d.dst.Cols; j += nr {
			b, cols := d.panels[j*k+k0*nr:], min(nr, d.dst.Cols-j)
			if d.drop.on() {
				tileRows(r, kc, rows.Data, kc, b, dst.Data[j:], dst.Stride, cols, k0 > 0, hint{})
			} else {
				tile(r, kc, panel[k0*r:], b, dst.Data[j:], dst.Stride, cols, k0 > 0)
			}
		}
	}
}

// update is c[i, j] += drop(scale · Σ_q left[i, q]·b(j, q)).
type update struct {
	left  Mat
	scale float32
	b     packer
	drop  mask
}

// floats is the memory of a panel of b.
func (u *update) floats(nr int) int {
	if u == nil {
		return 0
	}
	return u.left.Cols * nr
}

// write writes the update of rows from row at and columns from column from to
// c; mem holds a panel of b.
func (u *update) write(ws *workspace, mem []float32, c Mat, at, from, nr int) {
	n := u.left.Cols
	left := u.left.Slice(at, at+c.Rows)
	for j := 0; j < c.Cols; j += nr {
		cols := min(nr, c.Cols-j)
		b := mem[:n*nr]
		u.b.pack(ws, b, from+j, cols, 0, n, nr)
		scaleRow(b, b, u.scale)
		tileRows(c.Rows, n, left.Data, left.Stride, b, c.Data[j:], c.Stride, cols, false, hint{})
	}
	for i := 0; i < c.Rows && u.drop.on(); i++ {
		m := u.drop.row(at + i)
		m.write(c.Row(i), c.Row(i), from)
	}
}
