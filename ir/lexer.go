package ir

import (
	"fmt"
	"io"
	"strings"

	"github.com/alecthomas/participle/v2/lexer"
)

// The lexer is written by hand: participle's regexp lexers take seconds for
// the dump of a large model, this one milliseconds.

const (
	tokEOF lexer.TokenType = -(iota + 1)
	tokValue
	tokStorage
	tokAt
	tokIdent
	tokInt
	tokFloat
	tokString
	tokArrow
	tokPunct
)

type irLexer struct{}

func (irLexer) Symbols() map[string]lexer.TokenType {
	return map[string]lexer.TokenType{
		"EOF": tokEOF, "Value": tokValue, "Storage": tokStorage, "At": tokAt, "Ident": tokIdent,
		"Int": tokInt, "Float": tokFloat, "String": tokString, "Arrow": tokArrow, "Punct": tokPunct,
	}
}

func (l irLexer) Lex(filename string, r io.Reader) (lexer.Lexer, error) {
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return l.LexString(filename, string(text))
}

func (irLexer) LexString(filename, text string) (lexer.Lexer, error) {
	return &scanner{text: text, pos: lexer.Position{Filename: filename, Line: 1, Column: 1}}, nil
}

type scanner struct {
	text string
	pos  lexer.Position
}

func isWord(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || isDigit(c)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// name scans words joined by single dots, as in layer.wq.a; "a..b" ends before the dots.
func (s *scanner) name(i int) int {
	for i < len(s.text) {
		if isWord(s.text[i]) || s.text[i] == '.' && i+1 < len(s.text) && isWord(s.text[i+1]) {
			i++
			continue
		}
		break
	}
	return i
}

func (s *scanner) digits(i int) int {
	for i < len(s.text) && isDigit(s.text[i]) {
		i++
	}
	return i
}

// Next returns the next token; spaces and // comments separate tokens.
func (s *scanner) Next() (lexer.Token, error) {
	for {
		rest := s.text[s.pos.Offset:]
		n := len(rest) - len(strings.TrimLeft(rest, " \t\r\n"))
		if n == 0 && strings.HasPrefix(rest, "//") {
			if n = strings.IndexByte(rest, '\n'); n < 0 {
				n = len(rest)
			}
		}
		if n == 0 {
			break
		}
		s.advance(n)
	}
	start := s.pos.Offset
	if start == len(s.text) {
		return lexer.Token{Type: tokEOF, Pos: s.pos}, nil
	}
	typ, end, err := s.scan(start)
	if err != nil {
		return lexer.Token{}, err
	}
	t := lexer.Token{Type: typ, Value: s.text[start:end], Pos: s.pos}
	s.advance(end - start)
	return t, nil
}

func (s *scanner) scan(i int) (lexer.TokenType, int, error) {
	c := s.text[i]
	next := func(k int) byte {
		if i+k < len(s.text) {
			return s.text[i+k]
		}
		return 0
	}
	switch {
	case c == '%' && isWord(next(1)):
		return tokValue, s.name(i + 1), nil
	case c == '$' && isWord(next(1)):
		return tokStorage, s.name(i + 1), nil
	case c == '@' && isDigit(next(1)):
		end := s.digits(i + 1)
		if end < len(s.text) && s.text[end] == ':' {
			end = s.digits(end + 1)
		}
		return tokAt, end, nil
	case c == '-' && next(1) == '>':
		return tokArrow, i + 2, nil
	case isDigit(c) || c == '-' && isDigit(next(1)):
		return s.number(i)
	case isWord(c):
		return tokIdent, s.name(i), nil
	case c == '"':
		for j := i + 1; j < len(s.text) && s.text[j] != '\n'; j++ {
			if s.text[j] == '\\' {
				j++
			} else if s.text[j] == '"' {
				return tokString, j + 1, nil
			}
		}
		return 0, 0, s.errorf("string without an end")
	case c == '<' && next(1) == '=', c == '.' && next(1) == '.':
		return tokPunct, i + 2, nil
	case strings.IndexByte("()[]{},:=+/", c) >= 0:
		return tokPunct, i + 1, nil
	}
	return 0, 0, s.errorf("unexpected character %q", c)
}

// number scans an integer or a float; "0..30" is an integer and two dots.
func (s *scanner) number(i int) (lexer.TokenType, int, error) {
	end := s.digits(i + 1)
	typ := tokInt
	if end+1 < len(s.text) && s.text[end] == '.' && isDigit(s.text[end+1]) {
		typ, end = tokFloat, s.digits(end+1)
	}
	if end < len(s.text) && s.text[end] == 'e' {
		k := end + 1
		if k < len(s.text) && (s.text[k] == '-' || s.text[k] == '+') {
			k++
		}
		if k >= len(s.text) || !isDigit(s.text[k]) {
			return 0, 0, s.errorf("number without an exponent")
		}
		typ, end = tokFloat, s.digits(k)
	}
	return typ, end, nil
}

func (s *scanner) advance(n int) { s.pos.Advance(s.text[s.pos.Offset : s.pos.Offset+n]) }

// scanError has the form participle expects of a lexer's error.
type scanError struct {
	msg string
	pos lexer.Position
}

func (e *scanError) Error() string            { return fmt.Sprintf("%s: %s", e.pos, e.msg) }
func (e *scanError) Message() string          { return e.msg }
func (e *scanError) Position() lexer.Position { return e.pos }
func (s *scanner) errorf(f string, a ...any) error {
	return &scanError{fmt.Sprintf(f, a...), s.pos}
}
