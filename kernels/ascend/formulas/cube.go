package formulas

// The kernels of linears take tiles as csrc/tiles.h has them; names are those there.

// evenRows divides rows evenly among the cores: the size of a tile, most at most.
func evenRows(rows, most, cores int) int {
	if rows == 0 {
		return 16
	}
	return up16(ceil(rows, ceil(rows, most*cores)*cores))
}

// wideShape, narrowShape and gradShape are the rows and columns of a tile.
func wideShape(m, n int) (rows, cols int) { return evenRows(m, 128, 1), evenRows(n, 256, 1) }

func narrowShape(cols int) (int, int) {
	if cols <= 256 {
		return 128, up16(cols)
	}
	return 64, up16(cols)
}

func gradShape(m, n int) (int, int) {
	if n <= 128 {
		return evenRows(m, 256, 1), up16(n)
	}
	return wideShape(m, n)
}

// product adds C[m,n] += A·B over k: A is read once for each tile of columns, B once for
// each tile of rows; the cube multiplies whole blocks of k, and a single row as two.
func (w *Work) product(m, n, k, rows, cols int) {
	w.In += 2 * k * (m*ceil(n, cols) + n*ceil(m, rows))
	w.FLOPs += flops(m, n, k, rows)
}

func flops(m, n, k, rows int) int {
	if m%rows == 1 {
		m++
	}
	return 2 * n * up16(k) * m
}

// part is one linear of a group: its width and its rank.
type part struct{ n, r int }

// parts are the linears of a list of arguments from one on, step apart, whose last is
// n<<32|r.
func (a args) parts(from, step int) (list []part, widest int) {
	for i := from + step - 1; i < len(a.Args); i += step {
		n, r := a.pair(i)
		if n > 0 {
			list = append(list, part{n, r})
			widest = max(widest, n)
		}
	}
	return list, widest
}

func loraDown(a args) (w Work, err error) {
	m, k, all := a.int(1), a.int(2), 0
	for i := 5; i < len(a.Args); i += 3 {
		all += up16(a.int(i))
	}
	most, _ := narrowShape(all)
	rows := evenRows(m, most, a.Blocks)
	for i := 5; i < len(a.Args); i += 3 {
		w.In += 2 * k * a.int(i) * ceil(m, rows)
		w.Out += 2 * m * a.int(i)
	}
	w.In += 2 * m * k
	w.FLOPs = flops(m, all, k, rows)
	return w, nil
}

// loraDownDrop: the vector cores read x, and drop(x) goes through the workspace.
func loraDownDrop(a args) (Work, error) {
	m, k, r := a.int(5), a.int(6), a.int(7)
	most, _ := narrowShape(r)
	rows := evenRows(m, most, a.Blocks)
	return Work{In: 2*k*r*ceil(m, rows) + 4*m*k, Out: 2*m*r + 2*m*k, FLOPs: flops(m, r, k, rows)}, nil
}

func loraLinear(a args) (w Work, err error) {
	m, k := a.int(1), a.int(2)
	list, widest := a.parts(3, 5)
	rows, cols := wideShape(m, widest)
	for _, p := range list {
		w.product(m, p.n, k, rows, cols)
		w.product(m, p.n, p.r, rows, cols)
		w.Out += 2 * m * p.n
	}
	return w, nil
}

func linearF32(a args) (w Work, err error) {
	m, n := a.int(3), a.int(4)
	rows, cols := wideShape(m, n)
	w.product(m, n, a.int(5), rows, cols)
	w.Out = 4 * m * n
	return w, nil
}

func loraUpGrad(a args) (w Work, err error) {
	m := a.int(0)
	list, widest := a.parts(1, 4) // here the rank comes first
	most, cols := narrowShape(widest)
	rows := evenRows(m*len(list), most, a.Blocks)
	for _, p := range list {
		rank, n := p.n, p.r
		w.product(m, rank, n, rows, cols)
		w.Out += 2 * m * rank
	}
	return w, nil
}

func loraLinearGrad(a args) (w Work, err error) {
	m, k := a.int(1), a.int(2)
	rows, cols := wideShape(m, k)
	list, _ := a.parts(3, 5)
	for _, p := range list {
		w.product(m, k, p.n, rows, cols)
		w.product(m, k, p.r, rows, cols)
	}
	w.Out = 2 * m * k
	return w, nil
}

// loraDxDrop: products of f32 go through the workspace, dx is read and written.
func loraDxDrop(a args) (w Work, err error) {
	m, k := a.int(3), a.int(4)
	list, _ := a.parts(7, 3) // the rank, and a stream
	for _, p := range list {
		w.product(m, k, p.n, 64, 256)
		w.In += 4 * m * k
		w.Out += 4 * m * k
	}
	w.In += 2 * m * k
	w.Out += 2 * m * k
	return w, nil
}

func weightGrad(a args) (w Work, err error) {
	t, m, n := a.int(0), 0, 0
	list, _ := a.parts(1, 4) // rows and columns of a result
	for _, p := range list {
		m, n = max(m, p.n), max(n, p.r)
	}
	rows, cols := gradShape(m, n)
	for _, p := range list {
		w.product(p.n, p.r, t, rows, cols)
		w.Out += 4 * p.n * p.r // added there
	}
	return w, nil
}

func weightGradDrop(a args) (w Work, err error) {
	r, k, t := a.int(5), a.int(6), a.int(7)
	w.product(r, k, t, up16(r), evenRows(k, 256, a.Blocks))
	w.In += 2 * t * k
	w.Out = 2*t*k + 4*r*k
	return w, nil
}
