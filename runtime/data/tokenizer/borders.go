package tokenizer

import (
	"strings"
	"sync"
	"unicode/utf8"
)

// borders tells where a text can be split without changing its ids: between two
// characters that no piece has beside each other, in the context that the text has
// there. Joining makes nothing but pieces, so no symbol ever reaches over such a place.
//
// The set holds, of every place inside a piece, a hash of up to near characters before
// it and as many after it. Two hashes that fall together hide a border and never make
// one up.
type borders struct {
	once sync.Once
	bits []uint64
}

// near is how many characters on either side of a place are compared.
const near = 3

// longWord is the length of a word, in bytes, from which it is split at borders; parts
// are at least half as long.
const longWord = 512

// add enters the places inside a piece.
func (b *borders) add(text string) {
	runes := []rune(strings.ReplaceAll(text, " ", blank))
	for i := 1; i < len(runes); i++ {
		b.set(pairHash(runes[max(0, i-near):i], runes[i:min(len(runes), i+near)]))
	}
}

func (b *borders) set(h uint32) { h %= uint32(64 * len(b.bits)); b.bits[h/64] |= 1 << (h % 64) }

func (b *borders) has(h uint32) bool {
	h %= uint32(64 * len(b.bits))
	return b.bits[h/64]>>(h%64)&1 != 0
}

// pairHash is that of the characters before and after a place (FNV-1a over their numbers).
func pairHash(before, after []rune) uint32 {
	h := uint32(2166136261)
	for _, r := range before {
		h = (h ^ uint32(r)) * 16777619
		h ^= h >> 15
	}
	h = (h ^ 0xFFFFFFFF) * 16777619
	for _, r := range after {
		h = (h ^ uint32(r)) * 16777619
		h ^= h >> 15
	}
	return h
}

// at reports whether a text can be split at an offset where a character begins. Spaces
// count as blanks.
func (b *borders) at(text string, offset int) bool {
	if len(b.bits) == 0 {
		return false
	}
	var before, after [near]rune // before from its end
	n, m := 0, 0
	for at := offset; n < near && at > 0; n++ {
		r, size := utf8.DecodeLastRuneInString(text[:at])
		before[near-1-n] = asBlank(r)
		at -= size
	}
	for at := offset; m < near && at < len(text); m++ {
		r, size := utf8.DecodeRuneInString(text[at:])
		after[m] = asBlank(r)
		at += size
	}
	for i := 1; i <= n; i++ {
		for j := 1; j <= m; j++ {
			if b.has(pairHash(before[near-i:], after[:j])) {
				return false
			}
		}
	}
	return true
}

func asBlank(r rune) rune {
	if r == ' ' {
		return '\u2581'
	}
	return r
}

// splits is the set of the tokenizer, made when a text first needs it.
func (t *Tokenizer) splits() *borders {
	b := t.places
	b.once.Do(func() {
		if t.unkOut.skip || !t.rules.spelled(t.pieces) {
			return // what is joined is not told by its text
		}
		places := 0
		for _, p := range t.pieces {
			places += max(0, utf8.RuneCountInString(p.text)-1)
		}
		size := 1 << 10
		for size < places { // words of 64 places: a few of a hundred fall together
			size *= 2
		}
		b.bits = make([]uint64, size/4)
		for _, p := range t.pieces {
			if p.kind != byteValue && p.kind != 0 {
				b.add(p.text)
			}
		}
	})
	return b
}

// cutWord is the length of the first part of a word that is too long to be joined at
// once: all of it where it can be split nowhere.
func (t *Tokenizer) cutWord(text string) int {
	if len(text) <= longWord {
		return len(text)
	}
	b := t.splits()
	for at := longWord / 2; at < len(text); at++ {
		if utf8.RuneStart(text[at]) && b.at(text, at) {
			return at
		}
	}
	return len(text)
}
