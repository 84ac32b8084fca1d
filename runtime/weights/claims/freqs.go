package claims

import (
	"fmt"
	"math"
)

// Freqs is a table of rotary frequencies, one for each pair of a head, as checkpoints of
// older programs hold it: rotary_emb.inv_freq.
type Freqs struct {
	List  []float64
	DType string // of the file; "" exact
}

// Theta is the base of the frequencies of a table that nothing scales; 0 if it is not
// such a table.
func (t Freqs) Theta() float64 {
	n := len(t.List)
	if n < 2 || !(t.List[n-1] > 0) {
		return 0
	}
	theta := math.Pow(t.List[n-1], -float64(n)/float64(n-1))
	if rounded := math.Round(theta); math.Abs(rounded-theta) < 1e-2*theta {
		for unit := 1e6; unit >= 1; unit /= 10 { // 10000, where rounding left 9998
			if r := math.Round(theta/unit) * unit; r > 0 && t.of(unscaled(n, r)) {
				return r
			}
		}
	}
	if t.of(unscaled(n, theta)) {
		return theta
	}
	return 0
}

func (t Freqs) String() string {
	n := len(t.List)
	if n == 0 {
		return "no frequencies"
	}
	if theta := t.Theta(); theta != 0 {
		return fmt.Sprintf("%d frequencies of theta %s", n, number(theta))
	}
	return fmt.Sprintf("%d frequencies from %.4g to %.4g", n, t.List[0], t.List[n-1])
}

// of reports whether frequencies are those of the table, as its type rounds them.
func (t Freqs) of(list []float64) bool {
	relative, least := 1e-4, 0.0
	switch t.DType {
	case "BF16":
		relative = 1.0 / 128
	case "F16":
		relative, least = 1.0/1024, 6e-8
	}
	if len(list) != len(t.List) {
		return false
	}
	for i, x := range t.List {
		if !(math.Abs(x-list[i]) <= relative*math.Abs(list[i])+least) {
			return false
		}
	}
	return true
}

// unscaled are the frequencies of a base, for heads of 2n rows.
func unscaled(n int, theta float64) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = math.Pow(theta, -float64(i)/float64(n))
	}
	return out
}

// plainFreqs are those of a program before they are scaled, as programs that scale
// positions store them.
func (f *Facts) plainFreqs() []float64 {
	return unscaled(f.Hidden/max(f.Heads, 1)/2, f.Theta)
}

// freqs are those of a program.
func (f *Facts) freqs() []float64 {
	out := f.plainFreqs()
	n := len(out)
	switch f.Method {
	case "pi":
		for i := range out {
			out[i] /= f.Factors["factor"]
		}
	case "ntk":
		return unscaled(n, f.Theta*f.Factors["factor"])
	case "llama3":
		for i, divisor := range Llama3(2*n, f.Theta, f.Factors) {
			out[i] /= divisor
		}
	case "yarn":
		// transformers' _compute_yarn_parameters
		at := func(turns float64) float64 {
			return float64(2*n) * math.Log(f.Factors["original_max_position_embeddings"]/(turns*2*math.Pi)) / (2 * math.Log(f.Theta))
		}
		low, high := max(math.Floor(at(f.Factors["beta_fast"])), 0), min(math.Ceil(at(f.Factors["beta_slow"])), float64(2*n-1))
		if low == high {
			high += 0.001
		}
		for i := range out {
			ramp := min(max((float64(i)-low)/(high-low), 0), 1)
			out[i] = out[i]/f.Factors["factor"]*ramp + out[i]*(1-ramp)
		}
	}
	return out
}
