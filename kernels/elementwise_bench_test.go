package kernels

import (
	"fmt"
	"sort"
	"testing"
	"time"
)

// ofBandwidth runs f, which moves some bytes, in short samples with the speed
// of a copy beyond all caches taken before and after each, and reports the
// speed and the median share of the copy's. Caches may lift it above 100.
func ofBandwidth(b *testing.B, bytes float64, f func()) {
	const sample, probe = 10 * time.Millisecond, 5 * time.Millisecond
	f()
	var shares []float64
	spent := time.Duration(0)
	_, before := ctx.Bandwidth(probe)
	for n := 0; n < b.N; {
		start := time.Now()
		calls := 0
		for ; n < b.N && (calls == 0 || time.Since(start) < sample); n++ {
			f()
			calls++
		}
		t := time.Since(start)
		spent += t
		_, after := ctx.Bandwidth(probe)
		shares = append(shares, 200*bytes*float64(calls)/t.Seconds()/(before+after))
		before = after
	}
	sort.Float64s(shares)
	b.ReportMetric(bytes*float64(b.N)/spent.Seconds()/1e9, "GB/s")
	b.ReportMetric(shares[len(shares)/2], "%copy")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkBandwidth is what the memory gives all threads.
func BenchmarkBandwidth(b *testing.B) {
	var read, copied float64
	for b.Loop() {
		r, c := ctx.Bandwidth(20 * time.Millisecond)
		read, copied = read+r, copied+c
	}
	b.ReportMetric(read/float64(b.N)/1e9, "GB/s-read")
	b.ReportMetric(copied/float64(b.N)/1e9, "GB/s-copied")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkElementwise counts what a kernel reads and writes once each.
func BenchmarkElementwise(b *testing.B) {
	defer setThreads(ctx.Threads())
	const rows, cols, vocab = 1024, 2048, 4096
	x, y, z, u := dense(rows, cols), NewMat(rows, cols), dense(rows, cols), NewMat(rows, cols)
	w, rstd, dw := make([]float32, cols), make([]float32, rows), make([]float32, cols)
	keys, pos, tokens := make([]uint64, rows), make([]int32, rows), make([]int32, rows)
	cos, sin := dense(rows, 64), dense(rows, 64)
	half, _ := randWeight(F16, vocab, cols)
	table := NewMat(vocab, cols)
	for i := range pos {
		pos[i], tokens[i] = int32(i), int32(i*7919%vocab)
	}
	step := AdamStep{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, GradScale: 1, Step: 1, Torch: true}
	m, v := NewMat(rows, cols), NewMat(rows, cols)
	targets, weights := make([]int32, rows), make([]float32, rows)
	for _, threads := range []int{1, ctx.Threads()} {
		for _, c := range []struct {
			name  string
			moves float64
			f     func()
		}{
			{"Add", 3, func() { ctx.Add(y, x, z) }},
			{"Accumulate", 3, func() { ctx.Accumulate(y, x) }},
			{"Scale", 2, func() { ctx.Scale(y, x, 2) }},
			{"SwiGLU", 3, func() { ctx.SwiGLU(y, x, z) }},
			{"SwiGLUGrad", 5, func() { ctx.SwiGLUGrad(y, u, x, z, m) }},
			{"RMSNorm", 2, func() { ctx.RMSNorm(y, rstd, x, w, 1e-5) }},
			{"AddRMSNorm", 4, func() { ctx.AddRMSNorm(u, y, rstd, x, z, w, 1e-5) }},
			{"RMSNormGrad", 3, func() { ctx.RMSNormGrad(y, z, x, rstd, w) }},
			{"RMSNormGradAdd", 4, func() { ctx.RMSNormGradAdd(y, u, z, x, rstd, w) }},
			{"RMSNormGradW", 2, func() { ctx.RMSNormGradW(dw, z, x, rstd) }},
			{"Rope", 2, func() { ctx.Rope(y, x, pos, cos, sin, 128) }},
			{"CrossEntropy", 1, func() { ctx.CrossEntropy(x, targets, weights) }},
			{"CrossEntropyGrad", 2, func() { ctx.CrossEntropyGrad(y, x, targets, weights) }},
			{"Embed", 1.5, func() { ctx.Embed(y, tokens, half) }},
			{"EmbedGrad", 3, func() { ctx.EmbedGrad(table, x, tokens) }},
			{"GatherRows", 2, func() { ctx.GatherRows(y, table, tokens) }},
			{"AdamW", 7, func() { ctx.AdamW(u.Data, x.Data, m.Data, v.Data, step) }},
			{"Norm", 1, func() { ctx.Norm(x.Data) }},
			{"Dropout", 2, func() { ctx.Dropout(y, x, Drop{P: 0.05, Seeds: keys}) }},
		} {
			b.Run(fmt.Sprintf("%s/threads=%d", c.name, threads), func(b *testing.B) {
				setThreads(threads)
				ofBandwidth(b, c.moves*rows*cols*4, c.f)
			})
		}
	}
}
