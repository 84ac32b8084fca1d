package ascend_test

import (
	"encoding/binary"
	"math"
)

// corpusValues gives what the correct kernels of the corpus leave in y; 0 after that.
var corpusValues = map[string]func(x []byte) []float64{
	"ok_queues":  func(x []byte) []float64 { return mapped(x, 4096, func(v float64) float64 { return 2 * v }) },
	"ok_flags":   func(x []byte) []float64 { return mapped(x, 4096, func(v float64) float64 { return 2 * v }) },
	"ok_copy":    func(x []byte) []float64 { return numbers(x, 4096) },
	"ok_counter": func(x []byte) []float64 { return mapped(x, 1024, func(v float64) float64 { return 2 * v }) },
	"ok_choice":  func(x []byte) []float64 { return mapped(x, 1024, func(v float64) float64 { return max(v, 0) }) },
	"ok_casts":   func(x []byte) []float64 { return numbers(x, 1024) },
	"ok_global":  func(x []byte) []float64 { return mapped(x, 1024, func(v float64) float64 { return 2 * v }) },
	"ok_atomic":  func(x []byte) []float64 { return mapped(x, 1024, func(v float64) float64 { return 2 * v }) },
	"ok_scalar":  func(x []byte) []float64 { v := numbers(x, 2); return []float64{v[0] + v[1]} },
	"ok_tail": func(x []byte) []float64 {
		s := 0.0
		for _, v := range numbers(x, 13) {
			s += v
		}
		return []float64{s, s}
	},
	"ok_masks": func(x []byte) []float64 {
		v := numbers(x, 1024)
		for i := 0; i < len(v); i += 2 {
			v[i] *= 2
		}
		return v
	},
	"ok_gather": func(x []byte) []float64 {
		v, w := numbers(x, 1024), make([]float64, 1024)
		for i := range w {
			w[i] = v[1023-i]
		}
		return w
	},
	"ok_broadcast": func(x []byte) []float64 {
		v, w := numbers(x, 16), make([]float64, 1024)
		for i := range w {
			w[i] = v[i/64]
		}
		return w
	},
	"ok_product": func(x []byte) []float64 { // C = A·Aᵀ of 30 rows, and as much again, and all of it once more
		var a [32][32]float64
		for i := range 30 {
			for k := range 32 {
				a[i][k] = half(binary.LittleEndian.Uint16(x[2*(32*i+k):]))
			}
		}
		w := make([]float64, 1024)
		for i := range 32 {
			for j := range 32 {
				for k := range 32 {
					w[32*i+j] += 4 * a[i][k] * a[j][k]
				}
			}
		}
		return w
	},
	"ok_integers": func(x []byte) []float64 {
		w := make([]float64, 64)
		for n := range w {
			i := binary.LittleEndian.Uint32(x[4*n:])
			t := i*0x7feb352d + 12345
			r := t * i
			w[n] = float64(math.Float32frombits((^(t>>7)&r | i) << 3))
		}
		return w
	},
	"ok_functions": func(x []byte) []float64 {
		var w []float64
		for _, f := range []func(v float64) float64{
			math.Exp,
			func(v float64) float64 { return math.Log(1 + math.Abs(v)) },
			func(v float64) float64 { return math.Sqrt(math.Abs(v)) },
			func(v float64) float64 { return 1 / (2 + math.Abs(v)) },
			func(v float64) float64 { return max(v, 1) },
			func(v float64) float64 { return min(v, 1) },
			func(v float64) float64 { return max(v, 0) },
			func(v float64) float64 { return 3 + v*math.Abs(v) },
		} {
			w = append(w, mapped(x, 64, f)...)
		}
		return w
	},
	"ok_reductions": func(x []byte) []float64 {
		v, w := numbers(x, 64), make([]float64, 160)
		at := 0
		for i := range v {
			if v[i] > v[at] {
				at = i
			}
			w[8+i/8] += v[i]
			w[64+i/2] += v[i]
			if i%2 == 1 {
				w[128+i/2] = v[i]
			}
		}
		w[0], w[1] = v[at], float64(math.Float32frombits(uint32(at)))
		for i := range 8 { // the first eight results as integers
			w[32+i] = float64(int32(math.Float32bits(float32(w[i]))))
		}
		return w
	},
	"ok_rounding": func(x []byte) []float64 {
		var w []float64
		seventh := float64(float32(1.0 / 7))
		v := mapped(x, 64, func(v float64) float64 { return float64(float32(v * seventh)) })
		for mode := range 6 {
			for _, f := range v {
				w = append(w, toHalf(f, mode))
			}
		}
		for _, round := range []func(float64) float64{math.RoundToEven, math.Floor, math.Ceil, math.Round, math.Trunc} {
			for _, f := range v {
				w = append(w, round(f))
			}
		}
		return w
	},
}

func numbers(x []byte, n int) []float64 {
	return mapped(x, n, func(v float64) float64 { return v })
}

func mapped(x []byte, n int, f func(v float64) float64) []float64 {
	w := make([]float64, n)
	for i := range w {
		w[i] = f(float64(math.Float32frombits(binary.LittleEndian.Uint32(x[4*i:]))))
	}
	return w
}

// half is the value of 16 bits: 1 sign, 5 exponent, 10 mantissa.
func half(b uint16) float64 {
	e, m := int(b>>10&31), float64(b&1023)
	v := math.Ldexp(1024+m, e-25)
	if e == 0 {
		v = math.Ldexp(m, -24)
	}
	if b>>15 == 1 {
		v = -v
	}
	return v
}

// toHalf rounds a number of half's normal range by a mode of Cast: rint, floor, ceil,
// round, trunc, odd.
func toHalf(f float64, mode int) float64 {
	if f == 0 {
		return f
	}
	_, e := math.Frexp(f)
	unit := math.Ldexp(1, e-11)
	q := f / unit
	switch mode {
	case 0:
		q = math.RoundToEven(q)
	case 1:
		q = math.Floor(q)
	case 2:
		q = math.Ceil(q)
	case 3:
		q = math.Round(q)
	case 4:
		q = math.Trunc(q)
	case 5:
		if t := math.Trunc(q); t != q && math.Mod(t, 2) == 0 {
			q = t + math.Copysign(1, q)
		} else {
			q = t
		}
	}
	return q * unit
}
