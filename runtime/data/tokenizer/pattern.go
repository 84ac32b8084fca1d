package tokenizer

import (
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// space is \s of Unicode, inside brackets.
const space = `\t-\r\x{85}\p{Z}`

// lastSpace is how these patterns leave the last of several spaces to the word
// after them. Regular expressions in Go have no lookahead; it is done by hand.
const lastSpace = `\s+(?!\S)|\s+`

// pattern cuts text into the matches of an expression and, if between is set, what is
// between them. The expression is one of Oniguruma, as the tokenizers library has it:
// what Go's means otherwise is refused.
func pattern(expr string, between bool) (cut, error) {
	refused := func(why string) (cut, error) {
		return nil, fmt.Errorf("its pre-tokenizer splits by the pattern %q, which is not supported: %s", expr, why)
	}
	head, spaces := strings.CutSuffix(expr, lastSpace)
	text, why := unicodeClasses(head)
	if why != "" {
		return refused(why)
	}
	if spaces {
		text += "([" + space + "]+)"
	} else {
		text = "(?:" + text + ")"
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return refused(err.Error())
	}
	if re.MatchString("") {
		return refused("it matches nothing at all")
	}
	return func(text string, visit func(string)) {
		for text != "" {
			m := re.FindStringSubmatchIndex(text)
			if m == nil {
				if between {
					visit(text)
				}
				return
			}
			from, to := m[0], m[1]
			if spaces && m[2] >= 0 && to < len(text) { // spaces before something else: the last one goes with that
				_, n := utf8.DecodeLastRuneInString(text[from:to])
				if to-n > from {
					to -= n
				}
			}
			if from > 0 && between {
				visit(text[:from])
			}
			visit(text[from:to])
			text = text[to:]
		}
	}, nil
}

// mustPattern is pattern of an expression that is written here.
func mustPattern(expr string) cut {
	c, err := pattern(expr, true)
	if err != nil {
		panic(err)
	}
	return c
}

// unicodeClasses writes an expression in Go's syntax: \s has its Unicode meaning, $ is
// the end of a line. why says what has no equal.
func unicodeClasses(expr string) (out, why string) {
	var b strings.Builder
	in := false
	for i := 0; i < len(expr); i++ {
		c, rest := expr[i], expr[i:]
		switch {
		case c == '\\' && i+1 < len(expr):
			i++
			switch e := expr[i]; {
			case e == 's' && in:
				b.WriteString(space)
			case e == 's':
				b.WriteString("[" + space + "]")
			case strings.IndexByte("pPrnt", e) >= 0 || e < utf8.RuneSelf && !isAlphanumeric(e):
				b.WriteString(expr[i-1 : i+1])
			default:
				return "", fmt.Sprintf("it has %s", expr[i-1:i+1])
			}
			continue
		case in && (c == '[' || strings.HasPrefix(rest, "&&")):
			return "", "it has a set inside a set"
		case !in && c == '(':
			if !strings.HasPrefix(rest, "(?:") && !strings.HasPrefix(rest, "(?i:") {
				return "", "it has a group that is neither (?:…) nor (?i:…)"
			}
		case !in && c == '^':
			return "", "it has ^ outside of brackets"
		case !in && strings.IndexByte("?*+", c) >= 0 && i+1 < len(expr) && expr[i+1] == '+':
			return "", "it has a possessive quantifier"
		case !in && c == '$':
			b.WriteString("(?m:$)")
			continue
		case c == '[':
			in = true
		case c == ']':
			in = false
		}
		b.WriteByte(c)
	}
	return b.String(), ""
}

func isAlphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
