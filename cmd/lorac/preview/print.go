package preview

import (
	"fmt"
	"io"
	"strings"

	"lorac/runtime/data/dataset"
	"lorac/runtime/sys/human"
)

// Colours of a row's tokens.
const (
	learned = "\x1b[32m"
	control = "\x1b[36m"
	plain   = "\x1b[0m"
)

// bar is how long the longest bar of the histogram is.
const bar = 40

// Print writes it for people. Where there are no colours, the supervised part of a row is
// in ⟦ ⟧.
func (p *Preview) Print(out io.Writer) {
	for _, line := range p.Said {
		fmt.Fprintln(out, line)
	}
	if p.Prompt != "" {
		fmt.Fprintf(out, "rows are rendered by the prompt %s\n", p.Prompt)
	}
	fmt.Fprintf(out, "%s tokens, %s supervised (%.1f %%); cut: %d, the same as an earlier row: %d, cannot train: %d\n",
		human.Thousands(p.Tokens), human.Thousands(p.Supervised), 100*p.Share, p.Truncated, p.Duplicates.Rows, p.LeftOut)
	for i, d := range p.Duplicates.First {
		if i == 3 && p.Duplicates.Rows > 4 {
			fmt.Fprintf(out, "  … and %d more\n", p.Duplicates.Rows-i)
			break
		}
		of := fmt.Sprintf("row %d", d.Of.Row)
		if d.Of.File != d.File {
			of += " of " + human.Line(d.Of.File)
		}
		fmt.Fprintf(out, "  row %d of %s is the same as %s\n", d.Row, human.Line(d.File), of)
	}
	p.Lengths.print(out)
	colours := human.Coloured(out)
	if len(p.Shown) > 0 && colours {
		fmt.Fprintf(out, "\n%ssupervised%s, %scontrol token%s, others are read only\n", learned, plain, control, plain)
	} else if len(p.Shown) > 0 {
		fmt.Fprintln(out, "\nsupervised part in ⟦ ⟧, control tokens in ⟨ ⟩")
	}
	for _, r := range p.Shown {
		r.print(out, colours)
	}
}

func (l *Lengths) print(out io.Writer) {
	fmt.Fprintf(out, "\nids of a row before it is cut: %d to %d, median %d, 95 %% have at most %d\n", l.Least, l.Most, l.Median, l.Most95)
	most := 1
	for _, c := range l.Classes {
		most = max(most, c.Rows)
	}
	wide := len(fmt.Sprint(l.Most))
	for _, c := range l.Classes {
		n := c.Rows * bar / most
		if c.Rows > 0 {
			n = max(n, 1)
		}
		class := fmt.Sprintf("%*d", wide, c.From)
		if c.To > c.From {
			class += fmt.Sprintf(" … %*d", wide, c.To)
		}
		fmt.Fprintln(out, strings.TrimRight(fmt.Sprintf("  %s %6d %s", class, c.Rows, strings.Repeat("█", n)), " "))
	}
}

func (r *Row) print(out io.Writer, colours bool) {
	fmt.Fprintf(out, "\nrow %d of %s: %s, %d supervised\n", r.Row, human.Line(r.File), human.Count(len(r.IDs), "id"), r.Supervised)
	text := r.Text
	if colours {
		var b strings.Builder
		for _, part := range r.parts {
			b.WriteString(paint(part.Text, part.Supervised, part.Control))
		}
		text = b.String()
	}
	if text != "" {
		fmt.Fprintln(out, "    "+strings.ReplaceAll(text, "\n", "\n    "))
	}
	fmt.Fprintln(out, "  ids: "+r.ids(colours))
}

// paint colours a part of a row, each line of it.
func paint(text string, supervised, isControl bool) string {
	colour := ""
	switch {
	case supervised:
		colour = learned
	case isControl:
		colour = control
	default:
		return text
	}
	return colour + strings.ReplaceAll(text, "\n", plain+"\n"+colour) + plain
}

// ids lists the ids with their mask.
func (r *Row) ids(colours bool) string {
	var b strings.Builder
	on := false
	for i, id := range r.IDs {
		supervised := i > 0 && r.Labels[i] != dataset.Ignore
		if i > 0 {
			b.WriteByte(' ')
		}
		if colours {
			b.WriteString(paint(fmt.Sprint(id), supervised, false))
			continue
		}
		if supervised && !on {
			b.WriteString("⟦")
		}
		fmt.Fprint(&b, id)
		if last := i+1 == len(r.IDs); supervised && (last || r.Labels[i+1] == dataset.Ignore) {
			b.WriteString("⟧")
		}
		on = supervised
	}
	return b.String()
}
