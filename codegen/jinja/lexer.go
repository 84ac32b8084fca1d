package jinja

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind is what a token is.
type kind byte

const (
	textToken  kind = iota
	beginPrint      // {{
	endPrint
	beginBlock // {%
	endBlock
	word
	str
	integer
	float
	operator
	end
)

type piece struct {
	kind kind
	text string
	line int
}

// Error is what is wrong with a template.
type Error struct {
	Line int
	Text string
}

func (e *Error) Error() string {
	return fmt.Sprintf("line %d of the chat template: %s", e.Line, e.Text)
}

var (
	opening   = regexp.MustCompile(`\{[{%#]`)
	rawBegin  = regexp.MustCompile(`^\{%[-+]?\s*raw\s*(-?)[-+]?%\}`)
	rawEnd    = regexp.MustCompile(`\{%([-+]?)\s*endraw\s*([-+]?)%\}`)
	space     = regexp.MustCompile(`^\s+`)
	wordForm  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*`)
	floatForm = regexp.MustCompile(`^\d[\d_]*(\.\d[\d_]*([eE][+-]?\d+)?|[eE][+-]?\d+)`)
	intForm   = regexp.MustCompile(`^\d[\d_]*`)
	strForm   = regexp.MustCompile(`^(?s:'([^'\\]*(?:\\.[^'\\]*)*)'|"([^"\\]*(?:\\.[^"\\]*)*)")`)
	operators = []string{"**", "//", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "(", ")", "[", "]", "{", "}", ".", ",", ":", "|", "=", ">", "<"}
)

// lex takes a template apart, as Jinja with trim_blocks and lstrip_blocks does, which
// transformers sets: the line break after a block or a comment is dropped, and blanks
// before one that begins its line.
func lex(source string) (out []piece, err error) {
	source = strings.ReplaceAll(strings.ReplaceAll(source, "\r\n", "\n"), "\r", "\n")
	source = strings.TrimSuffix(source, "\n")
	line, lineStarts := 1, true
	strip := false // the last tag ended with -
	add := func(k kind, s string) { out = append(out, piece{k, s, line}) }
	for source != "" {
		at := opening.FindStringIndex(source)
		if at == nil {
			if strip {
				source = trimLeft(source)
			}
			add(textToken, source)
			break
		}
		before, rest := source[:at[0]], source[at[0]:]
		whole := before
		if strip {
			before = trimLeft(before)
		}
		strip = false
		sign := byte(0)
		if len(rest) > 2 {
			sign = rest[2]
		}
		switch {
		case sign == '-':
			before = trimRight(before)
		case sign != '+' && rest[1] != '{':
			n := strings.LastIndexByte(before, '\n') + 1
			if (n > 0 || lineStarts) && trimLeft(before[n:]) == "" {
				before = before[:n]
			}
		}
		if before != "" {
			add(textToken, before)
		}
		line += strings.Count(whole, "\n")
		kindOf := rest[1]
		if m := rawBegin.FindStringSubmatch(rest); kindOf == '%' && m != nil {
			body := rest[len(m[0]):]
			stop := rawEnd.FindStringSubmatchIndex(body)
			if stop == nil {
				return nil, &Error{line, "{% raw %} without {% endraw %}"}
			}
			inner := body[:stop[0]]
			if m[1] == "-" {
				inner = trimLeft(inner)
			} else {
				inner = strings.TrimPrefix(inner, "\n")
			}
			if body[stop[2]:stop[3]] == "-" {
				inner = trimRight(inner)
			} else if n := strings.LastIndexByte(inner, '\n') + 1; n > 0 && trimLeft(inner[n:]) == "" {
				inner = inner[:n]
			}
			add(textToken, inner)
			line += strings.Count(body[:stop[1]], "\n")
			strip = body[stop[4]:stop[5]] == "-"
			source = body[stop[1]:]
			if !strip {
				lineStarts, source = afterTag(source, &line)
			}
			continue
		}
		body := rest[2:]
		if sign == '-' || sign == '+' {
			body = body[1:]
		}
		if kindOf == '#' {
			n := strings.Index(body, "#}")
			if n < 0 {
				return nil, &Error{line, "a comment without #}"}
			}
			strip = n > 0 && body[n-1] == '-'
			plus := n > 0 && body[n-1] == '+'
			line += strings.Count(body[:n], "\n")
			source = body[n+2:]
			lineStarts = false
			if !strip && !plus {
				lineStarts, source = afterTag(source, &line)
			}
			continue
		}
		closing := "}}"
		if kindOf == '%' {
			closing = "%}"
			add(beginBlock, "")
		} else {
			add(beginPrint, "")
		}
		depth := 0
		for {
			if m := space.FindString(body); m != "" {
				line += strings.Count(m, "\n")
				body = body[len(m):]
			}
			if body == "" {
				return nil, &Error{line, "a tag without " + closing}
			}
			if depth == 0 && (strings.HasPrefix(body, closing) || len(body) > 2 && (body[0] == '-' || body[0] == '+') && strings.HasPrefix(body[1:], closing)) {
				strip = body[0] == '-'
				plus := body[0] == '+'
				source = strings.TrimPrefix(strings.TrimLeft(body[:1], "-+")+body[1:], closing)
				if kindOf == '%' {
					add(endBlock, "")
				} else {
					add(endPrint, "")
				}
				lineStarts = false
				if kindOf == '%' && !strip && !plus {
					lineStarts, source = afterTag(source, &line)
				}
				break
			}
			n, err := lexOne(body, line, add)
			if err != nil {
				return nil, err
			}
			switch body[:n] {
			case "(", "[", "{":
				depth++
			case ")", "]", "}":
				depth--
			}
			line += strings.Count(body[:n], "\n")
			body = body[n:]
		}
	}
	add(end, "")
	return out, nil
}

// afterTag drops the line break after a block or a comment.
func afterTag(source string, line *int) (lineStarts bool, rest string) {
	if rest, ok := strings.CutPrefix(source, "\n"); ok {
		*line++
		return true, rest
	}
	return false, source
}

// trimLeft and trimRight are strip of Python.
func trimLeft(s string) string { return strings.TrimLeft(s, " \t\n\r\v\f\x1c\x1d\x1e\x1f\u0085\u00a0") }
func trimRight(s string) string {
	return strings.TrimRight(s, " \t\n\r\v\f\x1c\x1d\x1e\x1f\u0085\u00a0")
}

// lexOne reads one token of a tag and gives its length.
func lexOne(s string, line int, add func(kind, string)) (int, error) {
	if m := wordForm.FindString(s); m != "" {
		add(word, m)
		return len(m), nil
	}
	if m := floatForm.FindString(s); m != "" {
		add(float, strings.ReplaceAll(m, "_", ""))
		return len(m), nil
	}
	if m := intForm.FindString(s); m != "" {
		add(integer, strings.ReplaceAll(m, "_", ""))
		return len(m), nil
	}
	if m := strForm.FindString(s); m != "" {
		text, err := unescape(m[1 : len(m)-1])
		if err != nil {
			return 0, &Error{line, err.Error()}
		}
		add(str, text)
		return len(m), nil
	}
	for _, op := range operators {
		if strings.HasPrefix(s, op) {
			add(operator, op)
			return len(op), nil
		}
	}
	_, n := utf8.DecodeRuneInString(s)
	return 0, &Error{line, fmt.Sprintf("unexpected %q", s[:n])}
}

// unescape reads the escapes of a text as Python does.
func unescape(s string) (string, error) {
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' || i+1 == len(s) {
			b.WriteByte(s[i])
			continue
		}
		i++
		digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[s[i]]
		switch {
		case s[i] == '\n':
		case strings.IndexByte(`'"\`, s[i]) >= 0:
			b.WriteByte(s[i])
		case strings.IndexByte("abfnrtv0", s[i]) >= 0:
			b.WriteByte("\a\b\f\n\r\t\v\x00"[strings.IndexByte("abfnrtv0", s[i])])
		case digits > 0:
			if i+digits >= len(s) {
				return "", fmt.Errorf("the escape \\%s is not whole", s[i:])
			}
			n, err := strconv.ParseUint(s[i+1:i+1+digits], 16, 32)
			if err != nil {
				return "", fmt.Errorf("the escape \\%s is none", s[i:i+1+digits])
			}
			b.WriteRune(rune(n))
			i += digits
		default:
			b.WriteByte('\\')
			b.WriteByte(s[i])
		}
	}
	return b.String(), nil
}
