package kernels

// Adapted is one linear of a group that shares its input, with its adapter
// (Hu et al. 2021); A.Empty() means there is none.
type Adapted struct {
	Y, XA Mat    // outputs: [T, out] and, with an adapter, [T, rank]
	W     Weight // [out, in]
	A, B  Mat    // [rank, in], [out, rank]
	Scale float32
	Drop  Drop
}

// temporaries of the fused kernels; kernels run one at a time.
var tempA, tempB []float32

func temp(s *[]float32, rows, cols int) Mat { return MatOf(grow(s, rows*cols), rows, cols) }

// LoRALinear: for each part Y = x·Wᵀ + Scale·XA·Bᵀ with XA = drop(x)·Aᵀ. The
// rows of x are packed once for all parts.
func LoRALinear(x Mat, parts ...Adapted) {
	var outs []product
	for _, p := range parts {
		check(x.Cols == p.W.Cols && p.Y.Rows == x.Rows && p.Y.Cols == p.W.Rows, "lora linear", p.Y, x, p.W)
		outs = append(outs, product{p.Y, weightRows{p.W}, p.W.Rows, false})
		if !p.A.Empty() && p.Drop.P == 0 {
			outs = append(outs, product{p.XA, weightRows{p.A.Weight()}, p.A.Rows, false})
		}
	}
	multiply(x.Rows, x.Cols, rowsOf{x}, outs...)
	for _, p := range parts {
		if p.A.Empty() {
			continue
		}
		if p.Drop.P > 0 {
			xd := temp(&tempA, x.Rows, x.Cols)
			Dropout(xd, x, p.Drop)
			MatMulNT(p.XA, xd, p.A.Weight())
		}
		s := temp(&tempB, p.XA.Rows, p.XA.Cols)
		Scale(s, p.XA, p.Scale)
		AddMatMulNT(p.Y, s, p.B.Weight())
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

// LoRALinearGrad: with G = Scale·DY·B, computed once,
//
//	DA += Gᵀ·drop(x), DB += Scale·DYᵀ·XA, dx = Σ DY·W + drop(G·A)
//
// dx is the sum over the parts and is left out when Empty.
func LoRALinearGrad(dx, x Mat, parts ...AdaptedGrad) {
	for i, p := range parts {
		check(p.DY.Rows == x.Rows && p.DY.Cols == p.W.Rows && x.Cols == p.W.Cols, "lora gradient", p.DY, x, p.W)
		if !dx.Empty() {
			matMulNN(dx, p.DY, p.W, i > 0)
		}
	}
	for _, p := range parts {
		if p.A.Empty() {
			continue
		}
		if !p.DB.Empty() {
			addScaledTN(p.DB, p.DY, p.XA, p.Scale)
		}
		if p.DA.Empty() && dx.Empty() {
			continue
		}
		g := temp(&tempB, p.DY.Rows, p.A.Rows)
		MatMulNN(g, p.DY, p.B.Weight())
		Scale(g, g, p.Scale)
		xd := x
		if p.Drop.P > 0 {
			xd = temp(&tempA, x.Rows, x.Cols)
		}
		if !p.DA.Empty() {
			if p.Drop.P > 0 {
				Dropout(xd, x, p.Drop)
			}
			AddMatMulTN(p.DA, g, xd)
		}
		if dx.Empty() {
			continue
		}
		if p.Drop.P == 0 {
			AddMatMulNN(dx, g, p.A.Weight())
			continue
		}
		MatMulNN(xd, g, p.A.Weight())
		Dropout(xd, xd, p.Drop)
		Add(dx, dx, xd)
	}
}

// addScaledTN: dw += s·dyᵀ·x, for the small x of an adapter.
func addScaledTN(dw, dy, x Mat, s float32) {
	xs := temp(&tempC, x.Rows, x.Cols)
	Scale(xs, x, s)
	AddMatMulTN(dw, dy, xs)
}

var tempC []float32
