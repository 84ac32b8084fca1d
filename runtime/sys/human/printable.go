package human

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Printable is text that a terminal shows and does not obey: control characters but
// line breaks and tabs are written as \x1b, those that change the direction of text as
// \u202e, and bytes that are no UTF-8 as \x9b.
func Printable(text string) string {
	clean := true
	for _, r := range text {
		clean = clean && !obeyed(r) && r != utf8.RuneError
	}
	if clean {
		return text
	}
	var b strings.Builder
	for i, r := range text {
		_, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case !obeyed(r):
			b.WriteRune(r)
		case r == '\r':
			b.WriteString(`\r`)
		case r < 0x100:
			fmt.Fprintf(&b, `\x%02x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// Line is a name that stands in a line: Printable, with line breaks and tabs as \n and \t.
func Line(name string) string { return oneLine.Replace(Printable(name)) }

var oneLine = strings.NewReplacer("\n", `\n`, "\t", `\t`)

// obeyed reports whether a terminal may act on a character instead of showing it.
func obeyed(r rune) bool {
	return r < ' ' && r != '\n' && r != '\t' || r >= 0x7F && r < 0xA0 || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069
}
