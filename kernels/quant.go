package kernels

import (
	"unsafe"

	"lorac/kernels/simd"
)

// A quantised weight is stored in blocks along its rows, with a scale each, as
// GGML lays them out (ggml/src/ggml-common.h, ggml-quants.c): little-endian,
// scales d and minima m in half precision, q the numbers.
//
//	Q8_0  32 elements in  34 bytes: d, 32 × int8                     d·q
//	Q4_0  32 elements in  18 bytes: d, 32 × 4 bits                   d·(q-8)
//	Q4_1  32 elements in  20 bytes: d, m, 32 × 4 bits                d·q + m
//	Q4_K 256 elements in 144 bytes: d, m, 8 × (6 bits s, 6 bits t), 256 × 4 bits   d·s·q - m·t
//	Q6_K 256 elements in 210 bytes: 256 × 6 bits, 16 × int8 s, d     d·s·(q-32)
//
// Every format consists of parts of 32 elements that are decoded separately. Elements
// are products and sums rounded one by one to f32, on every processor.

// part is how many elements are decoded at a time.
const part = 32

// block is how the elements of a row are stored: in blocks of elems elements
// and bytes bytes.
func (d DType) block() (elems, bytes int) {
	switch d {
	case F32:
		return 1, 4
	case F16, BF16:
		return 1, 2
	case Q8_0:
		return 32, 34
	case Q4_0:
		return 32, 18
	case Q4_1:
		return 32, 20
	case Q4_K:
		return 256, 144
	case Q6_K:
		return 256, 210
	}
	return 1, 1 // I8
}

// Quantised reports whether elements are stored in blocks with a scale.
func (d DType) Quantised() bool { return d >= Q8_0 && d <= Q6_K }

// Block is the number of elements and bytes of a block, 1 and their size where
// elements are stored one by one. A row is a whole number of blocks.
func (d DType) Block() (elems, bytes int) { return d.block() }

// RowBytes is the bytes of a row of n elements.
func (d DType) RowBytes(n int) int {
	elems, bytes := d.block()
	return (n + elems - 1) / elems * bytes
}

// decode converts parts [from, from+n) of a row to f32.
func (d DType) decode(dst []float32, row unsafe.Pointer, from, n int) {
	if n == 0 {
		return
	}
	if has8 {
		d.decodeVectors(dst, row, from, n)
		return
	}
	for i := range n {
		d.decodeGo((*[part]float32)(dst[i*part:]), row, from+i)
	}
}

// span converts len(dst) elements of a row, from element j on.
func (d DType) span(dst []float32, row unsafe.Pointer, j int) {
	var buf [part]float32
	if j%part != 0 {
		d.decode(buf[:], row, j/part, 1)
		n := copy(dst, buf[j%part:])
		dst, j = dst[n:], j+n
	}
	whole := len(dst) / part
	d.decode(dst, row, j/part, whole)
	if rest := dst[whole*part:]; len(rest) > 0 {
		d.decode(buf[:], row, j/part+whole, 1)
		copy(rest, buf[:])
	}
}

// decodeVectors is decode in assembly.
func (d DType) decodeVectors(dst []float32, row unsafe.Pointer, from, n int) {
	_ = dst[n*part-1]
	elems, size := d.block()
	if elems == part {
		decodeBlocks(d, n, (*byte)(unsafe.Add(row, from*size)), size, &dst[0])
		return
	}
	nibbles, sixes := simd.Decode8Nibbles, simd.Decode8Sixes
	if has512 {
		nibbles, sixes = simd.Decode512Nibbles, simd.Decode512Sixes
	}
	for i := range n {
		p := unsafe.Add(row, (from+i)/8*size)
		if d == Q4_K {
			b := (*blockQ4K)(p)
			s, m, shift := b.part((from + i) % 8)
			nibbles(&b.qs[(from+i)%8/2*32], shift, s, m, &dst[i*part])
			continue
		}
		b := (*blockQ6K)(p)
		lo, hi, down, over, d0, d1 := b.part((from + i) % 8)
		sixes(&lo[0], &hi[0], down, over, d0, d1, &dst[i*part])
	}
}

// decodeBlocks converts n blocks of 32 elements, stride bytes apart, to f32.
func decodeBlocks(d DType, n int, src *byte, stride int, dst *float32) {
	switch {
	case d == Q8_0 && !has512:
		simd.Decode8Q8_0(n, src, stride, dst)
	case d == Q4_0 && !has512:
		simd.Decode8Q4_0(n, src, stride, dst)
	case !has512:
		simd.Decode8Q4_1(n, src, stride, dst)
	case d == Q8_0:
		simd.Decode512Q8_0(n, src, stride, dst)
	case d == Q4_0:
		simd.Decode512Q4_0(n, src, stride, dst)
	default:
		simd.Decode512Q4_1(n, src, stride, dst)
	}
}

// decodeGo converts one part in plain Go.
func (d DType) decodeGo(dst *[part]float32, row unsafe.Pointer, i int) {
	switch d {
	case Q8_0:
		b := (*blockQ8)(unsafe.Add(row, i*34))
		s := half2(b.d)
		for j, q := range b.qs {
			dst[j] = s * float32(q)
		}
	case Q4_0:
		b := (*blockQ40)(unsafe.Add(row, i*18))
		s := half2(b.d)
		for j, q := range b.qs {
			dst[j] = s * float32(int(q&15)-8)
			dst[j+16] = s * float32(int(q>>4)-8)
		}
	case Q4_1:
		b := (*blockQ41)(unsafe.Add(row, i*20))
		s, m := half2(b.d), half2(b.m)
		for j, q := range b.qs {
			dst[j] = float32(s*float32(q&15)) + m
			dst[j+16] = float32(s*float32(q>>4)) + m
		}
	case Q4_K:
		b := (*blockQ4K)(unsafe.Add(row, i/8*144))
		s, m, shift := b.part(i % 8)
		for j, q := range b.qs[i%8/2*32:][:part] {
			dst[j] = float32(s*float32(q>>shift&15)) - m
		}
	case Q6_K:
		b := (*blockQ6K)(unsafe.Add(row, i/8*210))
		lo, hi, down, over, d0, d1 := b.part(i % 8)
		for j := range dst {
			q := int(lo[j]>>down&15|hi[j]>>over&3<<4) - 32
			dst[j] = d0 * float32(q)
			if j >= part/2 {
				dst[j] = d1 * float32(q)
			}
		}
	default:
		panic("kernels: " + d.String() + " is not stored in blocks")
	}
}

// The blocks, of bytes only: they may be at any address.
type (
	blockQ8 struct {
		d  [2]byte
		qs [32]int8
	}
	blockQ40 struct {
		d  [2]byte
		qs [16]byte // element j in the low half of byte j, j+16 in the high
	}
	blockQ41 struct {
		d, m [2]byte
		qs   [16]byte
	}
	blockQ4K struct {
		d, m   [2]byte
		scales [12]byte
		qs     [128]byte // parts 2i and 2i+1 in the low and high halves of bytes [32i, 32i+32)
	}
	blockQ6K struct {
		lo     [128]byte
		hi     [64]byte
		scales [16]int8 // one for 16 elements
		d      [2]byte
	}
)

func half2(b [2]byte) float32 { return Half(uint16(b[0]) | uint16(b[1])<<8) }

// part is scale, minimum and shift of part i (GGML's get_scale_min_k4).
func (b *blockQ4K) part(i int) (scale, min float32, shift uint64) {
	var s, m byte
	if i < 4 {
		s, m = b.scales[i]&63, b.scales[i+4]&63
	} else {
		s = b.scales[i+4]&15 | b.scales[i-4]>>6<<4
		m = b.scales[i+4]>>4 | b.scales[i]>>6<<4
	}
	return half2(b.d) * float32(s), half2(b.m) * float32(m), uint64(i%2) * 4
}

// part is where the numbers of part i are, and the scales of its halves.
func (b *blockQ6K) part(i int) (lo, hi *[part]byte, down, over uint64, d0, d1 float32) {
	h, s := i/4, i%4
	lo = (*[part]byte)(b.lo[64*h+32*(s%2):])
	hi = (*[part]byte)(b.hi[32*h:])
	d := half2(b.d)
	return lo, hi, uint64(s/2) * 4, uint64(s) * 2, d * float32(b.scales[8*h+2*s]), d * float32(b.scales[8*h+2*s+1])
}
