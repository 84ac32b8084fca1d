package tokenizer

import (
	"strings"
	"unicode/utf8"
)

// Piece is what one id prints, as it stands inside a text: blanks are spaces,
// control pieces print nothing. Bytes of a character may come one id at a time,
// so that a piece alone need not be UTF-8. The space that Encode puts before a
// text is there in the first piece; whoever prints piece by piece leaves it out.
func (t *Tokenizer) Piece(id int32) string {
	if id < 0 || int(id) >= len(t.surface) {
		return ""
	}
	return t.surface[id]
}

// Decode joins pieces to text, without the space that Encode puts before it.
// Bytes that make no UTF-8 become U+FFFD: in a SentencePiece model each that is
// part of no character, in a tokenizer.json all that stand in a row with one
// (each the way of its own library).
func (t *Tokenizer) Decode(ids []int32) string {
	var text strings.Builder
	if t.level != nil {
		for _, id := range ids {
			text.WriteString(t.Piece(id))
		}
		return strings.ToValidUTF8(text.String(), "\uFFFD")
	}
	var run []byte // byte pieces in a row
	flush := func() {
		switch {
		case utf8.Valid(run):
			text.Write(run)
		case t.unkOut.early:
			text.WriteString(strings.Repeat("\uFFFD", len(run)))
		default:
			text.WriteString(replaceInvalid(string(run)))
		}
		run = run[:0]
	}
	strip := t.stripFirst
	for _, id := range ids {
		piece := t.Piece(id)
		if id >= 0 && int(id) < len(t.pieces) && t.pieces[id].kind == byteValue {
			run = append(run, piece...)
			continue
		}
		flush()
		if strip && text.Len() == 0 && piece != "" && id != t.unk {
			rest := strings.TrimPrefix(piece, " ")
			// A model that squeezes blanks drops one of each piece until
			// there is text (sentencepiece_processor.cc, Decode).
			strip = rest == piece || t.norm.squeeze
			piece = rest
		}
		text.WriteString(piece)
	}
	flush()
	if t.stripText {
		return strings.TrimPrefix(text.String(), " ")
	}
	return text.String()
}
