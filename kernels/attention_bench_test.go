package kernels

import (
	"fmt"
	"math"
	"testing"
)

// BenchmarkAttention counts the causal half of the scores: 4·n²/2·head size
// operations a head forward, two and a half times that backward (QKᵀ again,
// dO·Vᵀ and three products of gradients), beside the machine's peak.
func BenchmarkAttention(b *testing.B) {
	defer setThreads(ctx.Threads())
	for _, threads := range []int{1, ctx.Threads()} {
		for _, c := range []struct{ n, hd, heads, kv, sequences int }{
			{128, 48, 6, 6, 8}, {512, 64, 8, 8, 1}, {512, 128, 8, 8, 1}, {1024, 64, 8, 8, 1}, {1024, 128, 8, 8, 1},
			{1024, 64, 32, 4, 1}, {2048, 64, 8, 8, 1}, {2048, 128, 8, 8, 1},
		} {
			rows := c.n * c.sequences
			q, k, v, o, do := dense(rows, c.heads*c.hd), dense(rows, c.kv*c.hd), dense(rows, c.kv*c.hd), NewMat(rows, c.heads*c.hd), dense(rows, c.heads*c.hd)
			dq, dk, dv, lse := NewMat(rows, c.heads*c.hd), NewMat(rows, c.kv*c.hd), NewMat(rows, c.kv*c.hd), NewMat(rows, c.heads)
			scale := float32(1 / math.Sqrt(float64(c.hd)))
			starts := make([]int32, c.sequences)
			for i := range starts {
				starts[i] = int32(i * c.n)
			}
			flop := 4 * float64(c.n*c.n/2) * float64(c.heads*c.hd*c.sequences)
			name := fmt.Sprintf("threads=%d/head=%d/tokens=%dx%d/heads=%d:%d", threads, c.hd, c.sequences, c.n, c.heads, c.kv)
			b.Run("forward/"+name, func(b *testing.B) {
				setThreads(threads)
				ofPeak(b, flop, func() { ctx.Attention(o, lse, q, k, v, starts, nil, c.heads, c.kv, scale) })
			})
			b.Run("backward/"+name, func(b *testing.B) {
				setThreads(threads)
				ctx.Attention(o, lse, q, k, v, starts, nil, c.heads, c.kv, scale)
				ofPeak(b, 2.5*flop, func() {
					ctx.AttentionGrad(dq, dk, dv, do, q, k, v, o, lse, starts, nil, c.heads, c.kv, scale)
				})
			})
		}
	}
}
