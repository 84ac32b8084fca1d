package tokenizer

import (
	"slices"
	"strings"
	"testing"
)

func byteVocabulary() ByteVocabulary {
	return ByteVocabulary{
		Texts: []string{"a", "b", "ab", "Ġ", "Ġab", "<|end|>", "!", "!!"}, Kinds: []int{1, 1, 1, 1, 1, 3, 1, 1},
		Merges: []string{"a b", "Ġ ab", "! !"}, Pre: "smollm", BOS: 5, EOS: 5, PAD: -1,
	}
}

// A byte without a piece is left out; what is around it does not join, as in llama.cpp.
func TestFromByteVocabulary(t *testing.T) {
	tok, err := FromByteVocabulary(byteVocabulary())
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("ab ab<|end|>!\x01!!"); !slices.Equal(got, []int32{2, 4, 5, 6, 7}) {
		t.Errorf("ids %v", got)
	}
	if got := tok.Decode([]int32{2, 4, 7, 5}); got != "ab ab!!" {
		t.Errorf("decoded %q", got)
	}
	if tok.BOS() != 5 || tok.EOS() != 5 || tok.PAD() != -1 || len(tok.Notes()) != 1 {
		t.Errorf("bos %d, eos %d, pad %d, notes %q", tok.BOS(), tok.EOS(), tok.PAD(), tok.Notes())
	}
	for words, change := range map[string]func(v *ByteVocabulary){
		`"default"`:      func(v *ByteVocabulary) { v.Pre = "default" },
		"no merges":      func(v *ByteVocabulary) { v.Merges = nil },
		"not a pair":     func(v *ByteVocabulary) { v.Merges[0] = "ab" },
		"merge 1":        func(v *ByteVocabulary) { v.Merges[0] = "a a" },
		"is duplicated":  func(v *ByteVocabulary) { v.Texts[1] = "a" },
		"is empty":       func(v *ByteVocabulary) { v.Texts[1] = "" },
		"unknown type 9": func(v *ByteVocabulary) { v.Kinds[1] = 9 },
		"kinds":          func(v *ByteVocabulary) { v.Kinds = v.Kinds[1:] },
		"EOS has the id": func(v *ByteVocabulary) { v.EOS = 8 },
	} {
		v := byteVocabulary()
		change(&v)
		if _, err := FromByteVocabulary(v); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("error %v, want %q in it", err, words)
		}
	}
	for _, c := range cuttings { // each pattern is one that Go has
		v := byteVocabulary()
		v.Pre = c.names[0]
		if _, err := FromByteVocabulary(v); err != nil {
			t.Error(err)
		}
	}
}

// A list without byte pieces, as of a model that does not fall back to bytes, writes its
// unknown piece.
func TestVocabularyWithoutBytes(t *testing.T) {
	tok, err := FromVocabulary(Vocabulary{
		Texts: []string{"<unk>", "<s>", "</s>", "▁", "a"}, Scores: make([]float32, 5), Kinds: []int{2, 3, 3, 1, 1}, Prefix: true, BOS: 1, EOS: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := tok.Encode("aéüa"); !slices.Equal(got, []int32{3, 4, 0, 4}) {
		t.Errorf("ids %v", got)
	}
	if len(tok.Notes()) != 1 {
		t.Errorf("notes %q", tok.Notes())
	}
}
