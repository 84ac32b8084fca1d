package kernels

import (
	"fmt"
	"math"
	"testing"
)

// The policy: denormals are numbers like others in every kernel, so that all
// instruction sets and the plain code agree; only the exponentials of a softmax
// below 2^-125 are zero.

// Sums, products and moments of denormals are exact where f32 is.
func TestDenormals(t *testing.T) {
	paths(t, func(t *testing.T) {
		const tiny = 3e-42
		fill := func(rows, cols int, v float32) Mat {
			m := NewMat(rows, cols)
			for i := range m.Data {
				m.Data[i] = v
			}
			return m
		}
		exactly := func(what string, m Mat, want float64) {
			t.Helper()
			nearFunc(t, what, m, 0, func(i, j int) float64 { return float64(float32(want)) })
		}
		x, two := fill(5, 33, tiny), fill(5, 33, 2)
		denormal, y, z := float64(float32(tiny)), NewMat(5, 5), NewMat(5, 33)
		ctx.MatMulNT(y, x, two.Weight())
		exactly("a product", y, denormal*66)
		ctx.Scale(z, x, 4)
		exactly("scaled", z, denormal*4)
		ctx.Add(z, x, x)
		exactly("added", z, denormal*2)
		ctx.Mul(z, x, two)
		exactly("multiplied", z, denormal*2)
		cos, sin := fill(1, 16, 0), fill(1, 16, 1)
		pairs, turned := fill(3, 32, tiny), NewMat(3, 32)
		ctx.Rope(turned, pairs, make([]int32, 3), cos, sin, 32)
		nearFunc(t, "turned by a right angle", turned, 0, func(i, j int) float64 {
			if j < 16 {
				return -denormal
			}
			return denormal
		})
		rstd, norm, w := make([]float32, 5), NewMat(5, 33), fill(1, 33, 1).Row(0)
		ctx.RMSNorm(norm, rstd, x, w, 1)
		exactly("norm", norm, denormal)
		p, g, m, v := fill(1, 33, 1).Row(0), make([]float32, 33), fill(1, 33, tiny).Row(0), fill(1, 33, tiny).Row(0)
		ctx.AdamW(p, g, m, v, AdamStep{Beta1: 0.5, Beta2: 0.25, Eps: 1, Step: 1})
		nearVec(t, "first moment", m, 0, func(int) float64 { return float64(float32(denormal / 2)) })
		nearVec(t, "second moment", v, 0, func(int) float64 { return float64(float32(denormal / 4)) })
	})
}

// A key whose score is 90 below the greatest would have the probability 8e-40,
// a denormal: it has none, nor any gradient. At 80 it has 2e-35, and counts.
func TestSmallProbabilities(t *testing.T) {
	paths(t, func(t *testing.T) {
		for _, gap := range []float64{80, 90} {
			for _, n := range []int{2, 3, 40} {
				const hd = 4
				q, k, v, do := NewMat(n, hd), NewMat(n, hd), NewMat(n, hd), NewMat(n, hd)
				for i := range n {
					q.Row(i)[0], do.Row(i)[1] = 1, 1
				}
				k.Row(0)[0], v.Row(0)[1] = float32(-gap), 3e38
				o, lse := NewMat(n, hd), NewMat(n, 1)
				ctx.Attention(o, lse, q, k, v, []int32{0}, nil, 1, 1, 1)
				dq, dk, dv := NewMat(n, hd), NewMat(n, hd), NewMat(n, hd)
				ctx.AttentionGrad(dq, dk, dv, do, q, k, v, o, lse, []int32{0}, nil, 1, 1, 1)
				last := 0.0
				if gap == 80 {
					last = math.Exp(-gap)
				}
				// The last query sees n−1 keys of score 0 and the first one.
				got := float64(o.Row(n - 1)[1])
				want := 3e38 * last / float64(n-1)
				if math.Abs(got-want) > 2e-4*want {
					t.Errorf("%d keys, gap %v: the output is %v, not %v", n, gap, got, want)
				}
				sum := 1.0 // the first query sees the first key alone
				for i := 1; i < n; i++ {
					sum += last / float64(i)
				}
				within(t, fmt.Sprintf("gap %v: the first value's gradient", gap), float64(dv.Row(0)[1]), sum, 2e-5) // scores of 80 are exact to 4e-6
				if gap == 90 && (dk.Row(0)[0] != 0 || dq.Row(n - 1)[0] != 0) {
					t.Errorf("%d keys: gradients of a key without probability: %v, %v", n, dk.Row(0)[0], dq.Row(n - 1)[0])
				}
			}
		}
	})
}

// So it is with the loss: a token whose logit is 90 below the greatest takes no
// part in the gradient, wherever in a row it stands.
func TestSmallLosses(t *testing.T) {
	paths(t, func(t *testing.T) {
		const tokens = 43
		for _, gap := range []float64{80, 90} {
			for _, low := range []int{0, 5, 30, tokens - 1} {
				x, w := NewMat(1, 2), NewMat(tokens, 2)
				x.Data[0] = 1 // so the first column is the logits; the second marks one token
				w.Row(low)[0], w.Row(low)[1] = float32(-gap), 3e38
				want := 0.0
				if gap == 80 {
					want = 3e38 * math.Exp(-gap) / (tokens - 1)
				}
				target, weight, dx := []int32{int32(low+1) % tokens}, []float32{1}, NewMat(1, 2)
				ctx.HeadLoss(dx, x, w.Weight(), target, weight)
				within(t, fmt.Sprintf("gap %v at %d", gap, low), float64(dx.Data[1]), want, 2e-4)
				logits, d := NewMat(1, tokens), NewMat(1, tokens)
				logits.Data[low] = float32(-gap)
				ctx.CrossEntropyGrad(d, logits, target, weight)
				within(t, fmt.Sprintf("gap %v at %d, whole rows", gap, low), float64(d.Data[low])*3e38, want, 2e-4)
			}
		}
	})
}
