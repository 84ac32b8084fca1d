package tokenizer_test

import (
	"fmt"

	"lorac/runtime/data/tokenizer"
)

// Pieces merge by score; a space is part of the piece that follows it.
func ExampleFromVocabulary() {
	const normal, unknown, control, bytes = 1, 2, 3, 6
	v := tokenizer.Vocabulary{
		Texts:  []string{"<unk>", "<s>", "</s>", "▁", "a", "b", "ab", "▁ab"},
		Scores: []float32{0, 0, 0, -9, -9, -9, -1, -2},
		Kinds:  []int{unknown, control, control, normal, normal, normal, normal, normal},
		Prefix: true, BOS: 1, EOS: 2,
	}
	for b := range 256 { // what no piece spells
		v.Texts = append(v.Texts, fmt.Sprintf("<0x%02X>", b))
		v.Scores, v.Kinds = append(v.Scores, 0), append(v.Kinds, bytes)
	}
	t, err := tokenizer.FromVocabulary(v)
	if err != nil {
		panic(err)
	}
	ids := t.Encode("ab aab")
	fmt.Println(ids)
	fmt.Printf("%q\n", t.Decode(ids))
	// Output:
	// [7 3 4 6]
	// "ab aab"
}
