package kernels

import (
	"fmt"
	"slices"
	"unsafe"

	"lorac/kernels/simd"
)

// Causal attention over concatenated sequences, block by block, so that the
// matrix of scores never exists (Rabe & Staats 2021; Dao et al. 2022). Sequence
// n begins at row starts[n] and ends where the next one begins. Query head h
// reads key head h/(heads/kvHeads). With rows, query i is at absolute row
// rows[i] (ascending); rows nil means row i. In the forward pass ^s in place of a
// start s says that the last row of that sequence does not see itself.

// span is the queries of one sequence.
type span struct {
	first, end int // rows of keys of the sequence
	q0, q1     int // its queries
	blind      bool
}

// seen is the row at which the keys end that a query of the sequence sees.
func (sp *span) seen(rows []int32, query int) int {
	end := position(rows, query) + 1
	if sp.blind && end == sp.end && end-1 > sp.first {
		end--
	}
	return end
}

// startOf is the first row of a sequence.
func startOf(s int32) int32 { return max(s, ^s) }

// spans splits the queries by sequence.
func spans(starts, rows []int32, nq, nk int) []span {
	var out []span
	q := 0
	for n, s := range starts {
		end := nk
		if n+1 < len(starts) {
			end = int(startOf(starts[n+1]))
		}
		sp := span{first: int(startOf(s)), end: end, q0: q, blind: s < 0}
		for q < nq && position(rows, q) < end {
			q++
		}
		sp.q1 = q
		out = append(out, sp)
	}
	return out
}

// longestFirst sorts the sequences, so that the last tasks are small.
func longestFirst(s []span) []span {
	slices.SortStableFunc(s, func(a, b span) int { return (b.end - b.first) - (a.end - a.first) })
	return s
}

func position(rows []int32, i int) int {
	if rows == nil {
		return i
	}
	return int(rows[i])
}

func checkAttention(q, k, v Mat, starts, rows []int32, heads, kvHeads int) {
	check(heads > 0 && kvHeads > 0 && heads%kvHeads == 0 && q.Cols%heads == 0 && k.Cols*heads == q.Cols*kvHeads &&
		v.Rows == k.Rows && v.Cols == k.Cols && (rows == nil && q.Rows == k.Rows || rows != nil && len(rows) == q.Rows),
		"attention", q, k, v, len(starts), len(rows), heads, kvHeads)
	last := int32(0)
	for n, s := range starts {
		s = startOf(s)
		if s < last || n == 0 && s != 0 || int(s) > k.Rows {
			panic(fmt.Sprintf("kernels: attention: sequence %d of %d begins at row %d of %d, the one before at %d", n, len(starts), s, k.Rows, last))
		}
		last = s
	}
	if len(starts) == 0 && k.Rows > 0 {
		panic(fmt.Sprintf("kernels: attention: %d rows and no sequence", k.Rows))
	}
	last = -1
	for i, r := range rows {
		if r <= last || int(r) >= k.Rows {
			panic(fmt.Sprintf("kernels: attention: rows of queries must ascend within %d, query %d is at %d after %d", k.Rows, i, r, last))
		}
		last = r
	}
}

// dots writes the dot products of contiguous vectors of n elements.
func dots(out, a, b []float32, n int) {
	switch {
	case has512:
		simd.Dots512(&out[0], &a[0], &b[0], n, len(out))
		return
	case has8:
		simd.Dots8(&out[0], &a[0], &b[0], n, len(out))
		return
	}
	for i := range out {
		var s, t float32
		j := i * n
		for ; j+2 <= (i+1)*n; j += 2 {
			s += a[j] * b[j]
			t += a[j+1] * b[j+1]
		}
		if j < (i+1)*n {
			s += a[j] * b[j]
		}
		out[i] = s + t
	}
}

// copyBlock copies rows [r0, r1) of n columns from c0 into rows without gaps.
func copyBlock(dst []float32, m Mat, r0, r1, c0, n int) {
	if has512 && r0 < r1 {
		simd.CopyRows512(&dst[0], &m.Data[r0*m.Stride+c0], m.Stride*4, r1-r0, n)
		return
	}
	for r := r0; r < r1; r++ {
		copy(dst[(r-r0)*n:(r-r0+1)*n], m.Data[r*m.Stride+c0:])
	}
}

// transposeOut writes columns of panels of nr columns as rows: row c0+j of dst
// gets element j of each of n rows of src, times factor[j] if there is one.
func transposeOut(dst Mat, at, cols, c0 int, src []float32, nr, n int, factor []float32) {
	if factor != nil {
		scaleCols(src[:n*nr], factor)
	}
	if has512 {
		for r := 0; r < n; r += 16 {
			rows := min(16, n-r)
			simd.PackT512F32(cols, rows, (*byte)(unsafe.Pointer(&src[r*nr])), nr*4, &dst.Data[at*dst.Stride+c0+r], dst.Stride*4, 1<<rows-1)
		}
		return
	}
	done, eighths := 0, cols&^7
	if has8 && eighths > 0 {
		for ; done+8 <= n; done += 8 {
			simd.PackT8F32(eighths/8, 8, (*byte)(unsafe.Pointer(&src[done*nr])), nr*4, &dst.Data[at*dst.Stride+c0+done], dst.Stride*4)
		}
	}
	for r := range n {
		from := 0
		if r < done {
			from = eighths
		}
		for j := from; j < cols; j++ {
			dst.Data[(at+j)*dst.Stride+c0+r] = src[r*nr+j]
		}
	}
}
