package tokenizer

import (
	"bytes"
	"cmp"
	"slices"
)

// Ranks is Llama 3's tokenizer.model as other programs have it: as byte-level byte-pair
// encoding with merges, and control tokens after the pieces.
type Ranks struct {
	Pieces   []string // in the alphabet of bytes; their ids are their places
	Merges   []string // "left right", the most urgent first
	Controls []string // the ids after the pieces
	Pre      string   // llama.cpp's name of how words are cut
	BOS, EOS int
}

// OfRanks reads such a file; nil for one that is none.
func OfRanks(data []byte) (*Ranks, error) {
	if !looksLikeTiktoken(data) {
		return nil, nil
	}
	return ofRanks(data, llama3Ranks)
}

func ofRanks(data []byte, ranks int) (*Ranks, error) {
	t, err := parseTiktoken(data, ranks)
	if err != nil {
		return nil, err
	}
	r := &Ranks{Pre: "llama-bpe", BOS: int(t.bos), EOS: int(t.eos)}
	of := make(map[string]int, ranks)
	texts := make([]string, 0, ranks)
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		if len(line) == 0 {
			continue
		}
		text, rank, _ := tiktokenLine(line)
		of[string(text)] = rank
		texts = append(texts, string(text))
	}
	// A piece is made of any two that make it, the pair of the lowest ranks first: so
	// merges in order give what joining neighbours by the rank of their union gives.
	for id, text := range texts {
		r.Pieces = append(r.Pieces, t.pieces[id].text)
		var pairs [][2]int
		for at := 1; at < len(text); at++ {
			left, ok := of[text[:at]]
			right, too := of[text[at:]]
			if ok && too {
				pairs = append(pairs, [2]int{left, right})
			}
		}
		slices.SortFunc(pairs, func(a, b [2]int) int { return cmp.Or(a[0]-b[0], a[1]-b[1]) })
		for _, p := range pairs {
			r.Merges = append(r.Merges, t.pieces[p[0]].text+" "+t.pieces[p[1]].text)
		}
	}
	for _, p := range t.pieces[ranks:] {
		r.Controls = append(r.Controls, p.text)
	}
	return r, nil
}
