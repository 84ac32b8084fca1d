// Package python writes values as Python and NumPy print them, for logs and
// files that programs made for MindFormers read.
package python

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Float writes a number of the given bits as Python and NumPy write scalars:
// the fewest digits that mean it, 1e-05, 0.0001, 1.0.
func Float(x float64, bits int) string {
	switch {
	case math.IsNaN(x):
		return "nan"
	case math.IsInf(x, 0):
		return map[bool]string{true: "inf", false: "-inf"}[x > 0]
	}
	if a := math.Abs(x); a != 0 && (a < 1e-4 || a >= 1e16) {
		return strconv.FormatFloat(x, 'e', -1, bits)
	}
	s := strconv.FormatFloat(x, 'f', -1, bits)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// Element writes a number as it stands in a printed NumPy array of f32: at most
// eight digits after the point, 65536. without zeros.
func Element(x float64) string {
	s := Float(x, 32)
	if strings.ContainsAny(s, "en") {
		return s
	}
	if i := strings.IndexByte(s, '.'); len(s)-i > 9 {
		s = strings.TrimRight(strconv.FormatFloat(x, 'f', 8, 64), "0")
	}
	return strings.TrimSuffix(s, ".0") + map[bool]string{true: "."}[strings.HasSuffix(s, ".0")]
}

// Fixed writes a number as '%width.digitsf' does; what is not finite is inf, -inf or nan.
func Fixed(x float64, width, digits int) string {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return fmt.Sprintf("%*s", width, Float(x, 64))
	}
	return fmt.Sprintf("%*.*f", width, digits, x)
}

// Bool writes True or False.
func Bool(x bool) string { return map[bool]string{true: "True", false: "False"}[x] }

// Timedelta writes whole seconds as datetime.timedelta does.
func Timedelta(d time.Duration) string {
	s := int(d.Seconds())
	text := fmt.Sprintf("%d:%02d:%02d", s/3600%24, s/60%60, s%60)
	switch days := s / 86400; days {
	case 0:
		return text
	case 1:
		return "1 day, " + text
	default:
		return fmt.Sprintf("%d days, %s", days, text)
	}
}

// Quote writes a string as repr does.
func Quote(s string) string {
	quote := "'"
	if strings.Contains(s, "'") && !strings.Contains(s, `"`) {
		quote = `"`
	}
	var b strings.Builder
	b.WriteString(quote)
	for _, c := range s {
		switch {
		case string(c) == quote || c == '\\':
			b.WriteString(`\` + string(c))
		case c == '\n':
			b.WriteString(`\n`)
		case c == '\t':
			b.WriteString(`\t`)
		case c == '\r':
			b.WriteString(`\r`)
		case c < ' ' || c == 0x7F:
			b.WriteString(`\x` + string("0123456789abcdef"[c>>4]) + string("0123456789abcdef"[c&15]))
		default:
			b.WriteRune(c)
		}
	}
	return b.String() + quote
}
