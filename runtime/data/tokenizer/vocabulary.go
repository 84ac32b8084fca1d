package tokenizer

import (
	"errors"
	"fmt"
)

// Vocabulary is a SentencePiece BPE model as other files list it, GGUF for one:
// a text, a score and a kind (SentencePiece.Type) a piece.
type Vocabulary struct {
	Texts    []string
	Scores   []float32
	Kinds    []int
	Prefix   bool // a space is put before a text
	BOS, EOS int  // ids, below 0 for none

	AddBOS, AddEOS *bool // whether a text begins and ends with them; nil: nothing says it
}

// FromVocabulary makes the tokenizer of a list of pieces. Characters that no
// piece has fall back to bytes, and spaces are kept as they are, as Llama's do.
func FromVocabulary(v Vocabulary) (*Tokenizer, error) {
	if len(v.Texts) == 0 || len(v.Scores) != len(v.Texts) || len(v.Kinds) != len(v.Texts) {
		return nil, fmt.Errorf("it lists %d pieces, %d scores and %d kinds", len(v.Texts), len(v.Scores), len(v.Kinds))
	}
	m := spModel{byteFallback: true, dummyPrefix: v.Prefix, escapeBlank: true, unkSurface: " \u2047 ", scores: v.Scores}
	for i, text := range v.Texts {
		switch k := v.Kinds[i]; {
		case text == "":
			return nil, fmt.Errorf("piece %d is empty", i)
		case k < int(normal) || k > int(byteValue):
			return nil, fmt.Errorf("piece %d has the unknown type %d", i, k)
		case v.Scores[i] != v.Scores[i]:
			return nil, fmt.Errorf("the score of piece %d is not a number", i)
		default:
			m.pieces = append(m.pieces, piece{text, kind(k)})
		}
	}
	for _, c := range []struct {
		id   int
		name *string
	}{{v.BOS, &m.bosPiece}, {v.EOS, &m.eosPiece}} {
		if c.id >= len(m.pieces) {
			return nil, errors.New("BOS or EOS is not the id of a piece")
		}
		if c.id >= 0 {
			*c.name = m.pieces[c.id].text
		}
	}
	t, err := m.tokenizer()
	if err == nil {
		t.adds = [2]*bool{v.AddBOS, v.AddEOS}
	}
	return t, err
}
