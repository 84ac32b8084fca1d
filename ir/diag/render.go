package diag

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"
)

// Render writes the list in the format of rustc: message, position, source lines
// with carets, help and notes. sources holds the texts by file name; a file not in
// it is shown by position only. Control characters are replaced.
func Render(w io.Writer, l List, sources map[string][]byte, color bool) {
	lines := map[string][]string{}
	for i, d := range l {
		if i > 0 {
			fmt.Fprintln(w)
		}
		r := renderer{w: w, sources: sources, lines: lines, color: color}
		r.one(d)
	}
}

const (
	bold  = "\x1b[1m"
	blue  = "\x1b[1;34m"
	reset = "\x1b[0m"
)

var paint = map[Severity]string{Error: "\x1b[1;31m", Warning: "\x1b[1;33m", Note: "\x1b[1;36m"}

// renderer writes one diagnostic.
type renderer struct {
	w       io.Writer
	sources map[string][]byte
	lines   map[string][]string // of the sources shown so far
	color   bool
	margin  string // as wide as the widest line number shown
}

func (r *renderer) in(color, s string) string {
	if !r.color || s == "" {
		return s
	}
	return color + s + reset
}

func (r *renderer) one(d *Diagnostic) {
	head := d.Severity.String()
	if d.Code != "" {
		head += "[" + d.Code + "]"
	}
	fmt.Fprintf(r.w, "%s%s\n", r.in(paint[d.Severity], head), r.in(bold, ": "+clean(d.Message)))

	spans := append([]Span{{d.Pos, d.Label}}, d.Also...)
	width := 1
	for _, s := range spans {
		width = max(width, len(fmt.Sprint(s.Pos.Line)))
	}
	r.margin = strings.Repeat(" ", width)
	if d.Pos.File != "" {
		label := ""
		if d.Pos.Line == 0 && d.Label != "" {
			label = ": " + clean(d.Label) // a flag has no line to show it under
		}
		fmt.Fprintf(r.w, "%s%s %s%s\n", r.margin, r.in(blue, "-->"), clean(d.Pos.String()), label)
	}
	shown := r.snippet(spans, d)
	// Positions in other files follow, each below its file name.
	for _, file := range otherFiles(spans, d.Pos.File) {
		var there []Span
		for _, s := range spans {
			if s.Pos.File == file {
				there = append(there, s)
			}
		}
		fmt.Fprintf(r.w, "%s%s %s\n", r.margin, r.in(blue, ":::"), clean(there[0].Pos.String()))
		if r.snippet(there, d) {
			shown = true
		} else if there[0].Label != "" {
			fmt.Fprintf(r.w, "%s %s\n", r.margin, clean(there[0].Label))
		}
	}
	if shown && (d.Help != "" || len(d.Notes) > 0) {
		fmt.Fprintf(r.w, "%s %s\n", r.margin, r.in(blue, "|"))
	}
	if d.Help != "" {
		fmt.Fprintf(r.w, "%s %s help: %s\n", r.margin, r.in(blue, "="), clean(d.Help))
	}
	for _, n := range d.Notes {
		fmt.Fprintf(r.w, "%s %s note: %s\n", r.margin, r.in(blue, "="), clean(n))
	}
}

// otherFiles lists the files of the spans but for the first, in order.
func otherFiles(spans []Span, first string) []string {
	var files []string
	for _, s := range spans {
		if f := s.Pos.File; f != first && f != "" && !slices.Contains(files, f) {
			files = append(files, f)
		}
	}
	return files
}

// snippet shows the lines of the spans that are in the file of the first one, in
// order, the primary position marked by ^^^. It reports whether it showed any.
func (r *renderer) snippet(spans []Span, d *Diagnostic) bool {
	file := spans[0].Pos.File
	src := r.sources[file]
	if len(src) == 0 {
		return false
	}
	if r.lines[file] == nil {
		r.lines[file] = strings.Split(string(src), "\n")
	}
	lines := r.lines[file]
	var shown []Span
	for _, s := range spans {
		if s.Pos.File == file && s.Pos.Known() && s.Pos.Line <= len(lines) {
			shown = append(shown, s)
		}
	}
	if len(shown) == 0 {
		return false
	}
	slices.SortStableFunc(shown, func(a, b Span) int {
		if a.Pos.Line != b.Pos.Line {
			return a.Pos.Line - b.Pos.Line
		}
		return a.Pos.Col - b.Pos.Col
	})
	bar := r.in(blue, "|")
	fmt.Fprintf(r.w, "%s %s\n", r.margin, bar)
	last := 0
	for _, s := range shown {
		if last > 0 && s.Pos.Line > last+1 {
			fmt.Fprintln(r.w, r.in(blue, "..."))
		}
		text, pad, n := excerpt(lines[s.Pos.Line-1], s.Pos)
		if s.Pos.Line != last {
			number := fmt.Sprintf("%*d", len(r.margin), s.Pos.Line)
			fmt.Fprintln(r.w, strings.TrimRight(r.in(blue, number)+" "+bar+" "+text, " "))
		}
		last = s.Pos.Line
		mark, color := "-", blue
		if s.Pos == d.Pos {
			mark, color = "^", paint[d.Severity]
		}
		under := strings.Repeat(mark, n)
		if s.Label != "" {
			under += " " + clean(s.Label)
		}
		fmt.Fprintf(r.w, "%s %s %s%s\n", r.margin, bar, pad, r.in(color, under))
	}
	return true
}

// maxLine is the number of characters of a source line that are shown.
const maxLine = 160

// excerpt returns the part of a line around a position, the padding before the
// position, and the number of characters to mark.
func excerpt(line string, p Pos) (text, pad string, n int) {
	chars := []rune(strings.TrimRight(line, "\r"))
	from := min(max(p.Col, 1)-1, len(chars))
	n = max(1, min(p.Len, len(chars)-from))
	lead := ""
	if len(chars) > maxLine {
		cut := max(0, min(from-maxLine/3, len(chars)-maxLine))
		if cut > 0 {
			lead = "…"
		}
		chars = chars[cut:]
		from -= cut
		if len(chars) > maxLine {
			chars = append(chars[:maxLine:maxLine], '…')
		}
		n = max(1, min(n, len(chars)-from))
	}
	blank := make([]rune, from)
	for i := range blank {
		blank[i] = ' '
		if chars[i] == '\t' {
			blank[i] = '\t'
		}
	}
	if lead != "" {
		blank = append(blank, ' ')
	}
	return clean(lead + string(chars)), string(blank), n
}

// maxText is the number of characters of a message that are shown. A message
// quotes the input, whose words may have any length.
const maxText = 600

// clean replaces characters that could move a terminal's cursor or break the layout.
func clean(s string) string {
	if len(s) > maxText {
		if chars := []rune(s); len(chars) > maxText {
			s = string(chars[:maxText]) + "…"
		}
	}
	return strings.Map(func(c rune) rune {
		if c != '\t' && (unicode.IsControl(c) || c == '\u2028' || c == '\u2029' || unicode.Is(unicode.Bidi_Control, c)) {
			return '�'
		}
		return c
	}, s)
}
