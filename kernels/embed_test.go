package kernels

import (
	"slices"
	"testing"
	"unsafe"
)

// Rows that are read one by one are those of the matrix, of every type; the
// matrix itself is not touched.
func TestEmbedReading(t *testing.T) {
	defer setThreads(ctx.Threads())
	for _, threads := range []int{1, 3} {
		setThreads(threads)
		for _, d := range append(slices.Clone(quantTypes), F32, F16, BF16) {
			for _, cols := range []int{256, 768, 37} {
				elems, _ := d.block()
				if cols%elems != 0 {
					continue
				}
				const rows = 50
				var w Weight
				if d.Quantised() {
					w, _ = randQuant(d, rows, cols)
				} else {
					w, _ = randWeight(d, rows, cols)
				}
				tokens := make([]int32, 3*rowBlock+1)
				for i := range tokens {
					tokens[i] = int32(rng.UintN(rows))
				}
				want, got := NewMat(len(tokens), cols), NewMat(len(tokens), cols)
				ctx.Embed(want, tokens, w)
				stored := unsafe.Slice((*byte)(w.ptr), rows*w.rowBytes())
				away := w
				away.ptr = nil
				ctx.Embed(got, tokens, away.ReadBy(func(dst []byte, i int) { copy(dst, stored[i*len(dst):(i+1)*len(dst)]) }))
				if !slices.Equal(bits([]Mat{got}), bits([]Mat{want})) {
					t.Errorf("%v, %d columns, %d threads: rows differ", d, cols, threads)
				}
			}
		}
	}
}
