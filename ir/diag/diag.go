// Package diag represents and renders diagnostics: position, message, help and
// notes. It is a leaf: it must not know YAML, graphs or programs.
package diag

import (
	"fmt"
	"sort"
	"strings"
)

// Pos is a position in a text. Lines and columns count from 1, columns and Len in
// characters; the zero Pos is unknown. A position without a line may have a File: a
// file as a whole, or the flag that set a value. Len is 0 if unknown.
type Pos struct {
	File      string
	Line, Col int
	Len       int
}

// Known reports whether the position has a line.
func (p Pos) Known() bool { return p.Line > 0 }

func (p Pos) String() string {
	if !p.Known() {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Col)
}

// Severity says whether compilation can continue.
type Severity uint8

// The severities.
const (
	Error Severity = iota
	Warning
	Note
)

func (s Severity) String() string {
	if int(s) < len(severities) {
		return severities[s]
	}
	return "error"
}

var severities = [...]string{"error", "warning", "note"}

// Span is a position with a label.
type Span struct {
	Pos   Pos
	Label string
}

// Diagnostic is one problem. Message says what is wrong, Help what to do,
// Notes why it matters.
type Diagnostic struct {
	Severity Severity
	Code     string
	Message  string
	Pos      Pos
	Label    string // beside the caret
	Also     []Span // related positions
	Help     string
	Notes    []string
}

// Errorf makes an error at a position.
func Errorf(pos Pos, code, format string, args ...any) *Diagnostic {
	return &Diagnostic{Code: code, Message: fmt.Sprintf(format, args...), Pos: pos}
}

// Warnf makes a warning at a position.
func Warnf(pos Pos, code, format string, args ...any) *Diagnostic {
	return &Diagnostic{Severity: Warning, Code: code, Message: fmt.Sprintf(format, args...), Pos: pos}
}

func (d *Diagnostic) Error() string {
	s := d.Severity.String()
	if d.Code != "" {
		s += "[" + d.Code + "]"
	}
	s += ": " + d.Message
	if d.Pos.File != "" {
		s = d.Pos.String() + ": " + s
	}
	return s
}

// Because adds what an error says to the message. Its help, if it has one, takes the place
// of the help: it knows more.
func (d *Diagnostic) Because(err error) *Diagnostic {
	text, help, has := strings.Cut(err.Error(), "\n  = help: ")
	d.Message += ": " + text
	if has {
		d.Help = help
	}
	return d
}

// WithLabel sets the text beside the caret.
func (d *Diagnostic) WithLabel(format string, args ...any) *Diagnostic {
	d.Label = fmt.Sprintf(format, args...)
	return d
}

// WithHelp sets the help line: what to do.
func (d *Diagnostic) WithHelp(format string, args ...any) *Diagnostic {
	d.Help = fmt.Sprintf(format, args...)
	return d
}

// WithNote adds a note: why it matters.
func (d *Diagnostic) WithNote(format string, args ...any) *Diagnostic {
	d.Notes = append(d.Notes, fmt.Sprintf(format, args...))
	return d
}

// At adds a related position.
func (d *Diagnostic) At(pos Pos, format string, args ...any) *Diagnostic {
	d.Also = append(d.Also, Span{pos, fmt.Sprintf(format, args...)})
	return d
}

// List is all diagnostics of one input. It implements error.
type List []*Diagnostic

func (l List) Error() string {
	parts := make([]string, len(l))
	for i, d := range l {
		parts[i] = d.Error()
	}
	return strings.Join(parts, "\n")
}

// HasErrors reports whether the list has an error, not only warnings and notes.
func (l List) HasErrors() bool {
	for _, d := range l {
		if d.Severity == Error {
			return true
		}
	}
	return false
}

// Sorted returns the list sorted by position, without duplicates: of diagnostics
// with the same position, code and message the first is kept.
func (l List) Sorted() List {
	out := make(List, 0, len(l))
	seen := map[string]bool{}
	for _, d := range l {
		key := d.Pos.String() + d.Code + d.Message
		if !seen[key] {
			seen[key] = true
			out = append(out, d)
		}
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i].Pos, out[j].Pos
		if a.File != b.File {
			return a.File < b.File
		}
		if a.Line != b.Line {
			return a.Line < b.Line
		}
		return a.Col < b.Col
	})
	return out
}
