package ascend

import "math"

// Drop is one dropout mask, the same bits as on the CPU: see package kernels.
type Drop struct {
	P      float32
	Seeds  Seeds
	Layer  int
	Stream int
}

// Of is the mask of another stream of the same layer.
func (d Drop) Of(stream int) Drop {
	d.Stream = stream
	return d
}

func (d Drop) on() bool { return d.limit() > 0 }

// limit is what the 16 random bits of a kept element are not below.
func (d Drop) limit() int { return int(math.Round(float64(d.P) * 65536)) }

func (d Drop) scale() uint64 { return bits(float64(1 / (1 - d.P))) }

// stream is the number of the mask in the hash of a row.
func (d Drop) stream() int { return d.Layer*64 + d.Stream + 1 }

func (c *Context) dropBytes() int { return dropWorkspace * c.groups() }

// Dropout: y = drop(x); y may be x.
func (c *Context) Dropout(y, x Mat, d Drop) {
	check(y.Rows == x.Rows && y.Cols == x.Cols && (!d.on() || count(d.Seeds) == x.Rows), "dropout", y, x)
	c.vector("Dropout", of("dropout", x.DType), x.Rows, y.At, x.At, at(d.Seeds), word(x.Rows), word(x.Cols), word(d.stream()), word(d.limit()), d.scale())
}

// downDropped: t = drop(x)·aᵀ.
func (c *Context) downDropped(t, x, a Mat, d Drop) {
	check(t.Rows == x.Rows && a.Cols == x.Cols && t.Cols == a.Rows && count(d.Seeds) == x.Rows, "lora linear, dropped", t, x, a)
	ws := c.temps(c.dropBytes())[0]
	c.mixed("LoRALinear", of("lora_down_drop", x.DType), blocksOf(x.Rows, 16), t.At, x.At, a.At, at(d.Seeds), ws, word(x.Rows), word(x.Cols), word(a.Rows), word(d.stream()), word(d.limit()), d.scale())
}

// gradDropped: g += dtᵀ·drop(x). It runs between kernels that use the scratch of
// LoRALinearGrad, whose last part is its workspace.
func (c *Context) gradDropped(g, dt, x Mat, d Drop) {
	check(g.Rows == dt.Cols && g.Cols == x.Cols && dt.Rows == x.Rows, "lora gradient, dropped", g, dt, x)
	c.mixed("LoRALinearGrad", of("weight_grad_drop", x.DType), blocksOf(x.Cols, 128), g.At, dt.At, x.At, at(d.Seeds), c.lastTemp(c.dropBytes()), word(g.Rows), word(g.Cols), word(x.Rows), word(d.stream()), word(d.limit()), d.scale())
}

// dxDropped: dx += Σ drop(G·A).
func (c *Context) dxDropped(dx Mat, gs []Mat, linears []AdaptedGrad) {
	args := []uint64{}
	var d Drop
	for i, l := range linears {
		if l.A.Empty() || !l.Drop.on() {
			continue
		}
		d = l.Drop
		args = append(args, gs[i].At, l.A.At, pair(l.A.Rows, l.Drop.stream()))
	}
	head := []uint64{dx.At, at(d.Seeds), c.lastTemp(c.dropBytes()), word(dx.Rows), word(dx.Cols), word(d.limit()), d.scale()}
	c.mixed("LoRALinearGrad", of("lora_dx_drop", dx.DType), tilesOf(dx.Rows, dx.Cols), padded(append(head, args...), len(head)+3*parts)...)
}

// lastTemp is n bytes at the end of the scratch memory that the method took.
func (c *Context) lastTemp(n int) Ptr {
	return c.scratch.at + Ptr(c.taken-(n+align-1)/align*align)
}
