package kernels

import (
	"unsafe"

	"lorac/kernels/simd"
)

// rowsOf packs rows of a matrix whose columns are summed over: x in x·wᵀ and
// dy in dy·w.
type rowsOf struct{ m Mat }

func (s rowsOf) pack(_ *workspace, dst []float32, at, n, k0, kc, w int) {
	if has512 {
		transpose(F32, unsafe.Pointer(&s.m.Data[at*s.m.Stride+k0]), s.m.Stride*4, dst, n, kc, w)
		return
	}
	done := 0
	if has8 && (w < 8 || w == 16) {
		done = transpose8(F32, unsafe.Pointer(&s.m.Data[at*s.m.Stride+k0]), s.m.Stride*4, dst, n, kc, w)
	}
	for r := range n {
		row := s.m.Data[(at+r)*s.m.Stride+k0:]
		for k := done; k < kc; k++ {
			dst[k*w+r] = row[k]
		}
	}
	padPanel(dst, n, kc, w)
}

// weightRows packs rows of a weight whose columns are summed over: w in x·wᵀ.
type weightRows struct{ w Weight }

func (s weightRows) pack(ws *workspace, dst []float32, at, n, k0, kc, w int) {
	if s.w.needsDecoding() {
		packQuantRows(ws, s.w, dst, at, n, k0, kc, w)
		return
	}
	if has512 {
		transpose(s.w.DType, s.w.at(at, k0), s.w.rowBytes(), dst, n, kc, w)
		return
	}
	done := 0
	if has8 && w == 16 {
		done = transpose8(s.w.DType, s.w.at(at, k0), s.w.rowBytes(), dst, n, kc, w)
	}
	packRows(s.w, dst[done*w:], at, n, k0+done, kc-done, w)
}

// packRows packs rows of any weight, element by element.
func packRows(wt Weight, dst []float32, at, n, k0, kc, w int) {
	var buf [mostK]float32
	for r := range n {
		for from := 0; from < kc; from += mostK {
			row := buf[:min(mostK, kc-from)]
			wt.row(row, at+r, k0+from)
			for k, v := range row {
				dst[(from+k)*w+r] = v
			}
		}
	}
	padPanel(dst, n, kc, w)
}

// weightCols packs columns of a weight whose rows are summed over: w in dy·w.
type weightCols struct{ w Weight }

func (s weightCols) pack(_ *workspace, dst []float32, at, n, k0, kc, w int) {
	if s.w.needsDecoding() {
		packQuantCols(s.w, dst, at, n, k0, kc, w)
		return
	}
	switch {
	case has512 && n == 32:
		packN(s.w.DType, kc, (*byte)(s.w.at(k0, at)), s.w.rowBytes(), &dst[0])
		return
	case !has512 && has8 && n == 16:
		packN8(s.w.DType, kc, (*byte)(s.w.at(k0, at)), s.w.rowBytes(), &dst[0])
		return
	}
	for k := range kc {
		s.w.row(dst[k*w:k*w+n], k0+k, at)
	}
	padPanel(dst, n, kc, w)
}

// colsOf packs columns of a matrix whose rows are summed over: both operands
// of dyᵀ·x.
type colsOf struct{ m Mat }

func (s colsOf) pack(_ *workspace, dst []float32, at, n, k0, kc, w int) {
	switch {
	case has512 && n == 32 && w == 32:
		packN(F32, kc, (*byte)(unsafe.Pointer(&s.m.Data[k0*s.m.Stride+at])), s.m.Stride*4, &dst[0])
		return
	case !has512 && has8 && n == 16 && w == 16:
		packN8(F32, kc, (*byte)(unsafe.Pointer(&s.m.Data[k0*s.m.Stride+at])), s.m.Stride*4, &dst[0])
		return
	}
	for k := range kc {
		copy(dst[k*w:k*w+n], s.m.Data[(k0+k)*s.m.Stride+at:])
	}
	padPanel(dst, n, kc, w)
}

// unpackedB is a panel of B in the operand's own memory: rows of 32 columns,
// with a stride in bytes.
type unpackedB struct {
	at     *byte
	stride int
	dtype  DType
}

// unpacked is where the columns are that the first tile, of r rows of A, can
// pack while it multiplies, which takes no time; at is nil where it cannot.
func unpacked(b packer, r, at, n, k0, kc int) unpackedB {
	d := F32
	switch s := b.(type) {
	case weightCols:
		d = s.w.DType
	case colsOf:
	default:
		return unpackedB{}
	}
	if !has512 || n != 32 || int(d) >= len(simd.GemmPackingTiles512) || simd.GemmPackingTiles512[d][r] == nil {
		return unpackedB{}
	}
	where := b.(locator).locate(at, n, k0, kc)
	return unpackedB{(*byte)(where.at), where.stride, d}
}

// padPanel zeroes the lanes of missing rows.
func padPanel(dst []float32, n, kc, w int) {
	if n == w {
		return
	}
	for k := range kc {
		clear(dst[k*w+n : (k+1)*w])
	}
}

// transpose writes n rows of kc elements as columns of a panel of width w.
func transpose(d DType, src unsafe.Pointer, stride int, dst []float32, n, kc, w int) {
	for r := 0; r < w; r += 16 {
		lanes := uint64(1)<<min(16, w-r) - 1
		rows, from := min(16, n-r), src
		if rows > 0 {
			from = unsafe.Add(src, r*stride)
		} // else nothing is read, and the address may be outside the operand
		packT(d, kc, max(rows, 0), (*byte)(from), stride, &dst[r], w*4, lanes)
	}
}
