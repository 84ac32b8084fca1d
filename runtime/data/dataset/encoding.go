package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// notUTF8 is the error of text in another encoding, with a way out. text is what is
// around the first byte that is not UTF-8, from the beginning of a line or a row; at is
// that byte's place in it. The bytes do not say what the encoding is, and the message
// does not pretend to know it.
func notUTF8(text string, at int) error {
	const look = "; look at what it makes before training on it: "
	if likeGB18030([]byte(text)) {
		return fmt.Errorf("not valid UTF-8: the byte %#x; it is valid as GB18030 (Chinese)\n  = help: `iconv -f GB18030 -t UTF-8 FILE > NEW` converts it%sBig5, Shift-JIS and EUC-KR look alike", text[at], look)
	}
	return fmt.Errorf("not valid UTF-8: the byte %#x (%q in Latin-1)\n  = help: if it is Latin-1, `iconv -f LATIN1 -t UTF-8 FILE > NEW` converts it%siconv accepts any bytes as Latin-1", text[at], rune(text[at]), look)
}

// around is the text from the beginning of the line of a byte on, and the byte's place
// there, in bounds. A line break is no part of a character in any of the encodings.
func around(text string, at int) (string, int) {
	from := strings.LastIndexByte(text[:at], '\n') + 1
	if at-from > headSize {
		from = at
	}
	return text[from:min(len(text), at+headSize)], at - from
}

// likeGB18030 reports whether text is valid as GB18030 and not plausible as Latin-1,
// where most characters beyond ASCII stand alone among letters and none is a control
// character. Text that is cut off may end inside a character.
func likeGB18030(text []byte) bool {
	high, alone, controls := 0, 0, 0
	for i := 0; i < len(text); {
		c, rest := text[i], text[i:]
		switch {
		case c < 0x80:
			i++
			continue
		case c == 0x80 || c == 0xFF:
			return false
		case len(rest) == 1:
			i++
			continue
		}
		n := 2
		if d := rest[1]; d >= '0' && d <= '9' {
			n = 4
			if len(rest) >= 3 && (rest[2] < 0x81 || rest[2] == 0xFF) || len(rest) >= 4 && (rest[3] < '0' || rest[3] > '9') {
				return false
			}
		} else if d < 0x40 || d == 0x7F || d == 0xFF {
			return false
		}
		n = min(n, len(rest))
		pair := rest[:n]
		high++
		if pair[1] < 0x80 && n == 2 {
			alone++
		}
		if slices.ContainsFunc(pair, func(b byte) bool { return b >= 0x80 && b < 0xA0 }) {
			controls++
		}
		i += n
	}
	return high > 0 && (controls > 0 || 2*alone < high)
}
