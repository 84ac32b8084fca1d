package tokenizer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"unicode/utf8"
)

// charsMap rewrites characters before splitting, as a SentencePiece model's
// precompiled_charsmap says (normalizer.cc): the longest prefix that the trie
// has is replaced, and so on. The trie is a double array in the layout of
// Darts-clone, its values are offsets of texts that end in a zero byte.
type charsMap struct {
	trie  []uint32
	texts []byte
}

func parseCharsMap(data []byte) (*charsMap, error) {
	bad := errors.New("its table of character rules (precompiled_charsmap) is broken")
	if len(data) < 4 {
		return nil, bad
	}
	size := uint64(binary.LittleEndian.Uint32(data))
	rest := data[4:]
	if size == 0 || size%4 != 0 || size >= uint64(len(rest)) || rest[len(rest)-1] != 0 {
		return nil, bad
	}
	c := &charsMap{trie: make([]uint32, size/4), texts: rest[size:]}
	for i := range c.trie {
		c.trie[i] = binary.LittleEndian.Uint32(rest[4*i:])
	}
	return c, nil
}

// longest finds the longest prefix of text with a replacement; n is 0 if there
// is none. An index outside the trie ends the search.
func (c *charsMap) longest(text string) (to []byte, n int) {
	offset := func(unit uint32) uint32 { return unit >> 10 << (unit >> 6 & 8) }
	at := offset(c.trie[0])
	for i := range len(text) {
		at ^= uint32(text[i])
		if at >= uint32(len(c.trie)) {
			break
		}
		unit := c.trie[at]
		if unit&(1<<31|0xFF) != uint32(text[i]) {
			break
		}
		at ^= offset(unit)
		if unit>>8&1 == 0 { // no replacement ends here
			continue
		}
		if at >= uint32(len(c.trie)) {
			break
		}
		if value := c.trie[at] &^ (1 << 31); value < uint32(len(c.texts)) {
			to, n = c.texts[value:], i+1
		}
	}
	if n > 0 {
		to = to[:bytes.IndexByte(to, 0)]
	}
	return to, n
}

// apply rewrites text. Pieces that keep has stay as they are.
func (c *charsMap) apply(text string, keep *matcher) string {
	if c == nil {
		return text
	}
	var b strings.Builder
	keep.split(text, func(part string, id int32) {
		if id >= 0 {
			b.WriteString(part)
			return
		}
		for part != "" {
			to, n := c.longest(part)
			if n == 0 {
				_, n = utf8.DecodeRuneInString(part)
				to = []byte(part[:n])
			}
			b.Write(to)
			part = part[n:]
		}
	})
	return b.String()
}
