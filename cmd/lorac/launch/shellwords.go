package launch

import (
	"fmt"
	"strings"
)

// shellWords splits a command as a POSIX shell does before it expands
// anything: at blanks, with single quotes, double quotes and backslashes.
// Variables and patterns stay as they are written.
func shellWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote := false, rune(0)
	runes := []rune(s)
	for i := 0; i < len(runes); i++ {
		c := runes[i]
		switch {
		case quote == '\'' && c != '\'', quote == '"' && c != '"' && c != '\\':
			word.WriteRune(c)
		case quote != 0 && c == quote:
			quote = 0
		case c == '\\':
			if i++; i >= len(runes) {
				return nil, fmt.Errorf("the command ends in a backslash")
			}
			if quote == '"' && !strings.ContainsRune("\\\"$`\n", runes[i]) {
				word.WriteRune('\\')
			}
			if runes[i] != '\n' { // a backslash joins lines
				word.WriteRune(runes[i])
				inWord = true
			}
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("a quote %c is opened and never closed", quote)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}
