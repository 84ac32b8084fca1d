package kernels

import (
	"fmt"
	"math"
	"testing"
)

// call is one kernel with inputs of its own, made once; run returns what it
// wrote. Every kernel that sums, splits or needs a workspace is in the list.
type call struct {
	name string
	run  func(ctx *Context) []Mat
}

func vec(x []float32) Mat { return MatOf(x, 1, len(x)) }

func someSeeds(n int) []uint64 {
	k := make([]uint64, n)
	for i := range k {
		k[i] = rng.Uint64()
	}
	return k
}

// calls are shapes cut in several blocks in every direction.
func calls() []call {
	const rows, in, out, rank = 950, 300, 170, 12
	x, dy, w := randMat(rows, in), randMat(rows, out), Weight{}
	w, _ = randWeight(BF16, out, in)
	a, b, xa := dense(rank, in), dense(out, rank), randMat(rows, rank)
	drop := Drop{P: 0.2, Seeds: someSeeds(rows), Layer: 2, Stream: 1}
	starts := []int32{0, 500, 501, 800}
	q, k, v, do := randMat(rows, 64), randMat(rows, 32), randMat(rows, 32), randMat(rows, 64)
	o, lse := NewMat(rows, 64), NewMat(rows, 4)
	ctx.Attention(o, lse, q, k, v, starts, nil, 4, 2, 0.25)
	targets, tokens, weights := make([]int32, rows), make([]int32, rows), make([]float32, rows)
	for i := range rows {
		targets[i], tokens[i], weights[i] = int32(rng.IntN(out)), int32(rng.IntN(40)), rng.Float32()
	}
	rstd, nw := make([]float32, rows), randMat(1, in).Row(0)
	ctx.RMSNorm(NewMat(rows, in), rstd, x, nw, 1e-5)
	res := randMat(rows, in)
	list := []call{
		{"MatMulNT", func(ctx *Context) []Mat { y := NewMat(rows, out); ctx.MatMulNT(y, x, w); return []Mat{y} }},
		{"MatMulNN", func(ctx *Context) []Mat { y := NewMat(rows, in); ctx.MatMulNN(y, dy, w); return []Mat{y} }},
		{"MatMulTN", func(ctx *Context) []Mat { y := NewMat(out, in); ctx.MatMulTN(y, dy, x); return []Mat{y} }},
		{"MatMulTN of few columns", func(ctx *Context) []Mat { y := NewMat(out, rank); ctx.MatMulTN(y, dy, xa); return []Mat{y} }},
		{"LoRALinear", func(ctx *Context) []Mat {
			y, z, s := NewMat(rows, out), NewMat(rows, out), NewMat(rows, rank)
			t := NewMat(rows, rank)
			ctx.LoRALinear(x, Adapted{Y: y, XA: s, W: w, A: a, B: b, Scale: 2, Drop: drop}, Adapted{Y: z, XA: t, W: w, A: a, B: b, Scale: 1})
			return []Mat{y, z, s, t}
		}},
		{"LoRALinearGrad", func(ctx *Context) []Mat {
			dx, da, db := NewMat(rows, in), NewMat(rank, in), NewMat(out, rank)
			ctx.LoRALinearGrad(dx, x, AdaptedGrad{DY: dy, XA: xa, W: w, A: a, B: b, DA: da, DB: db, Scale: 2, Drop: drop})
			return []Mat{dx, da, db}
		}},
		{"Dropout", func(ctx *Context) []Mat { y := NewMat(rows, in); ctx.Dropout(y, x, drop); return []Mat{y} }},
		{"Attention", func(ctx *Context) []Mat {
			o, lse := NewMat(rows, 64), NewMat(rows, 4)
			ctx.Attention(o, lse, q, k, v, starts, nil, 4, 2, 0.25)
			return []Mat{o, lse}
		}},
		{"AttentionGrad", func(ctx *Context) []Mat {
			dq, dk, dv := NewMat(rows, 64), NewMat(rows, 32), NewMat(rows, 32)
			ctx.AttentionGrad(dq, dk, dv, do, q, k, v, o, lse, starts, nil, 4, 2, 0.25)
			return []Mat{dq, dk, dv}
		}},
		{"RMSNorm", func(ctx *Context) []Mat {
			y, r := NewMat(rows, in), make([]float32, rows)
			ctx.RMSNorm(y, r, x, nw, 1e-5)
			return []Mat{y, vec(r)}
		}},
		{"RMSNormGradAdd", func(ctx *Context) []Mat {
			y, g := NewMat(rows, in), make([]float32, in)
			ctx.RMSNormGradAdd(y, res, res, x, rstd, nw)
			ctx.RMSNormGradW(g, res, x, rstd)
			return []Mat{y, vec(g)}
		}},
		{"SwiGLU", func(ctx *Context) []Mat {
			h, g, u := NewMat(rows, in), NewMat(rows, in), NewMat(rows, in)
			ctx.SwiGLU(h, x, res)
			ctx.SwiGLUGrad(g, u, x, res, h)
			return []Mat{h, g, u}
		}},
		{"HeadLossGradW", func(ctx *Context) []Mat {
			dx, dw := NewMat(rows, in), NewMat(out, in)
			loss := ctx.HeadLossGradW(dx, dw, x, w, targets, weights)
			return []Mat{dx, dw, vec([]float32{float32(loss), float32(loss - Scalar(float32(loss)))})}
		}},
		{"EmbedGrad", func(ctx *Context) []Mat { dw := NewMat(40, in); ctx.EmbedGrad(dw, x, tokens); return []Mat{dw} }},
		{"AdamW", func(ctx *Context) []Mat {
			p, m, v := clone(x), NewMat(rows, in), NewMat(rows, in)
			ctx.AdamW(p.Data, clone(res).Data, m.Data, v.Data, AdamStep{LR: 0.1, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, WeightDecay: 0.1, GradScale: 0.5, Step: 3, Torch: true})
			return []Mat{p, m, v}
		}},
	}
	return append(list, blockCalls()...)
}

// blockCalls are kernels on weights in blocks, in eight bits and read by the
// row, and those of heads and caches.
func blockCalls() []call {
	const rows, in, out, rank = 150, 512, 270, 12
	x, dy, res := randMat(rows, in), randMat(rows, out), dense(rows, in)
	quant, _ := randQuant(Q4_K, out, in)
	stored := quant.Stored()
	byRow := quant.ReadBy(func(dst []byte, i int) { copy(dst, stored[i*len(dst):]) })
	bytes := New(1).Int8(dense(out, in).Weight())
	a, b, xa := dense(rank, in), dense(out, rank), randMat(rows, rank)
	wide, narrow := dense(4200, 520), dense(4200, 40)
	y, z := dense(rows, 520), dense(rows, 40)
	targets, tokens, weights := make([]int32, rows), make([]int32, rows), make([]float32, rows)
	for i := range rows {
		targets[i], tokens[i], weights[i] = int32(rng.IntN(4200)), int32(rng.IntN(out)), rng.Float32()
	}
	q, k, v, pos := randMat(5, 64), randMat(5, 32), randMat(5, 32), []int32{3, 4, 5, 6, 7}
	head := func(ctx *Context, x, w Mat) []Mat {
		dx := NewMat(x.Rows, x.Cols)
		loss := ctx.HeadLoss(dx, x, w.Weight(), targets, weights)
		return []Mat{dx, vec([]float32{float32(loss), float32(loss - Scalar(float32(loss)))})}
	}
	lora := func(ctx *Context, w Weight) []Mat {
		y, s := NewMat(rows, out), NewMat(rows, rank)
		ctx.LoRALinear(x, Adapted{Y: y, XA: s, W: w, A: a, B: b, Scale: 2})
		dx, da, db := NewMat(rows, in), NewMat(rank, in), NewMat(out, rank)
		ctx.LoRALinearGrad(dx, x, AdaptedGrad{DY: dy, XA: xa, W: w, A: a, B: b, DA: da, DB: db, Scale: 2})
		return []Mat{y, s, dx, da, db}
	}
	return []call{
		{"LoRALinear of a quantised weight", func(ctx *Context) []Mat { return lora(ctx, quant) }},
		{"LoRALinear of a weight in eight bits", func(ctx *Context) []Mat { return lora(ctx, bytes) }},
		{"Embed by the row", func(ctx *Context) []Mat { y := NewMat(rows, in); ctx.Embed(y, tokens, byRow); return []Mat{y} }},
		{"HeadLoss, wide", func(ctx *Context) []Mat { return head(ctx, y, wide) }},
		{"HeadLoss, narrow", func(ctx *Context) []Mat { return head(ctx, z, narrow) }},
		{"CachedAttention", func(ctx *Context) []Mat {
			o, keys, values := NewMat(5, 64), NewMat(20, 32), NewMat(20, 32)
			ctx.CachedAttention(o, q, k, v, pos, keys, values, nil, nil, 4, 2, 0.25)
			return []Mat{o, keys, values}
		}},
		{"Lamb", func(ctx *Context) []Mat {
			p, g, m, v := clone(res), clone(res), NewMat(rows, in), NewMat(rows, in)
			ctx.Lamb(p.Data, g.Data, m.Data, v.Data, in, AdamStep{LR: 0.1, Beta1: 0.9, Beta2: 0.95, Eps: 1e-8, GradScale: 1, Step: 1})
			return []Mat{p, m, v}
		}},
		{"Adafactor", func(ctx *Context) []Mat {
			p, g, m, r, c := clone(res), clone(res), NewMat(rows, in), NewMat(1, rows), NewMat(1, in)
			ctx.Adafactor(p.Data, g.Data, m.Data, r.Data, c.Data, FactoredStep{LR: 0.1, GradScale: 1, Step: 1, Rows: rows, Cols: in,
				Eps1: 1e-30, Eps2: 1e-3, ClipThreshold: 1, DecayRate: 0.8, Beta1: 0.9, ScaleParameter: true})
			return []Mat{p, m, r, c}
		}},
	}
}

func bits(ms []Mat) (out []uint32) {
	for _, m := range ms {
		for i := range m.Rows {
			for _, x := range m.Row(i) {
				out = append(out, math.Float32bits(x))
			}
		}
	}
	return out
}

func sameBits(t *testing.T, what string, a, b []uint32) {
	t.Helper()
	if len(a) != len(b) {
		t.Fatalf("%s: %d values and %d", what, len(a), len(b))
	}
	for i := range a {
		if a[i] != b[i] {
			t.Fatalf("%s: value %d is %v and %v", what, i, math.Float32frombits(a[i]), math.Float32frombits(b[i]))
		}
	}
}

func TestSameBitsAnyThreads(t *testing.T) {
	defer setThreads(ctx.Threads())
	counts, times := []int{2, 3, 7}, 2
	if emulated() {
		counts, times = []int{3}, 1
	}
	for _, c := range calls() {
		setThreads(1)
		one := bits(c.run(ctx))
		for _, n := range counts {
			setThreads(n)
			for range times { // also from call to call, whatever scratch holds
				sameBits(t, fmt.Sprintf("%s with 1 and %d threads", c.name, n), one, bits(c.run(ctx)))
			}
		}
	}
}

// A row's result does not depend on the rows beside it: a batch cut in passes
// gives every row the same bits.
func TestSameBitsAnyCut(t *testing.T) {
	paths(t, func(t *testing.T) {
		const rows, in, out, rank = 61, 45, 40, 5
		x, dy := randMat(rows, in), randMat(rows, out)
		w, _ := randWeight(F16, out, in)
		a, b, seeds := dense(rank, in), dense(out, rank), someSeeds(rows)
		h := dense(9, out)
		targets, weights := make([]int32, rows), make([]float32, rows)
		for i := range rows {
			targets[i], weights[i] = int32(rng.IntN(out)), rng.Float32()
		}
		run := func(from, to int, y, xa, dx, dh, n, s Mat) {
			drop := Drop{P: 0.3, Seeds: seeds[from:to], Layer: 1}
			ctx.LoRALinear(x.Slice(from, to), Adapted{Y: y.Slice(from, to), XA: xa.Slice(from, to), W: w, A: a, B: b, Scale: 2, Drop: drop})
			ctx.LoRALinearGrad(dx.Slice(from, to), x.Slice(from, to), AdaptedGrad{DY: dy.Slice(from, to), XA: xa.Slice(from, to), W: w, A: a, B: b, Scale: 2, Drop: drop})
			ctx.HeadLoss(dh.Slice(from, to), dy.Slice(from, to), h.Weight(), targets[from:to], weights[from:to])
			ctx.RMSNorm(n.Slice(from, to), make([]float32, to-from), x.Slice(from, to), a.Row(0), 1e-5)
			ctx.SwiGLU(s.Slice(from, to), x.Slice(from, to), x.Slice(from, to))
		}
		for i := range targets {
			targets[i] %= 9
		}
		outs := func() []Mat {
			return []Mat{NewMat(rows, out), NewMat(rows, rank), NewMat(rows, in), NewMat(rows, out), NewMat(rows, in), NewMat(rows, in)}
		}
		whole := outs()
		run(0, rows, whole[0], whole[1], whole[2], whole[3], whole[4], whole[5])
		for _, step := range []int{1, 7, 30} {
			cut := outs()
			for r := 0; r < rows; r += step {
				run(r, min(r+step, rows), cut[0], cut[1], cut[2], cut[3], cut[4], cut[5])
			}
			for i := range cut {
				sameBits(t, fmt.Sprintf("output %d whole and by %d rows", i, step), bits(whole[i:i+1]), bits(cut[i:i+1]))
			}
		}
	})
}

// The mask of a dropout is part of the results of a run: it never changes.
func TestDropoutMaskIsFixed(t *testing.T) {
	paths(t, func(t *testing.T) {
		x, y := NewMat(2, 40), NewMat(2, 40)
		for i := range x.Data {
			x.Data[i] = 3
		}
		ctx.Dropout(y, x, Drop{P: 0.25, Seeds: []uint64{0x0123456789ABCDEF, 7}, Layer: 5, Stream: 2})
		for i, want := range []string{dropRow0, dropRow1} {
			got := ""
			for _, v := range y.Row(i) {
				switch v {
				case 0:
					got += "."
				case 4: // 3/(1−¼)
					got += "x"
				default:
					t.Fatalf("an element is %v", v)
				}
			}
			if got != want {
				t.Errorf("row %d is masked\n%s, always was\n%s", i, got, want)
			}
		}
	})
}

// Masks of rows, layers and streams have nothing to do with each other: two of
// them agree in P² + (1−P)² of the elements.
func TestDropoutMasksAreIndependent(t *testing.T) {
	const n = 20000
	ones := NewMat(1, n)
	for i := range ones.Data {
		ones.Data[i] = 1
	}
	mask := func(key uint64, layer, stream int) []float32 {
		y := NewMat(1, n)
		ctx.Dropout(y, ones, Drop{P: 0.5, Seeds: []uint64{key}, Layer: layer, Stream: stream})
		return y.Data
	}
	base := mask(1, 0, 0)
	for name, m := range map[string][]float32{
		"next key": mask(2, 0, 0), "next layer": mask(1, 1, 0), "next stream": mask(1, 0, 1), "far key": mask(1<<40, 0, 0),
		"one column on": append(append([]float32{}, base[1:]...), base[0]), "two columns on": append(append([]float32{}, base[2:]...), base[:2]...),
	} {
		same := 0
		for i := range m {
			if m[i] == base[i] {
				same++
			}
		}
		// Five standard deviations of a fair coin.
		if d := math.Abs(float64(same) - n/2); d > 5*math.Sqrt(n)/2 {
			t.Errorf("%s: %d of %d elements agree", name, same, n)
		}
	}
}

// Worked out by an implementation of the two hashes in another language.
const (
	dropRow0 = "...xxxxxxx...x...xx..xxxxx.xxx.x.xxxx.xx"
	dropRow1 = ".xxx.xxxxxx.xx.xxxx.xxx.xx.x.x.xxxxxxxx."
)
