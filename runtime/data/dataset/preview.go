package dataset

import (
	"fmt"
	"strings"

	"lorac/runtime/data/tokenizer"
	"lorac/runtime/sys/human"
)

// shownIDs is how many ids of a row are shown.
const shownIDs = 48

// render decodes a row for display. Control tokens are written ⟨1 <s>⟩, so that they
// are told from their spelling; the ids are in a line of their own.
func render(tokens, labels []int32, t *tokenizer.Tokenizer) (text, ids string) {
	var b, numbers strings.Builder
	on := false
	for i, id := range tokens {
		if supervised := labels[i] != Ignore && i > 0; supervised != on {
			on = supervised
			b.WriteString(map[bool]string{true: "⟦", false: "⟧"}[on])
		}
		if i < shownIDs {
			fmt.Fprintf(&numbers, " %d", id)
		}
		text := t.Piece(id)
		if t.Special(id) || text == "" {
			b.WriteString("⟨" + strings.TrimSpace(fmt.Sprint(id, " ", t.Token(id))) + "⟩")
			continue
		}
		if i == 1 && tokens[0] == t.BOS() || i == 0 {
			text = strings.TrimPrefix(text, " ") // the space that encoding puts before a text
		}
		b.WriteString(text)
	}
	if on {
		b.WriteString("⟧")
	}
	if len(tokens) > shownIDs {
		fmt.Fprintf(&numbers, " … (%d in all)", len(tokens))
	}
	return human.Printable(strings.ToValidUTF8(b.String(), "\uFFFD")), strings.TrimPrefix(numbers.String(), " ")
}

// Spelled counts the rows, or files of plain text, that have a further BOS besides the
// one at their beginning, or a further EOS besides those that end an answer.
type Spelled struct{ BOS, EOS int }

// add counts a rendered row of so many rounds.
func (s *Spelled) add(tokens []int32, bos, eos int32, rounds int) {
	count := func(id int32, due int) bool {
		n := 0
		for _, t := range tokens {
			if t == id {
				n++
			}
		}
		return id >= 0 && n > due
	}
	if count(bos, 1) {
		s.BOS++
	}
	if bos != eos && count(eos, max(rounds, 1)) {
		s.EOS++
	}
}

// begins reports whether ids begin with BOS, so that no other is put before them.
func (o *Options) begins(ids []int32) bool { return len(ids) > 0 && o.BOS >= 0 && ids[0] == o.BOS }

// ends reports whether ids end with EOS, so that no other is put after them.
func (o *Options) ends(ids []int32) bool {
	return len(ids) > 0 && o.EOS >= 0 && ids[len(ids)-1] == o.EOS
}
