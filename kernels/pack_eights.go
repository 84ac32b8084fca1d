package kernels

import "unsafe"

// transpose8 is transpose in whole blocks of eight columns; it
// returns the number of columns done. A panel of fewer than eight rows is
// written with all eight lanes, each column over the excess lanes of the one
// before, so the last columns are left to the caller, who writes no excess.
func transpose8(d DType, src unsafe.Pointer, stride int, dst []float32, n, kc, w int) int {
	blocks := kc / 8
	if w%8 != 0 {
		blocks = (kc - 1) / 8
	}
	if blocks == 0 {
		return 0
	}
	for r := (w - 1) / 8 * 8; r >= 0; r -= 8 { // the first rows last, which excess lanes of the others are on
		rows, from := min(8, n-r), src
		if rows > 0 {
			from = unsafe.Add(src, r*stride)
		} // else nothing is read
		packT8(d, blocks, max(rows, 0), (*byte)(from), stride, &dst[r], w*4)
	}
	return 8 * blocks
}
