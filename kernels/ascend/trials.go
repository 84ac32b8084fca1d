package ascend

import (
	"math"

	"lorac/kernels"
)

// trials are the methods, each on sizes with tails: rows that fill no block of 16,
// a rank that fills none, sequences of one token and of several.
var trials = map[string]func(t *trial){
	"Add":            (*trial).add,
	"AddBias":        (*trial).addBias,
	"SwiGLU":         (*trial).swiglu,
	"SwiGLUGrad":     (*trial).swigluGrad,
	"RMSNorm":        (*trial).rmsnorm,
	"AddRMSNorm":     (*trial).addRMSNorm,
	"RMSNormGrad":    (*trial).rmsnormGrad,
	"RMSNormGradAdd": (*trial).rmsnormGradAdd,
	"Rope":           func(t *trial) { t.rope(t.c.Rope, t.h.Rope) },
	"RopeGrad":       func(t *trial) { t.rope(t.c.RopeGrad, t.h.RopeGrad) },
	"Embed":          (*trial).embed,
	"GatherRows":     (*trial).gatherRows,
	"Gather":         (*trial).gatherNumbers,
	"GatherInts":     (*trial).gatherNumbers,
	"GatherSeeds":    (*trial).gatherNumbers,
	"ScatterRows":    (*trial).scatterRows,
	"MatMulNT":       (*trial).matMulNT,
	"MatMulNN":       (*trial).matMulNN,
	"LoRALinear":     func(t *trial) { t.loraLinear(0); t.loraLinear(0.25) },
	"LoRALinearGrad": func(t *trial) { t.loraLinearGrad(0); t.loraLinearGrad(0.25) },
	"Dropout":        (*trial).dropout,
	"Attention":      (*trial).attention,
	"AttentionGrad":  (*trial).attention,
	"HeadLoss":       (*trial).headLoss,
	"Norm":           (*trial).normAndClip,
	"Clip":           (*trial).normAndClip,
	"AdamW":          func(t *trial) { t.adamw(false); t.adamw(true) },
	"Narrow":         (*trial).narrow,
	"Clear":          (*trial).clear,
	"Times":          (*trial).times,
	"AddTo":          (*trial).addTo,
}

const tight = 1e-4 // of f32 results of the vector unit

func (t *trial) add() {
	y, a, b := t.zeros(5, 48, t.d), t.mat(5, 48, t.d), t.mat(5, 48, t.d)
	t.c.Add(y.dev, a.dev, b.dev)
	t.h.Add(y.host, a.host, b.host)
	t.same("y", y, t.unit())
}

func (t *trial) addBias() {
	for _, cols := range []int{48, 49} { // rows that are taken together, and one by one
		y, x, b := t.zeros(5, cols, t.d), t.mat(5, cols, t.d), t.mat(1, cols, F32)
		t.c.AddBias(y.dev, x.dev, b.vec())
		t.h.AddBias(y.host, x.host, b.host.Data)
		t.same("y", y, t.unit())
	}
}

func (t *trial) swiglu() {
	h, g, u := t.zeros(5, 48, t.d), t.small(5, 48, t.d, 4), t.mat(5, 48, t.d)
	t.c.SwiGLU(h.dev, g.dev, u.dev)
	t.h.SwiGLU(h.host, g.host, u.host)
	t.same("h", h, t.unit())
}

func (t *trial) swigluGrad() {
	dg, du, dh, g, u := t.zeros(5, 48, t.d), t.zeros(5, 48, t.d), t.mat(5, 48, t.d), t.small(5, 48, t.d, 4), t.mat(5, 48, t.d)
	t.c.SwiGLUGrad(dg.dev, du.dev, dh.dev, g.dev, u.dev)
	t.h.SwiGLUGrad(dg.host, du.host, dh.host, g.host, u.host)
	t.same("dg", dg, t.unit())
	t.same("du", du, t.unit())
}

func (t *trial) rmsnorm() {
	y, rstd, x, w := t.zeros(5, 272, t.d), t.zeros(1, 5, F32), t.mat(5, 272, t.d), t.mat(1, 272, F32)
	t.c.RMSNorm(y.dev, rstd.vec(), x.dev, w.vec(), 1e-5)
	t.h.RMSNorm(y.host, rstd.host.Data, x.host, w.host.Data, 1e-5)
	t.same("y", y, t.unit())
	t.same("rstd", rstd, tight)
}

func (t *trial) addRMSNorm() {
	sum, y, rstd := t.zeros(5, 272, t.d), t.zeros(5, 272, t.d), t.zeros(1, 5, F32)
	a, b, w := t.mat(5, 272, t.d), t.mat(5, 272, t.d), t.mat(1, 272, F32)
	t.c.AddRMSNorm(sum.dev, y.dev, rstd.vec(), a.dev, b.dev, w.vec(), 1e-5)
	t.h.AddRMSNorm(sum.host, y.host, rstd.host.Data, a.host, b.host, w.host.Data, 1e-5)
	t.same("sum", sum, t.unit())
	t.same("y", y, t.unit())
}

// normed is the operands of a norm's gradient.
func (t *trial) normed() (dx, d, x, rstd, w operand) {
	dx, d, x, w = t.zeros(5, 272, t.d), t.mat(5, 272, t.d), t.mat(5, 272, t.d), t.mat(1, 272, F32)
	r := kernels.NewMat(1, 5)
	t.h.RMSNorm(kernels.NewMat(5, 272), r.Data, x.host, w.host.Data, 1e-5)
	return dx, d, x, t.upload(r, F32), w
}

func (t *trial) rmsnormGrad() {
	dx, d, x, rstd, w := t.normed()
	t.c.RMSNormGrad(dx.dev, d.dev, x.dev, rstd.vec(), w.vec())
	t.h.RMSNormGrad(dx.host, d.host, x.host, rstd.host.Data, w.host.Data)
	t.same("dx", dx, t.unit())
}

func (t *trial) rmsnormGradAdd() {
	dx, d, x, rstd, w := t.normed()
	res := t.mat(5, 272, t.d)
	t.c.RMSNormGradAdd(dx.dev, res.dev, d.dev, x.dev, rstd.vec(), w.vec())
	t.h.RMSNormGradAdd(dx.host, res.host, d.host, x.host, rstd.host.Data, w.host.Data)
	t.same("dx", dx, t.unit())
}

func (t *trial) rope(dev func(y, x Mat, pos Ints, cos, sin Mat, headDim int), host func(y, x kernels.Mat, pos kernels.Ints, cos, sin kernels.Mat, headDim int)) {
	const size = 32
	cos, sin := kernels.NewMat(9, size/2), kernels.NewMat(9, size/2)
	kernels.RopeTable(cos, sin, RopeSpec{HeadDim: size, Theta: 10000, Method: "none"})
	pos, devPos := t.ints(0, 3, 8)
	x, y := t.mat(3, 2*size, t.d), t.zeros(3, 2*size, t.d)
	dev(y.dev, x.dev, devPos, t.upload(cos, F32).dev, t.upload(sin, F32).dev, size)
	host(y.host, x.host, pos, cos, sin, size)
	t.same("y", y, t.unit())
}

func (t *trial) embed() {
	w, y := t.mat(40, 48, t.d), t.zeros(4, 48, t.d)
	tokens, dev := t.ints(39, 0, 7, 7)
	t.c.Embed(y.dev, dev, w.dev)
	t.h.Embed(y.host, tokens, w.host.Weight())
	t.same("y", y, 0)
}

func (t *trial) gatherRows() {
	x, y := t.mat(9, 48, t.d), t.zeros(3, 48, t.d)
	rows, dev := t.ints(1, 4, 8)
	t.c.GatherRows(y.dev, x.dev, dev)
	t.h.GatherRows(y.host, x.host, rows)
	t.same("y", y, 0)
}

// gatherNumbers moves numbers of four and of eight bytes: the seeds' bits as pairs of floats.
func (t *trial) gatherNumbers() {
	rows, dev := t.ints(1, 4, 8)
	x, y := t.mat(1, 9, F32), t.zeros(1, 3, F32)
	t.c.Gather(y.vec(), x.vec(), dev)
	t.h.Gather(y.host.Data, x.host.Data, rows)
	t.same("y", y, 0)
	pairs, out := t.mat(9, 2, F32), t.zeros(3, 2, F32)
	t.c.GatherSeeds(SeedsAt(out.dev.At, 3), SeedsAt(pairs.dev.At, 9), dev)
	t.h.GatherRows(out.host, pairs.host, rows)
	t.same("seeds", out, 0)
}

func (t *trial) scatterRows() {
	d, y := t.mat(3, 48, t.d), t.mat(9, 48, t.d)
	rows, dev := t.ints(1, 4, 8)
	t.c.ScatterRows(y.dev, d.dev, dev)
	t.h.ScatterRows(y.host, d.host, rows)
	t.same("y", y, 0)
}

func (t *trial) matMulNT() {
	y, x, w := t.zeros(19, 48, t.d), t.mat(19, 272, t.d), t.mat(48, 272, t.d)
	t.c.MatMulNT(y.dev, x.dev, w.dev)
	t.h.MatMulNT(y.host, x.host, w.host.Weight())
	t.same("y", y, t.unit())
	full := t.upload(kernels.NewMat(19, 48), F32)
	t.c.MatMulNT(full.dev, x.dev, w.dev)
	copy(full.host.Data, y.host.Data)
	t.same("y in f32", full, tight)
}

func (t *trial) matMulNN() {
	dx, dy, w := t.zeros(19, 272, t.d), t.mat(19, 48, t.d), t.mat(48, 272, t.d)
	t.c.MatMulNN(dx.dev, dy.dev, w.dev)
	t.h.MatMulNN(dx.host, dy.host, w.host.Weight())
	t.same("dx", dx, t.unit())
}

// masked is the same mask on both sides.
func (t *trial) masked(p float32, n int) (kernels.Drop, Drop) {
	host, dev := t.seeds(n)
	return kernels.Drop{P: p, Seeds: host, Layer: 3, Stream: 2}, Drop{P: p, Seeds: dev, Layer: 3, Stream: 2}
}

func (t *trial) loraLinear(p float32) {
	const rows, in, out, rank = 19, 144, 48, 5
	x, w, a, b := t.mat(rows, in, t.d), t.mat(out, in, t.d), t.mat(rank, in, t.d), t.mat(out, rank, t.d)
	y, xa, plain := t.zeros(rows, out, t.d), t.zeros(rows, rank, t.d), t.zeros(rows, out, t.d)
	host, dev := t.masked(p, rows)
	t.c.LoRALinear(x.dev, Adapted{Y: y.dev, XA: xa.dev, W: w.dev, A: a.dev, B: b.dev, Scale: 1, Drop: dev}, Adapted{Y: plain.dev, W: w.dev})
	t.h.LoRALinear(x.host, kernels.Adapted{Y: y.host, XA: xa.host, W: w.host.Weight(), A: a.host, B: b.host, Scale: 1, Drop: host},
		kernels.Adapted{Y: plain.host, W: w.host.Weight()})
	t.same("xa", xa, t.unit())
	t.same("y", y, t.unit())
	t.same("y without adapter", plain, t.unit())
}

func (t *trial) loraLinearGrad(p float32) {
	const rows, in, out, rank = 19, 144, 48, 5
	x, w, a, b := t.mat(rows, in, t.d), t.mat(out, in, t.d), t.mat(rank, in, t.d), t.mat(out, rank, t.d)
	dy, xa, dx, da, db := t.mat(rows, out, t.d), t.mat(rows, rank, t.d), t.zeros(rows, in, t.d), t.mat(rank, in, F32), t.mat(out, rank, F32)
	host, dev := t.masked(p, rows)
	t.c.LoRALinearGrad(dx.dev, x.dev, AdaptedGrad{DY: dy.dev, XA: xa.dev, W: w.dev, A: a.dev, B: b.dev, DA: da.dev, DB: db.dev, Scale: 1, Drop: dev})
	t.h.LoRALinearGrad(dx.host, x.host, kernels.AdaptedGrad{DY: dy.host, XA: xa.host, W: w.host.Weight(), A: a.host, B: b.host, DA: da.host, DB: db.host, Scale: 1, Drop: host})
	t.same("dx", dx, t.unit())
	t.same("da", da, t.unit())
	t.same("db", db, tight)
}

func (t *trial) dropout() {
	x, y := t.mat(5, 48, t.d), t.zeros(5, 48, t.d)
	host, dev := t.masked(0.25, 5)
	t.c.Dropout(y.dev, x.dev, dev)
	t.h.Dropout(y.host, x.host, host)
	t.same("y", y, t.unit())
}

// attention tries both directions: the backward reads what the forward left. Queries are
// all rows, or some of them.
func (t *trial) attention() {
	t.attentionOf(nil)
	t.attentionOf([]int32{0, 3, 4, 19, 22})
}

func (t *trial) attentionOf(chosen []int32) {
	const rows, heads, kvHeads, size = 23, 4, 2, 32
	starts, devStarts := t.starts(0, 1, 20, 23)
	queries, pick, devPick := rows, kernels.Ints(nil), Ints(nil)
	if chosen != nil {
		queries = len(chosen)
		pick, devPick = t.ints(chosen...)
	}
	q, k, v := t.mat(queries, heads*size, t.d), t.mat(rows, kvHeads*size, t.d), t.mat(rows, kvHeads*size, t.d)
	o, lse := t.zeros(queries, heads*size, t.d), t.zeros(queries, heads, F32)
	t.c.Attention(o.dev, lse.dev, q.dev, k.dev, v.dev, devStarts, devPick, heads, kvHeads, 0.2)
	t.h.Attention(o.host, lse.host, q.host, k.host, v.host, starts, pick, heads, kvHeads, 0.2)
	t.same("o", o, t.unit())
	t.same("lse", lse, tight)
	do := t.mat(queries, heads*size, t.d)
	dq, dk, dv := t.zeros(queries, heads*size, t.d), t.zeros(rows, kvHeads*size, t.d), t.zeros(rows, kvHeads*size, t.d)
	t.c.AttentionGrad(dq.dev, dk.dev, dv.dev, do.dev, q.dev, k.dev, v.dev, o.dev, lse.dev, devStarts, devPick, heads, kvHeads, 0.2)
	t.h.AttentionGrad(dq.host, dk.host, dv.host, do.host, q.host, k.host, v.host, o.host, lse.host, starts, pick, heads, kvHeads, 0.2)
	t.same("dq", dq, t.unit())
	t.same("dk", dk, t.unit())
	t.same("dv", dv, t.unit())
}

func (t *trial) headLoss() {
	x, w, dx := t.mat(5, 64, t.d), t.small(600, 64, t.d, 0.2), t.zeros(5, 64, t.d)
	targets, devTargets := t.ints(599, 0, 300, 511, 512)
	weights := t.upload(kernels.MatOf([]float32{0.25, 0.5, 0, 0.125, 1}, 1, 5), F32)
	got := t.c.HeadLoss(dx.dev, x.dev, w.dev, devTargets, weights.vec())
	want := t.h.HeadLoss(dx.host, x.host, w.host.Weight(), targets, weights.host.Data)
	t.number("the loss", got, float64(want), 1e-3)
	t.number("the loss alone", t.c.HeadLoss(Mat{}, x.dev, w.dev, devTargets, weights.vec()), float64(want), 1e-3)
	t.same("dx", dx, t.unit())
}

func (t *trial) normAndClip() {
	a, b := t.mat(1, 5000, F32), t.mat(1, 3, F32)
	norm := t.c.Norm(a.vec(), b.vec())
	want := t.h.Norm(a.host.Data, b.host.Data)
	t.number("the norm", norm, float64(want), tight)
	for _, torch := range []bool{false, true} {
		t.number("the clip coefficient", t.c.Clip(norm, 1, torch), float64(t.h.Clip(want, 1, torch)), tight)
	}
}

func (t *trial) adamw(torch bool) {
	const n = 4100
	p, g, m, v := t.mat(1, n, F32), t.mat(1, n, F32), t.small(1, n, F32, 0.1), t.small(1, n, F32, 0.1)
	for i, x := range v.host.Data {
		v.host.Data[i] = x * x
	}
	v = t.upload(v.host, F32)
	low, scaled := t.zeros(1, n, t.d), t.zeros(1, n, t.d)
	coef := t.slot(0.5)
	step := AdamStep{LR: 1e-2, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Step: 3, Torch: torch, GradScale: coef}
	t.c.AdamW(p.vec(), g.vec(), m.vec(), v.vec(), step, Copy{low.dev, 1}, Copy{scaled.dev, 2.5})
	t.h.AdamW(p.host.Data, g.host.Data, m.host.Data, v.host.Data, kernels.AdamStep{LR: 1e-2, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, Step: 3, Torch: torch, GradScale: 0.5})
	for i, x := range p.host.Data {
		low.host.Data[i], scaled.host.Data[i] = x, 2.5*x
	}
	t.same("p", p, tight)
	t.same("m", m, tight)
	t.same("v", v, tight)
	t.same("the copy", low, t.unit())
	t.same("the scaled copy", scaled, t.unit())
}

// slot is a number on the device.
func (t *trial) slot(x float32) Scalar {
	s := t.c.slot()
	b := make([]byte, 4)
	F32.Put(b, []float32{x})
	t.note(t.c.d.Upload(s.at, b))
	return s
}

func (t *trial) narrow() {
	p, y := t.mat(1, 2100, F32), t.zeros(1, 2100, t.d)
	t.c.Narrow(Copy{y.dev, 0.5}, p.vec())
	for i, x := range p.host.Data {
		y.host.Data[i] = t.d.Round(0.5 * x)
	}
	t.same("y", y, 0)
}

func (t *trial) clear() {
	x := t.mat(1, 2100, F32)
	t.c.Clear(x.vec())
	clear(x.host.Data)
	t.same("x", x, 0)
}

func (t *trial) addTo() {
	y, a, b := t.zeros(1, 2100, F32), t.mat(1, 2100, F32), t.mat(1, 2100, F32)
	t.c.AddTo(y.vec(), a.vec(), b.vec())
	for i := range y.host.Data {
		y.host.Data[i] = a.host.Data[i] + b.host.Data[i]
	}
	t.same("y", y, 0)
}

func (t *trial) times() {
	x := t.mat(1, 2100, F32)
	t.c.Times(x.vec(), 1.0/3)
	for i := range x.host.Data {
		x.host.Data[i] *= float32(1.0 / 3)
	}
	t.same("x", x, math.Pow(2, -23))
}
