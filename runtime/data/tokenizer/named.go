package tokenizer

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ByteVocabulary is a byte-level vocabulary as GGUF lists it: pieces in the alphabet of
// GPT-2, the pairs that join, and the name of the way in which text is cut into words.
type ByteVocabulary struct {
	Texts    []string
	Kinds    []int    // SentencePiece.Type of each
	Merges   []string // "left right", the first joins first
	Pre      string   // tokenizer.ggml.pre
	BOS, EOS int      // ids, below 0 for none
	PAD      int

	AddBOS, AddEOS *bool // whether a text begins and ends with them; nil: nothing says it
}

// Patterns by which models of Llama's family cut words. Where llama.cpp writes one in
// another way than the model's tokenizer.json, it is llama.cpp's.
const (
	contractions = `(?:'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD])`
	llama3       = `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`
	qwen2        = `|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`

	// Cased letters, as of Unicode 12, without those of Georgian and Cherokee that came to be cased.
	cased = "\\s?[A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373\u0376\u0377\u037b-\u037d" +
		"\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd" +
		"\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59" +
		"\u1f5b\u1f5d\u1f5f-\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec\u1ff2-\u1ff4" +
		"\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-\u2134\u2139\u213c-\u213f\u2145-\u2149" +
		"\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e" +
		"\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80" +
		"-\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943]+"

	// From U+0800 on, and Hangul. llama.cpp takes all spaces for one control character
	// before it compares: they are in no such class, though the model's own has them.
	cjk = "[\u0800-\u167f\u1681-\u1fff\u200b-\u2027\u202a-\u202e\u2030-\u205e\u2060-\u2fff\u3001-\u9fa5\uac00-\ud7ff]+"
)

// cutting is a way in which words are cut.
type cutting struct {
	names    []string // in GGUF, the one that lorac writes first
	patterns []string // one after the other
	whole    bool     // a word that is a piece is not split at all
}

var cuttings = []cutting{
	{[]string{"llama-bpe", "llama3", "llama-v3"}, []string{contractions + llama3}, true},
	{[]string{"smollm"}, []string{`\p{N}`, gpt2}, false},
	{[]string{"qwen2", "deepseek-r1-qwen"}, []string{contractions + qwen2}, false},
	{[]string{"gpt-2"}, []string{gpt2}, false},
	{[]string{"deepseek-llm"}, []string{`[\r\n]`, cased, "\\s?[!-/:-~\uff01-\uff0f\uff1a-\uff5e\u2018-\u201f\u3001\u3002]+", `\s+$`, cjk, `\p{N}+`}, false},
	{[]string{"deepseek-coder"}, []string{`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, cjk, `\p{N}`}, false},
	{[]string{"deepseek-v3"}, []string{`\p{N}{1,3}`, "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
		"[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"}, false},
}

func cuttingOf(name string) (cutting, error) {
	var known []string
	for _, c := range cuttings {
		if slices.Contains(c.names, name) {
			return c, nil
		}
		known = append(known, c.names...)
	}
	if name == "" {
		return cutting{}, fmt.Errorf("it does not say how it cuts words (tokenizer.ggml.pre); known are %s", strings.Join(known, ", "))
	}
	return cutting{}, fmt.Errorf("it cuts words in a way called %q (tokenizer.ggml.pre), which is not supported; known are %s", name, strings.Join(known, ", "))
}

func (c cutting) level() *byteLevel {
	l := &byteLevel{}
	for _, p := range c.patterns {
		l.cuts = append(l.cuts, mustPattern(p))
	}
	return l
}

// FromByteVocabulary makes the tokenizer of a byte-level vocabulary. A byte without a
// piece is left out of texts, and does not join what is around it, as in llama.cpp.
func FromByteVocabulary(v ByteVocabulary) (*Tokenizer, error) {
	if len(v.Texts) == 0 || len(v.Kinds) != len(v.Texts) {
		return nil, fmt.Errorf("it lists %d pieces and %d kinds", len(v.Texts), len(v.Kinds))
	}
	if len(v.Merges) == 0 {
		return nil, errors.New("it is byte-level and lists no merges")
	}
	c, err := cuttingOf(v.Pre)
	if err != nil {
		return nil, err
	}
	t := &Tokenizer{unk: -1, bos: -1, eos: -1, pad: -1, wholeWords: c.whole, level: c.level()}
	t.norm.keepSpaces = true
	model := hfModelPart{Vocab: make(map[string]int64, len(v.Texts)), Merges: make([]hfMerge, 0, len(v.Merges))}
	var added []hfAdded
	for i, text := range v.Texts {
		k := kind(v.Kinds[i])
		if v.Kinds[i] < int(normal) || v.Kinds[i] > int(byteValue) {
			return nil, fmt.Errorf("piece %d has the unknown type %d", i, v.Kinds[i])
		}
		if text == "" {
			return nil, fmt.Errorf("piece %d is empty", i)
		}
		if was, twice := model.Vocab[text]; twice {
			return nil, fmt.Errorf("the piece %q is duplicated: %d and %d", text, was, i)
		}
		model.Vocab[text] = int64(i)
		switch k {
		case byteValue:
			k = normal // pieces are in the alphabet; <0x0A> is no byte here
		case unknown, control, userDefined:
			added = append(added, hfAdded{ID: int64(i), Content: text, Special: k != userDefined})
		}
		t.pieces = append(t.pieces, piece{text, k})
	}
	seen := make(map[hfMerge]bool, len(v.Merges))
	for i, m := range v.Merges {
		at := strings.IndexByte(m[min(1, len(m)):], ' ') + 1 // the left piece has a character
		if at == 0 {
			return nil, fmt.Errorf("merge %d, %q, is not a pair", i+1, m)
		}
		pair := hfMerge{m[:at], m[at+1:]}
		if !seen[pair] { // the first one counts
			seen[pair] = true
			model.Merges = append(model.Merges, pair)
		}
	}
	if err := t.setMerges(&model); err != nil {
		return nil, err
	}
	for _, r := range []struct {
		name string
		id   int
		to   *int32
	}{{"BOS", v.BOS, &t.bos}, {"EOS", v.EOS, &t.eos}, {"padding", v.PAD, &t.pad}} {
		if r.id >= len(t.pieces) {
			return nil, fmt.Errorf("%s has the id %d; there are %d pieces", r.name, r.id, len(t.pieces))
		}
		*r.to = int32(max(r.id, -1))
	}
	if err := t.finish(); err != nil {
		return nil, err
	}
	t.setAdded(added)
	t.adds = [2]*bool{v.AddBOS, v.AddEOS}
	return t, nil
}
