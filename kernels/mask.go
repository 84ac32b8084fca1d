package kernels

import (
	"math"

	"lorac/kernels/simd"
)

// mask is a dropout mask ready for use: the bits below limit are dropped, the
// other elements multiplied by scale.
type mask struct {
	Drop
	limit uint32
	scale float32
}

func (d Drop) mask() mask {
	return mask{d, uint32(math.Round(float64(d.P) * 65536)), 1 / (1 - d.P)}
}

// on reports whether anything is dropped.
func (m *mask) on() bool { return m.limit > 0 }

// rowMask is the mask of one row.
type rowMask struct {
	hash  uint64
	limit uint32
	scale float32
}

func (m *mask) row(r int) rowMask {
	h := m.rowHash(r)
	start := uint32(h) + uint32(m.First/2)*pairStep // the hash of the pair of column First
	return rowMask{h>>32<<32 | uint64(start), m.limit, m.scale}
}

// write: y = mask(x), for the columns from c on, which is even.
func (m rowMask) write(y, x []float32, c int) {
	if has512 && len(x) > 0 && m.limit < 1<<16 {
		simd.Mask512(&y[0], &x[0], len(x), &pairOffsets, m.start(c), uint32(m.hash>>32), m.limit, m.scale)
		return
	}
	done := 0
	if has8 && len(x) >= 16 && m.limit < 1<<16 {
		done = len(x) &^ 15
		simd.Mask8(&y[0], &x[0], done, &pairOffsets, m.start(c), uint32(m.hash>>32), m.limit, m.scale)
	}
	for i := done; i < len(x); i++ {
		y[i] = m.value(x[i], c+i)
	}
}

// start is what the hash of the pair of column c starts from.
func (m rowMask) start(c int) uint32 { return uint32(m.hash) + uint32(c/2)*pairStep }

// pairOffsets is what the hashes of the next pairs start from, minus start.
var pairOffsets = func() (o [16]uint32) {
	for i := range o {
		o[i] = uint32(i) * pairStep
	}
	return o
}()

func (m rowMask) value(v float32, c int) float32 {
	bits := pairHash(m.hash, c>>1) >> (16 * (c & 1)) & 0xFFFF
	if bits < m.limit {
		return 0
	}
	return v * m.scale
}
