package diag

import (
	"fmt"
	"io"
	"sort"
	"strings"
)

// Render writes the list in the form of rustc: message, place, the lines with
// carets, help and notes. sources holds the texts by file name; a file not in
// it is shown by place only.
func Render(w io.Writer, l List, sources map[string][]byte, color bool) {
	for i, d := range l {
		if i > 0 {
			fmt.Fprintln(w)
		}
		renderOne(w, d, sources, color)
	}
}

var paint = map[Severity]string{Error: "\x1b[1;31m", Warning: "\x1b[1;33m", Note: "\x1b[1;36m"}

func renderOne(w io.Writer, d *Diagnostic, sources map[string][]byte, color bool) {
	head := d.Severity.String()
	if d.Code != "" {
		head += "[" + d.Code + "]"
	}
	if color {
		head = paint[d.Severity] + head + "\x1b[0m"
	}
	fmt.Fprintf(w, "%s: %s\n", head, d.Message)
	spans := append([]Span{{d.Pos, d.Label}}, d.Also...)
	width := 1
	for _, s := range spans {
		width = max(width, len(fmt.Sprint(s.Pos.Line)))
	}
	margin := strings.Repeat(" ", width)
	if d.Pos.File != "" {
		fmt.Fprintf(w, "%s--> %s\n", margin, d.Pos)
	}
	snippet(w, spans, sources[d.Pos.File], margin, d.Pos)
	if d.Help != "" {
		fmt.Fprintf(w, "%s = help: %s\n", margin, d.Help)
	}
	for _, n := range d.Notes {
		fmt.Fprintf(w, "%s = note: %s\n", margin, n)
	}
}

// snippet shows the lines of the spans in order, the primary one under ^^^.
func snippet(w io.Writer, spans []Span, src []byte, margin string, primary Pos) {
	if len(src) == 0 || !primary.Known() {
		return
	}
	lines := strings.Split(string(src), "\n")
	shown := spans[:0:0]
	for _, s := range spans {
		if s.Pos.File == primary.File && s.Pos.Known() && s.Pos.Line <= len(lines) {
			shown = append(shown, s)
		}
	}
	if len(shown) == 0 {
		return
	}
	sort.SliceStable(shown, func(i, j int) bool { return shown[i].Pos.Line < shown[j].Pos.Line })
	fmt.Fprintf(w, "%s |\n", margin)
	last := 0
	for _, s := range shown {
		if last > 0 && s.Pos.Line > last+1 {
			fmt.Fprintln(w, "...")
		}
		line := strings.TrimRight(lines[s.Pos.Line-1], "\r")
		if s.Pos.Line != last {
			fmt.Fprintf(w, "%*d | %s\n", len(margin), s.Pos.Line, line)
		}
		last = s.Pos.Line
		mark := "-"
		if s.Pos == primary {
			mark = "^"
		}
		col := min(max(s.Pos.Col, 1), len(line)+1)
		n := max(1, min(s.Pos.Len, len(line)-col+1))
		pad := strings.Map(func(r rune) rune {
			if r == '\t' {
				return '\t'
			}
			return ' '
		}, line[:col-1])
		fmt.Fprintf(w, "%s | %s%s %s\n", margin, pad, strings.Repeat(mark, n), s.Label)
	}
	fmt.Fprintf(w, "%s |\n", margin)
}
