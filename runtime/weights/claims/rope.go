package claims

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Rope is how rotary frequencies are scaled.
type Rope struct {
	Method  string             // none, linear, dynamic, yarn or llama3; others are Foreign claims
	Factors map[string]float64 // factor, original_max_position_embeddings, …
}

// names are the values of extend_method.
var names = map[string]string{"none": "None", "linear": "PI", "yarn": "YARN", "llama3": "LLAMA3"}

// fields are those that decide the frequencies of a method. Those of yarn that
// give its amplitude are compared as that.
var fields = map[string][]string{
	"linear": {"factor"},
	"yarn":   {"factor", "beta_fast", "beta_slow", "original_max_position_embeddings"},
	"llama3": {"factor", "low_freq_factor", "high_freq_factor", "original_max_position_embeddings"},
}

func (r Rope) String() string {
	if r.Method == "none" || r.Method == "" {
		return "no scaling"
	}
	parts := []string{r.Method}
	for _, k := range slices.Sorted(maps.Keys(r.Factors)) {
		parts = append(parts, fmt.Sprintf("%s %s", k, number(r.Factors[k])))
	}
	return strings.Join(parts, ", ")
}

// rope is the scaling of a program in the words of files.
func (f *Facts) rope() Rope {
	switch f.Method {
	case "pi":
		if f.Factors["factor"] != 1 {
			return Rope{"linear", f.Factors}
		}
	case "yarn", "llama3":
		return Rope{f.Method, f.Factors}
	}
	return Rope{Method: "none"} // ntk is part of theta
}

// same reports whether two scalings give the same frequencies to rows of
// seqLength; 0: of any length.
func (r Rope) same(o Rope, seqLength int) bool {
	r, o = r.short(seqLength), o.short(seqLength)
	if r.Method != o.Method {
		return false
	}
	for _, k := range fields[r.Method] {
		if !near(r.Factors[k], o.Factors[k]) {
			return false
		}
	}
	if r.Method == "dynamic" {
		return maps.Equal(r.Factors, o.Factors)
	}
	return r.Method != "yarn" || near(r.amplitude(), o.amplitude())
}

// short is none for the dynamic scaling of rows that are no longer than those
// the model was trained with, as transformers has it.
func (r Rope) short(seqLength int) Rope {
	if r.Method == "dynamic" && seqLength > 0 && float64(seqLength) <= r.Factors["original_max_position_embeddings"] {
		return Rope{Method: "none"}
	}
	if r.Method == "" {
		r.Method = "none"
	}
	return r
}

// amplitude is what yarn multiplies cosines and sines by.
func (r Rope) amplitude() float64 {
	m := func(a float64) float64 {
		if r.Factors["factor"] <= 1 {
			return 1
		}
		return 0.1*a*math.Log(r.Factors["factor"]) + 1
	}
	return m(r.Factors["mscale"]) / m(r.Factors["mscale_all_dim"])
}

// settings are extend_method and scaling_factor.
func (r Rope) settings(seqLength int) (keys, values []string) {
	r = r.short(seqLength)
	name, ok := names[r.Method]
	if !ok {
		return nil, nil
	}
	keys, values = []string{"extend_method"}, []string{name}
	switch r.Method {
	case "linear":
		return append(keys, "scaling_factor"), append(values, number(r.Factors["factor"]))
	case "yarn", "llama3":
		var parts []string
		for _, k := range slices.Sorted(maps.Keys(r.Factors)) {
			parts = append(parts, k+": "+number(r.Factors[k]))
		}
		return append(keys, "scaling_factor"), append(values, "{"+strings.Join(parts, ", ")+"}")
	}
	return keys, values
}

// Llama3 are the factors that the llama3 method divides each frequency by, for
// heads of headDim rows.
func Llama3(headDim int, theta float64, f map[string]float64) []float64 {
	out := make([]float64, headDim/2)
	low, high, old, factor := f["low_freq_factor"], f["high_freq_factor"], f["original_max_position_embeddings"], f["factor"]
	for i := range out {
		wave := 2 * math.Pi * math.Pow(theta, 2*float64(i)/float64(headDim))
		switch {
		case wave < old/high:
			out[i] = 1
		case wave > old/low:
			out[i] = factor
		default:
			smooth := (old/wave - low) / (high - low)
			out[i] = 1 / ((1-smooth)/factor + smooth)
		}
	}
	return out
}
