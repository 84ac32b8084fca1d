// Package claims holds what files say of the model whose weights they hold: one
// claim for each fact, with its place. It compares claims with what a program
// was compiled for. It must not know how weights are stored, nor where a
// program's own facts come from.
package claims

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Claim is one fact that a file states.
type Claim struct {
	Key   string // of model_config, as theta; for what no key says, that of the file
	Value any    // int, float64, bool or Rope; of a Foreign claim anything
	Place Place

	// Foreign says what the Llama that is compiled has instead, where no key of
	// model_config could say the fact: the claim then always contradicts.
	Foreign string
	// Note says why a fact that is not compared could matter; "" for one that is.
	Note string
	// Shape marks a fact that the shapes of the tensors show. It is compared
	// tensor by tensor elsewhere, and here only taken where nothing else says it.
	Shape bool
}

// Place is where a fact stands.
type Place struct {
	File string
	Line int    // of a text, from 1; 0: unknown
	Name string // the key or tensor in the file
}

func (p Place) String() string {
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d (%s)", p.File, p.Line, p.Name)
	}
	return fmt.Sprintf("%s (%s)", p.File, p.Name)
}

// Facts are what a program is compiled for.
type Facts struct {
	Hidden, FFN, Layers, Heads, KVHeads, Vocab int
	SeqLength                                  int // rows are no longer than that
	Eps, Theta                                 float64
	Method                                     string             // of rotary scaling: none, pi, ntk, yarn or llama3
	Factors                                    map[string]float64 // of the method
	Tied                                       bool               // the head is the embedding
	QKVBias, ProjBias, MLPBias                 bool               // which linears have biases

	BOS, Pad int
	EOS      []int // nil where control tokens are not compared
	Grows    bool  // the vocabulary may be larger than the base's
}

// Difference is a fact that a file and a program tell in two ways.
type Difference struct {
	Claim
	Ours string // what the program is compiled for
}

// Said is what the file says, as people write it.
func (c Claim) Said() string { return Text(c.Value) }

// Text writes a value as the YAML would.
func Text(v any) string {
	switch v := v.(type) {
	case bool:
		if v {
			return "True"
		}
		return "False"
	case float64:
		return number(v)
	case Rope:
		return v.String()
	case Freqs:
		return v.String()
	case IDs:
		return v.String()
	case string:
		return visible(v)
	}
	return visible(fmt.Sprint(v))
}

// visible is a text of a file as a terminal may show it.
func visible(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:57], "") + "…"
	}
	return clean(s)
}

// clean is a text without codes that a terminal would obey.
func clean(s string) string {
	if q := strconv.Quote(s); q != `"`+s+`"` {
		return q
	}
	return s
}

// number writes a float so that YAML 1.1 reads one.
func number(x float64) string {
	s := strconv.FormatFloat(x, 'g', -1, 64)
	if mantissa, exponent, ok := strings.Cut(s, "e"); ok && !strings.Contains(mantissa, ".") {
		s = mantissa + ".0e" + exponent
	}
	return s
}

// Compare lists the claims that differ from the facts, in the order of the claims.
func Compare(f *Facts, list []Claim) []Difference {
	var out []Difference
	added := f.added(list)
	for _, c := range list {
		if c.Note != "" || added(c) {
			continue
		}
		if ours, differs := f.differs(c); differs {
			out = append(out, Difference{c, ours})
		}
	}
	return out
}

// added reports whether a claim does not differ where the vocabulary has grown: about its
// size, and about control tokens of which the base has none.
func (f *Facts) added(list []Claim) func(c Claim) bool {
	rows := math.MaxInt
	for _, c := range list {
		if n := float(c.Value); c.Key == "vocab_size" && f.Grows && c.Note == "" && n < float64(f.Vocab) {
			rows = min(rows, int(n))
		}
	}
	return func(c Claim) bool {
		switch c.Key {
		case "vocab_size":
			return rows < f.Vocab && float(c.Value) < float64(f.Vocab)
		case "bos_token_id":
			return f.BOS >= rows
		case "pad_token_id":
			return f.Pad >= rows
		case "eos_token_id":
			return slices.ContainsFunc(f.EOS, func(id int) bool { return id >= rows })
		}
		return false
	}
}

// differs compares one claim, and says what the program has.
func (f *Facts) differs(c Claim) (ours string, differs bool) {
	if c.Foreign != "" {
		return c.Foreign, true
	}
	if c.IsID() && f.EOS == nil {
		return "", false
	}
	switch v := c.Value.(type) {
	case IDs:
		return IDs(f.EOS).String(), !v.share(f.EOS)
	case Rope:
		mine := f.rope()
		return mine.String(), !mine.same(v, f.SeqLength)
	case Freqs:
		mine := f.freqs()
		return Freqs{List: mine}.String(), !v.of(mine) && !v.of(f.plainFreqs())
	case bool:
		mine, ok := map[string]bool{"tie_word_embeddings": f.Tied, "qkv_has_bias": f.QKVBias, "attn_proj_has_bias": f.ProjBias, "mlp_has_bias": f.MLPBias}[c.Key]
		return Text(mine), ok && v != mine && !c.Shape
	}
	if c.Key == "sliding_window" { // rows that fit into a window do not feel it
		window, _ := c.Value.(int)
		return fmt.Sprintf("attention to all of seq_length %d", f.SeqLength), window > 0 && window < f.SeqLength
	}
	mine, ok := f.number(c.Key)
	if !ok || c.Shape {
		return "", false
	}
	theirs := float(c.Value)
	return number(mine), !near(mine, theirs)
}

// number is a fact of the program that is a number.
func (f *Facts) number(key string) (float64, bool) {
	switch key {
	case "hidden_size":
		return float64(f.Hidden), true
	case "intermediate_size":
		return float64(f.FFN), true
	case "num_layers":
		return float64(f.Layers), true
	case "num_heads":
		return float64(f.Heads), true
	case "n_kv_heads":
		return float64(f.KVHeads), true
	case "head_dim":
		if f.Heads == 0 {
			return 0, false
		}
		return float64(f.Hidden / f.Heads), true
	case "vocab_size":
		return float64(f.Vocab), true
	case "rms_norm_eps":
		return f.Eps, true
	case "bos_token_id":
		return float64(f.BOS), true
	case "pad_token_id":
		return float64(f.Pad), true
	case "theta":
		if f.Method == "ntk" { // which multiplies the base of the rotary frequencies
			return f.Theta * f.Factors["factor"], true
		}
		return f.Theta, true
	}
	return 0, false
}

func float(v any) float64 {
	switch v := v.(type) {
	case int:
		return float64(v)
	case float64:
		return v
	}
	return math.NaN()
}

// near reports whether two numbers are one, as far as an f32 can say.
func near(a, b float64) bool {
	return a == b || math.Abs(a-b) <= 1e-6*math.Max(math.Abs(a), math.Abs(b))
}

// Agree finds claims about one key that contradict each other, or tables of rotary
// frequencies that contradict what they follow from.
func Agree(list []Claim) (a, b Claim, ok bool) {
	var f Facts
	var theta, table *Claim
	for i, c := range list {
		switch v := c.Value.(type) {
		case Rope:
			f.Method, f.Factors = v.Method, v.Factors
			if v.Method == "linear" {
				f.Method = "pi"
			}
		case Freqs:
			table = &list[i]
			f.Hidden, f.Heads = 2*len(v.List), 1
		case float64:
			if c.Key == "theta" && c.compared() && theta == nil {
				theta, f.Theta = &list[i], v
			}
		}
	}
	if theta != nil && table != nil {
		if _, differs := f.differs(*table); differs {
			return *table, *theta, false
		}
	}
	for i, a := range list {
		for _, b := range list[i+1:] {
			if a.Key == b.Key && a.compared() && b.compared() && !same(a.Value, b.Value) {
				return a, b, false
			}
		}
	}
	return Claim{}, Claim{}, true
}

// compared reports whether a claim is about a key that both sides can say.
func (c Claim) compared() bool {
	return c.Foreign == "" && c.Note == "" && c.Key != "max_position_embeddings" && c.Key != padding // of which Notes tells
}

func same(a, b any) bool {
	x, ok1 := a.(Rope)
	y, ok2 := b.(Rope)
	if p, ok := a.(IDs); ok {
		q, ok := b.(IDs)
		return ok && p.share(q)
	}
	if p, ok := a.(Freqs); ok {
		q, ok := b.(Freqs)
		return ok && p.of(q.List)
	}
	switch {
	case ok1 && ok2:
		return x.same(y, 0)
	case fmt.Sprintf("%T", a) == "bool":
		return a == b
	}
	return near(float(a), float(b))
}

// Settings are the keys of model_config, with values as a command line gives
// them, that make a program agree with a claim; none where no key can.
func (c Claim) Settings(seqLength int) (keys, values []string) {
	if !c.compared() || slices.Contains([]string{"head_dim", "sliding_window", "inv_freq"}, c.Key) {
		return nil, nil
	}
	if r, ok := c.Value.(Rope); ok {
		return r.settings(seqLength)
	}
	return []string{c.Key}, []string{Text(c.Value)}
}
