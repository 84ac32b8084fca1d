package kernels

// Adapted is one linear of a group that shares its input, with its adapter
// (Hu et al. 2021); A.Empty() means there is none.
type Adapted struct {
	Y, XA Mat    // outputs: [T, out] and, with an adapter, [T, rank]
	W     Weight // [out, in]
	Bias  Vec    // [out], or nil
	A, B  Mat    // [rank, in], [out, rank]
	Scale float32
	Drop  Drop
}

// LoRALinear: for each part Y = x·Wᵀ + Bias + Scale·XA·Bᵀ with XA = drop(x)·Aᵀ. The
// rows of x are packed once for all parts; sums begin at the bias.
func (c *Context) LoRALinear(x Mat, parts ...Adapted) {
	if c.fewAdapted(x, parts) {
		return
	}
	var down []*projection
	var outs []output
	var bytes []product // of weights in eight bits
	for _, p := range parts {
		check(x.Cols == p.W.Cols && p.Y.Rows == x.Rows && p.Y.Cols == p.W.Rows, "lora linear", p.Y, x, p.W)
		check(p.Bias == nil || len(p.Bias) == p.W.Rows, "bias", p.Y, len(p.Bias))
		o := output{product: product{c: p.Y, b: weightRows{p.W}, n: p.W.Rows, bias: p.Bias}}
		if p.W.DType == I8 {
			bytes = append(bytes, o.product)
			o.b, o.acc, o.bias = nil, true, nil
		}
		if !p.A.Empty() {
			down = append(down, &projection{dst: p.XA, b: weightRows{p.A.Weight()}, x: x, drop: p.Drop.mask()})
			o.up = &update{left: p.XA, scale: p.Scale, b: weightRows{p.B.Weight()}}
		}
		if o.b != nil || o.up != nil {
			outs = append(outs, o)
		}
	}
	c.multiplyInt8(x, bytes...)
	if len(outs) > 0 {
		c.multiplyAdapted(x.Rows, x.Cols, rowsOf{x}, down, outs)
	}
}

// AdaptedGrad is the backward of one part of LoRALinear.
type AdaptedGrad struct {
	DY, XA Mat // [T, out], [T, rank]
	W      Weight
	A, B   Mat
	DA, DB Mat // gradients, added to; each is Empty where it does not train
	Scale  float32
	Drop   Drop
}

// LoRALinearGrad: with G = DY·B, computed once,
//
//	DA += Scale·Gᵀ·drop(x), DB += Scale·DYᵀ·XA, dx = Σ DY·W + drop(Scale·G·A)
//
// dx is the sum over the parts and is not computed when Empty.
func (c *Context) LoRALinearGrad(dx, x Mat, parts ...AdaptedGrad) {
	ranks := 0
	for _, p := range parts {
		check(p.DY.Rows == x.Rows && p.DY.Cols == p.W.Rows && x.Cols == p.W.Cols, "lora gradient", p.DY, x, p.W)
		ranks += p.A.Rows
	}
	all := grow(&c.loraG, x.Rows*ranks)
	var factors []factorGrad
	first := true
	for _, p := range parts {
		var down []*projection
		var outs []output
		o := output{product: product{c: dx, b: weightCols{p.W}, n: p.W.Cols, acc: !first}}
		if !p.A.Empty() {
			if !p.DB.Empty() {
				factors = append(factors, factorGrad{dst: p.DB, g: p.XA, x: p.DY, scale: p.Scale, transposed: true})
			}
			if !p.DA.Empty() || !dx.Empty() {
				g := MatOf(all, x.Rows, p.A.Rows)
				all = all[x.Rows*p.A.Rows:]
				down = append(down, &projection{dst: g, b: weightCols{p.B.Weight()}})
				o.up = &update{left: g, scale: p.Scale, b: weightCols{p.A.Weight()}, drop: p.Drop.mask()}
				if !p.DA.Empty() {
					factors = append(factors, factorGrad{dst: p.DA, g: g, x: x, scale: p.Scale, drop: p.Drop.mask()})
				}
			}
		}
		if !dx.Empty() {
			if p.W.DType == I8 {
				c.multiplyInt8(p.DY, o.product)
				o.b, o.acc = nil, true
			}
			if first = false; o.b != nil || o.up != nil {
				outs = append(outs, o)
			}
		}
		if len(down)+len(outs) > 0 {
			c.multiplyAdapted(p.DY.Rows, p.DY.Cols, rowsOf{p.DY}, down, outs)
		}
	}
	c.addFactorGrads(factors)
}
