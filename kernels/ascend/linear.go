package ascend

// Adapted is one linear of a group that shares its input, with its adapter (Hu et
// al. 2021); A.Empty() means there is none. A and B are 16-bit copies, one of them
// times the scale of the adapter, so Scale is 1: no kernel multiplies by it.
type Adapted struct {
	Y, XA Mat // outputs: [T, out] and, with an adapter, [T, rank]
	W     Weight
	A, B  Mat // [rank, in], [out, rank]
	Scale float32
	Drop  Drop
}

// parts is how many linears a kernel takes.
const parts = 3

// LoRALinear: for each part Y = x·Wᵀ + XA·Bᵀ with XA = drop(x)·Aᵀ, base and adapter
// in one tile of sums. x is read once for the adapters of all parts, and all parts
// are one list of tiles.
func (c *Context) LoRALinear(x Mat, linears ...Adapted) {
	for len(linears) > parts {
		c.loraLinear(x, linears[:parts])
		linears = linears[parts:]
	}
	c.loraLinear(x, linears)
}

func (c *Context) loraLinear(x Mat, linears []Adapted) {
	down := []uint64{x.At, word(x.Rows), word(x.Cols)}
	all := []uint64{x.At, word(x.Rows), word(x.Cols)}
	tiles := 0
	for _, l := range linears {
		check(l.Y.Rows == x.Rows && l.W.Cols == x.Cols && l.Y.Cols == l.W.Rows, "lora linear", l.Y, x, l.W)
		switch {
		case l.A.Empty():
		case l.Drop.on():
			c.downDropped(l.XA, x, l.A, l.Drop)
		default:
			down = append(down, l.XA.At, l.A.At, word(l.A.Rows))
		}
		if !l.A.Empty() {
			check(l.Scale == 1 && l.A.Cols == x.Cols && l.B.Rows == l.W.Rows && l.B.Cols == l.A.Rows && l.XA.Cols == l.A.Rows, "lora linear", l.A, l.B, l.XA)
		}
		all = append(all, l.Y.At, l.W.At, l.XA.At, l.B.At, pair(l.W.Rows, l.A.Rows))
		tiles += tilesOf(x.Rows, l.W.Rows)
	}
	if len(down) > 3 {
		c.cube("LoRALinear", of("lora_down", x.DType), blocksOf(x.Rows, 16), padded(down, 3+3*parts)...)
	}
	c.cube("LoRALinear", of("lora_linear", x.DType), tiles, padded(all, 3+5*parts)...)
}

// MatMulNT: y = x·wᵀ; y may be f32.
func (c *Context) MatMulNT(y, x Mat, w Weight) {
	check(y.Rows == x.Rows && x.Cols == w.Cols && y.Cols == w.Rows, "matmul", y, x, w)
	if y.DType == F32 {
		c.cube("MatMulNT", of("linear_f32", x.DType), tilesOf(y.Rows, y.Cols), y.At, x.At, w.At, word(y.Rows), word(y.Cols), word(x.Cols))
		return
	}
	c.loraLinear(x, []Adapted{{Y: y, W: w}})
}

// MatMulNN: dx = dy·w.
func (c *Context) MatMulNN(dx, dy Mat, w Weight) {
	check(dx.Rows == dy.Rows && dy.Cols == w.Rows && dx.Cols == w.Cols, "matmul", dx, dy, w)
	c.linearGrad("MatMulNN", dx, []gradient{{dy: dy, w: w}})
}

// AdaptedGrad is the backward of one part of LoRALinear.
type AdaptedGrad struct {
	DY, XA Mat // [T, out], [T, rank]
	W      Weight
	A, B   Mat
	DA, DB Mat // gradients, f32, added to; each is Empty where it does not train
	Scale  float32
	Drop   Drop
}

// gradient is an operand pair of dx, with the low-rank one.
type gradient struct{ dy, w, dt, a Mat }

// product is one g += aᵀ·b over tokens.
type product struct{ g, a, b Mat }

// LoRALinearGrad: with G = DY·B, computed once and rounded,
//
//	DA += Gᵀ·drop(x), DB += DYᵀ·XA, dx = Σ DY·W + drop(G·A)
//
// dx is the sum over the parts and is not computed when Empty; x may be Empty where
// no part has an adapter.
func (c *Context) LoRALinearGrad(dx, x Mat, linears ...AdaptedGrad) {
	check(len(linears) <= parts, "lora gradient", len(linears))
	if x.Empty() { // the sum of plain products reads none
		x = Mat{Rows: dx.Rows, Cols: dx.Cols, DType: dx.DType}
	}
	gs := c.upGrad(x, linears, dx)
	var sums []gradient
	var grads []product
	dropped := false
	for i, l := range linears {
		check(l.DY.Rows == x.Rows && l.DY.Cols == l.W.Rows && l.W.Cols == x.Cols, "lora gradient", l.DY, x, l.W)
		check(l.A.Empty() || l.Scale == 1, "lora gradient: scale", l.Scale)
		s := gradient{dy: l.DY, w: l.W}
		if !l.A.Empty() && !l.Drop.on() {
			s.dt, s.a = gs[i], l.A
		}
		dropped = dropped || !l.A.Empty() && l.Drop.on()
		sums = append(sums, s)
		if !l.DB.Empty() {
			grads = append(grads, product{l.DB, l.DY, l.XA})
		}
		switch {
		case l.DA.Empty():
		case l.Drop.on():
			c.gradDropped(l.DA, gs[i], x, l.Drop)
		default:
			grads = append(grads, product{l.DA, gs[i], x})
		}
	}
	c.weightGrads("LoRALinearGrad", grads)
	if dx.Empty() {
		return
	}
	c.linearGrad("LoRALinearGrad", dx, sums)
	if dropped {
		c.dxDropped(dx, gs, linears)
	}
}

// upGrad is G of each adapter whose gradient or share of dx is wanted.
func (c *Context) upGrad(x Mat, linears []AdaptedGrad, dx Mat) []Mat {
	gs := make([]Mat, len(linears))
	sizes := []int{}
	for i, l := range linears {
		if !l.A.Empty() && !(l.DA.Empty() && dx.Empty()) {
			gs[i] = Mat{Rows: x.Rows, Cols: l.A.Rows, DType: x.DType}
		}
		sizes = append(sizes, gs[i].Bytes())
	}
	at := c.temps(append(sizes, c.dropBytes())...)
	args := []uint64{word(x.Rows)}
	for i, l := range linears {
		if gs[i].Rows == 0 {
			continue
		}
		gs[i].At = at[i]
		args = append(args, gs[i].At, l.DY.At, l.B.At, pair(l.A.Rows, l.DY.Cols))
	}
	if len(args) > 1 {
		c.cube("LoRALinearGrad", of("lora_up_grad", x.DType), blocksOf(x.Rows, 16)*len(linears), padded(args, 1+4*parts)...)
	}
	return gs
}

func (c *Context) linearGrad(call string, dx Mat, sums []gradient) {
	args := []uint64{dx.At, word(dx.Rows), word(dx.Cols)}
	for _, s := range sums {
		args = append(args, s.dy.At, s.w.At, s.dt.At, s.a.At, pair(s.w.Rows, s.a.Rows))
	}
	c.cube(call, of("lora_linear_grad", dx.DType), tilesOf(dx.Rows, dx.Cols), padded(args, 3+5*parts)...)
}

// products is how many a launch of weight_grad takes.
const products = 4

func (c *Context) weightGrads(call string, list []product) {
	for len(list) > 0 {
		n := min(len(list), products)
		args := []uint64{word(list[0].a.Rows)}
		tiles := 0
		for _, p := range list[:n] {
			check(p.g.DType == F32 && p.g.Rows == p.a.Cols && p.g.Cols == p.b.Cols && p.a.Rows == p.b.Rows, "weight gradient", p.g, p.a, p.b)
			args = append(args, p.g.At, p.a.At, p.b.At, pair(p.g.Rows, p.g.Cols))
			tiles += tilesOf(p.g.Rows, p.g.Cols)
		}
		c.cube(call, of("weight_grad", list[0].a.DType), max(tiles, 1), padded(args, 1+4*products)...)
		list = list[n:]
	}
}

// padded fills missing parts with zeros: absent ones.
func padded(args []uint64, n int) []uint64 {
	return append(args, make([]uint64, n-len(args))...)
}

// tilesOf is the number of 128 × 128 tiles of a product: an upper bound of the blocks
// that have work.
func tilesOf(rows, cols int) int { return blocksOf(rows, 128) * blocksOf(cols, 128) }

func blocksOf(n, size int) int { return (n + size - 1) / size }
