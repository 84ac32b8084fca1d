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
	cased = `\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-` +
		`ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-` +
		`ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+`
	cjk = "[一-龥\u0800-一가-\ud7ff]+"
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
	{[]string{"deepseek-llm"}, []string{`[\r\n]`, cased, `\s?[!-/:-~！-／：-～‘-‟　-。]+`, `\s+$`, cjk, `\p{N}+`}, false},
	{[]string{"deepseek-coder"}, []string{`[\r\n]`, `\s?\p{L}+`, `\s?\p{P}+`, cjk, `\p{N}`}, false},
	{[]string{"deepseek-v3"}, []string{`\p{N}{1,3}`, `[一-龥぀-ゟ゠-ヿ]+`,
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
