package kernels

import (
	"math"

	"lorac/kernels/simd"
)

// RopeSpec says which angles a rotary table holds (Su et al. 2021; the extend
// methods as MindFormers r1.3 modules/layers.py, FreqsMgr, computes them).
type RopeSpec struct {
	HeadDim int
	Theta   float64
	Method  string // none, pi, ntk, yarn or llama3
	Factor  float64

	LowFreqFactor, HighFreqFactor, OriginalMax float64 // llama3; OriginalMax also yarn
	BetaFast, BetaSlow, MScale, MScaleAllDim   float64 // yarn
}

// RopeTable fills cos and sin, [positions, HeadDim/2], in f64 arithmetic.
func RopeTable(cos, sin Mat, s RopeSpec) {
	check(cos.Cols == s.HeadDim/2 && sin.Cols == cos.Cols && sin.Rows == cos.Rows, "rope table", cos, sin)
	freq, amp := s.frequencies()
	step := 1.0
	if s.Method == "pi" {
		step = 1 / s.Factor
	}
	for p := range cos.Rows {
		for i, f := range freq {
			a := float64(p) * step * f
			cos.Row(p)[i], sin.Row(p)[i] = float32(math.Cos(a)*amp), float32(math.Sin(a)*amp)
		}
	}
}

func (s RopeSpec) frequencies() (freq []float64, amp float64) {
	theta := s.Theta
	if s.Method == "ntk" {
		theta *= s.Factor
	}
	d := float64(s.HeadDim)
	freq = make([]float64, s.HeadDim/2)
	for i := range freq {
		freq[i] = math.Pow(theta, -2*float64(i)/d)
	}
	switch s.Method {
	case "llama3":
		for i, f := range freq {
			wave := 2 * math.Pi / f
			switch {
			case wave < s.OriginalMax/s.HighFreqFactor:
			case wave > s.OriginalMax/s.LowFreqFactor:
				freq[i] = f / s.Factor
			default:
				t := (s.OriginalMax/wave - s.LowFreqFactor) / (s.HighFreqFactor - s.LowFreqFactor)
				freq[i] = (1-t)*f/s.Factor + t*f
			}
		}
	case "yarn":
		corr := func(r float64) float64 {
			return d * math.Log(s.OriginalMax/(2*math.Pi*r)) / (2 * math.Log(theta))
		}
		low := math.Max(math.Floor(corr(s.BetaFast)), 0)
		high := math.Min(math.Ceil(corr(s.BetaSlow)), d-1)
		if low == high {
			high += 0.001
		}
		for i, f := range freq {
			t := math.Min(math.Max((float64(i)-low)/(high-low), 0), 1)
			freq[i] = f/s.Factor*t + f*(1-t)
		}
		ms := func(a float64) float64 {
			if s.Factor <= 1 {
				return 1
			}
			return 0.1*a*math.Log(s.Factor) + 1
		}
		return freq, ms(s.MScale) / ms(s.MScaleAllDim)
	}
	return freq, 1
}

// Rope rotates the pairs (j, j+headDim/2) of every head of row i by the angles
// of position pos[i], rows of cos and sin [positions, headDim/2]; y may be x.
func (c *Context) Rope(y, x Mat, pos Ints, cos, sin Mat, headDim int) {
	c.rope(y, x, pos, cos, sin, headDim, 1)
}

// RopeGrad rotates back; it is the gradient of Rope.
func (c *Context) RopeGrad(dx, d Mat, pos Ints, cos, sin Mat, headDim int) {
	c.rope(dx, d, pos, cos, sin, headDim, -1)
}

func (c *Context) rope(y, x Mat, pos []int32, cos, sin Mat, headDim int, sign float32) {
	check(len(pos) == x.Rows && headDim > 0 && x.Cols%headDim == 0 && cos.Cols == headDim/2, "rope", y, x, len(pos), headDim, cos)
	half := headDim / 2
	c.eachRow("rope", y, func(i int) {
		c, s := cos.Row(int(pos[i])), sin.Row(int(pos[i]))
		in, out := x.Row(i), y.Row(i)
		if has512 && half > 0 && len(in) > 0 {
			simd.Rope512(&out[0], &in[0], &c[0], &s[0], half, len(in)/headDim, sign)
			return
		}
		if has8 && half > 0 && half%8 == 0 && len(in) > 0 {
			simd.Rope8(&out[0], &in[0], &c[0], &s[0], half, len(in)/headDim, sign)
			return
		}
		for h := 0; h < len(in); h += headDim {
			a, b := in[h:h+half:h+half], in[h+half:h+headDim:h+headDim]
			p, q := out[h:h+half:h+half], out[h+half:h+headDim:h+headDim]
			for j := range p {
				u, v, t := a[j], b[j], sign*s[j]
				p[j], q[j] = float32(u*c[j])-float32(v*t), float32(v*c[j])+float32(u*t)
			}
		}
	}, x)
}
