package dataset

import (
	"fmt"
	"strings"

	"lorac/runtime/data/tokenizer"
	"lorac/runtime/sys/human"
)

// shownIDs is how many ids of a row are shown.
const shownIDs = 48

// Part is a run of tokens of a row that are supervised alike, or one control token.
type Part struct {
	Text       string
	Supervised bool
	Control    bool // written ⟨1 <s>⟩, so that it is told from its spelling
}

// Parts decodes a row for display.
func Parts(r Row, t *tokenizer.Tokenizer) (list []Part) {
	for i, id := range r.Tokens {
		p := Part{Text: t.Piece(id), Supervised: r.Labels[i] != Ignore && i > 0}
		if p.Control = t.Special(id) || p.Text == ""; p.Control {
			p.Text = "⟨" + strings.TrimSpace(fmt.Sprint(id, " ", t.Token(id))) + "⟩"
		} else if i == 1 && r.Tokens[0] == t.BOS() || i == 0 {
			p.Text = strings.TrimPrefix(p.Text, " ") // the space that encoding puts before a text
		}
		if last := len(list) - 1; last >= 0 && !p.Control && !list[last].Control && list[last].Supervised == p.Supervised {
			list[last].Text += p.Text // a character may be in the bytes of several tokens
			continue
		}
		list = append(list, p)
	}
	for i := range list {
		list[i].Text = human.Printable(strings.ToValidUTF8(list[i].Text, "\uFFFD"))
	}
	return list
}

// Spell writes parts with the supervised ones in ⟦ ⟧.
func Spell(list []Part) string {
	var b strings.Builder
	on := false
	for _, p := range list {
		if p.Supervised != on {
			on = p.Supervised
			b.WriteString(map[bool]string{true: "⟦", false: "⟧"}[on])
		}
		b.WriteString(p.Text)
	}
	if on {
		b.WriteString("⟧")
	}
	return b.String()
}

// render decodes a row for display; its first ids are in a line of their own.
func render(r Row, t *tokenizer.Tokenizer) (text, ids string) {
	var numbers strings.Builder
	for _, id := range r.Tokens[:min(len(r.Tokens), shownIDs)] {
		fmt.Fprintf(&numbers, " %d", id)
	}
	if n := len(r.Tokens); n > shownIDs {
		fmt.Fprintf(&numbers, " … (%d in all)", n)
	}
	return Spell(Parts(r, t)), strings.TrimPrefix(numbers.String(), " ")
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
