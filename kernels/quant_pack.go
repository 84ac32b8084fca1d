package kernels

import "unsafe"

// needsDecoding reports whether a weight is not rows of f32 or halves in their
// order, which the packers in assembly take.
func (w Weight) needsDecoding() bool { return w.DType > BF16 || w.pairs > 0 }

// decoded is memory of the first-level cache for 16 rows of a packed block,
// which may begin and end within a part.
type decoded [16 * (decodedK + 3*part)]float32

// decodedK is how many columns are decoded at a time: the panel is in that cache, too.
const decodedK = 192

// packQuantRows packs rows of a quantised weight whose columns are summed over:
// 16 rows at a time are decoded, then transposed.
func packQuantRows(ws *workspace, wt Weight, dst []float32, at, n, k0, kc, w int) {
	if !has8 || !wt.DType.Quantised() {
		packRows(wt, dst, at, n, k0, kc, w)
		return
	}
	if ws.decoded == nil {
		ws.decoded = new(decoded)
	}
	for from := 0; from < kc; from += decodedK {
		packDecoded(ws.decoded, wt, dst[from*w:], at, n, k0+from, min(decodedK, kc-from), w)
	}
}

// packDecoded is packQuantRows of no more columns than are decoded at a time.
func packDecoded(buf *decoded, wt Weight, dst []float32, at, n, k0, kc, w int) {
	first := k0 / part
	parts := (k0+kc+part-1)/part - first
	stride := parts*part + part/2 // lines of a column in different sets of the cache
	for r := 0; r < w; r += 16 {
		rows := max(min(16, n-r), 0)
		for i := range rows {
			wt.DType.decode(buf[i*stride:], wt.rowAt(at+r+i), first, parts)
		}
		src := unsafe.Pointer(&buf[k0-first*part])
		if has512 {
			packT(F32, kc, rows, (*byte)(src), stride*4, &dst[r], w*4, 1<<min(16, w-r)-1)
			continue
		}
		done := transpose8(F32, src, stride*4, dst, rows, kc, w)
		for k := done; k < kc; k++ {
			for i := range rows {
				dst[k*w+i] = buf[i*stride+k0-first*part+k]
			}
		}
		padPanel(dst[done*w:], rows, kc-done, w)
	}
}

// packQuantCols packs columns of a quantised weight whose rows are summed over:
// a panel is a part of each row.
func packQuantCols(wt Weight, dst []float32, at, n, k0, kc, w int) {
	d := wt.DType
	if !has512 && has8 && d.Quantised() && n == part/2 && at%n == 0 {
		var whole [part]float32
		for k := range kc {
			d.decode(whole[:], wt.rowAt(k0+k), at/part, 1)
			copy(dst[k*w:k*w+n], whole[at%part:])
		}
		return
	}
	if !has512 || !d.Quantised() || n != part || at%part != 0 {
		for k := range kc {
			wt.row(dst[k*w:k*w+n], k0+k, at)
		}
		padPanel(dst, n, kc, w)
		return
	}
	if elems, size := d.block(); elems == part && wt.pairs == 0 {
		decodeBlocks(d, kc, (*byte)(unsafe.Add(wt.rowAt(k0), at/part*size)), wt.rowBytes(), &dst[0])
		return
	}
	for k := range kc {
		d.decode(dst[k*w:], wt.rowAt(k0+k), at/part, 1)
	}
}

// region is the memory of rows [i, i+rows), columns [j, j+cols), in whole
// blocks; none where rows are in another order.
func (w Weight) region(i, rows, j, cols int) region {
	if w.pairs > 0 {
		return region{}
	}
	elems, size := w.DType.block()
	first := j / elems
	return region{unsafe.Add(w.rowAt(i), first*size), rows, ((j+cols+elems-1)/elems - first) * size, w.rowBytes()}
}
