package kernels

import (
	"math"
	"unsafe"

	"lorac/kernels/simd"
)

// The inner loops of products in eight bits, each with its plain twin.

// maxAbs is the largest absolute value of x, or of x·mul, written to y, unless
// mul is nil; NaN when one of them is NaN.
func maxAbs(x, mul, y []float32) float32 {
	if len(x) == 0 {
		return 0
	}
	if has512 && mul != nil {
		return simd.MaxAbs512(&y[0], &x[0], &mul[0], len(x))
	}
	if has512 {
		return simd.MaxAbs512(nil, &x[0], nil, len(x))
	}
	if has8 && len(x) >= 8 {
		if mul != nil {
			mulRow(y[:len(x)], x, mul)
			x = y[:len(x)]
		}
		done := eights(len(x))
		return largerAbs(simd.MaxAbs8(&x[0], done), maxAbsGo(x[done:], nil, nil))
	}
	return maxAbsGo(x, mul, y)
}

// largerAbs is the larger of two absolute values, NaN if one of them is.
func largerAbs(a, b float32) float32 {
	return math.Float32frombits(max(math.Float32bits(a), math.Float32bits(b)))
}

func maxAbsGo(x, mul, y []float32) float32 {
	top := uint32(0) // as integers, NaN is above all numbers
	for i, v := range x {
		if mul != nil {
			v *= mul[i]
			y[i] = v
		}
		top = max(top, math.Float32bits(v)&0x7FFFFFFF)
	}
	return math.Float32frombits(top)
}

// roundBytes: q = x·by to the nearest integer within ±127, ties to even, xor
// flip. NaN becomes some byte.
func roundBytes(q []byte, x []float32, by float32, flip byte) {
	if len(x) == 0 {
		return
	}
	if has512 {
		simd.RoundBytes512(&q[0], &x[0], len(x), by, uint64(flip))
		return
	}
	done := 0
	if has8 && len(x) >= 8 {
		done = eights(len(x))
		simd.RoundBytes8(&q[0], &x[0], done, by, uint64(flip))
	}
	roundBytesGo(q[done:], x[done:], by, flip)
}

func roundBytesGo(q []byte, x []float32, by float32, flip byte) {
	for i, v := range x {
		f := math.RoundToEven(float64(v * by))
		n := -127 // as the instruction makes of NaN and of what is too large
		if math.Abs(f) < 1<<31 {
			n = max(-127, min(127, int(f)))
		}
		q[i] = byte(n) ^ flip
	}
}

// signed8 reports whether bytes are multiplied as they are; elsewhere 128 is added to
// those of A.
func signed8() bool { return hasDot || has8 && !hasNEON && !(has512 && hasVNNI) }

// flip8 makes of a byte of A what is multiplied.
func flip8() byte {
	if signed8() {
		return 0
	}
	return 128
}

// bias8: bias = -128·(sums of the columns of a panel), where 128 was added.
func bias8(quads int, panel []float32, bias *[colsB8]int32) {
	if has512 && hasVNNI {
		simd.Int8Bias512(quads, (*byte)(unsafe.Pointer(&panel[0])), &bias[0])
		return
	}
	if !signed8() {
		bias8Go(quads, panel, bias)
	}
}

func bias8Go(quads int, panel []float32, bias *[colsB8]int32) {
	*bias = [colsB8]int32{}
	b := unsafe.Slice((*int8)(unsafe.Pointer(&panel[0])), quads*4*colsB8)
	for i, v := range b {
		bias[i/4%colsB8] -= 128 * int32(v)
	}
}

// tile8 multiplies a panel of r rows of A with one of B's, into n columns of c:
// c (+)= (a·b + bias)·scaleB·scaleA.
func tile8(r, quads int, a, b []float32, bias *[colsB8]int32, scaleB *[colsB8]float32, scaleA, c []float32, ldc, n int, acc bool, h hint) {
	if signed8() {
		tile8Signed(r, quads, a, b, scaleB, scaleA, c, ldc, n, acc)
		return
	}
	if !has512 || !hasVNNI {
		tile8Go(r, quads, a, b, bias, scaleB, scaleA, c, ldc, n, acc)
		return
	}
	pa, pb := (*byte)(unsafe.Pointer(&a[0])), (*byte)(unsafe.Pointer(&b[0]))
	h = h.orElse(&a[0])
	simd.Int8Tiles512[r](quads, pa, pb, &bias[0], &scaleB[0], &scaleA[0], &c[0], ldc*4, 1<<n-1, flagOf(acc), h.addr, h.step)
}

// tile8Signed is tile8 in tiles of few rows and 16 columns.
func tile8Signed(r, quads int, a, b []float32, scaleB *[colsB8]float32, scaleA, c []float32, ldc, n int, acc bool) {
	var t [6 * 16]float32
	local := noescape(&t[0])
	most := 6
	if !hasNEON {
		most = 5
	}
	parts := (r + most - 1) / most
	for p := range parts {
		i, end := r*p/parts, r*(p+1)/parts
		run := simd.Int8Tiles8[end-i]
		pa := (*byte)(unsafe.Pointer(&a[i]))
		for j := 0; j < n; j += 16 {
			pb := (*byte)(unsafe.Pointer(&b[j]))
			if n-j >= 16 {
				run(quads, pa, r*4, pb, &scaleB[j], &scaleA[i], &c[i*ldc+j], ldc*4, flagOf(acc))
				continue
			}
			run(quads, pa, r*4, pb, &scaleB[j], &scaleA[i], local, 64, 0)
			for s := i; s < end; s++ {
				put(c[s*ldc+j:s*ldc+n], t[(s-i)*16:], acc)
			}
		}
	}
}

func tile8Go(r, quads int, a, b []float32, bias *[colsB8]int32, scaleB *[colsB8]float32, scaleA, c []float32, ldc, n int, acc bool) {
	pa := unsafe.Slice((*uint8)(unsafe.Pointer(&a[0])), quads*r*4)
	pb := unsafe.Slice((*int8)(unsafe.Pointer(&b[0])), quads*colsB8*4)
	for i := range r {
		sums := *bias
		for k := range quads {
			x := pa[(k*r+i)*4:][:4]
			row := pb[k*colsB8*4:][:colsB8*4]
			for j := range sums {
				w := row[j*4:][:4]
				sums[j] += int32(x[0])*int32(w[0]) + int32(x[1])*int32(w[1]) + int32(x[2])*int32(w[2]) + int32(x[3])*int32(w[3])
			}
		}
		for j := range n {
			v := float32(float32(float32(sums[j])*scaleB[j]) * scaleA[i])
			if acc {
				v += c[i*ldc+j]
			}
			c[i*ldc+j] = v
		}
	}
}
