package report

import (
	"fmt"
	"html"
	"math"
	"path/filepath"
	"strings"

	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/human"
)

// Table is a list of facts with a title.
type Table struct {
	Title string
	Rows  [][2]string
}

// The colours of curves.
const blue, orange, green = "#1f5fa8", "#c4560c", "#2b7a3d"

// losses is the chart of loss and evaluations.
func (m *Metrics) losses() string {
	x, y := m.steps(func(s Step) float64 { return number(s.Loss) })
	eval := Line{Name: "evaluation", Colour: orange, Dots: true}
	for _, e := range m.Evaluations {
		eval.X, eval.Y = append(eval.X, e.Step), append(eval.Y, number(e.Loss))
	}
	return Chart("loss", Line{Colour: blue, X: x, Y: y, Faint: true}, Line{Name: "training, smoothed", Colour: blue, X: x, Y: smooth(y, 0.9)}, eval)
}

func (m *Metrics) steps(of func(Step) float64) (x []int, y []float64) {
	for _, s := range m.Steps {
		x, y = append(x, s.Step), append(y, of(s))
	}
	return x, y
}

func number(x *float64) float64 {
	if x == nil {
		return math.NaN()
	}
	return *x
}

// Write writes report.html and loss.svg to a directory; facts come after the curves.
func (m *Metrics) Write(dir, title string, facts []Table) error {
	losses := m.losses()
	if losses == "" {
		return nil // nothing was measured
	}
	if err := atomicfile.WriteText(filepath.Join(dir, "loss.svg"), losses); err != nil {
		return err
	}
	return atomicfile.WriteText(filepath.Join(dir, "report.html"), m.page(title, losses, facts))
}

func (m *Metrics) page(title, losses string, facts []Table) string {
	var b strings.Builder
	title = html.EscapeString(title)
	fmt.Fprintf(&b, `<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>%s</title>
<style>body{font:15px/1.45 sans-serif;max-width:800px;margin:2em auto;padding:0 1em;color:#222;background:#fff}svg{max-width:100%%;height:auto}
table{border-collapse:collapse}td{padding:2px 12px 2px 0;vertical-align:top;border-bottom:1px solid #eee;overflow-wrap:anywhere}td:first-child{color:#555}.text td{white-space:pre-wrap}h2{margin-top:1.6em;font-size:1.1em}</style></head>
<body><h1>%s</h1>
`, title, title)
	table(&b, Table{"Result", m.Result()})
	b.WriteString(losses)
	for _, c := range []struct {
		title, colour string
		of            func(Step) float64
	}{{"learning rate", green, func(s Step) float64 { return s.LR }}, {"gradient norm", blue, func(s Step) float64 { return number(s.GradNorm) }}, {"tokens a second", orange, func(s Step) float64 { return s.Speed }}} {
		x, y := m.steps(c.of)
		b.WriteString(Chart(c.title, Line{Colour: c.colour, X: x, Y: y}))
	}
	m.samples(&b)
	for _, t := range facts {
		table(&b, t)
	}
	b.WriteString("</body></html>\n")
	return b.String()
}

// samples shows how the model continued prompts before and after training.
func (m *Metrics) samples(b *strings.Builder) {
	if len(m.Before)+len(m.After) == 0 {
		return
	}
	b.WriteString("<h2>Samples</h2>\n<table>\n<tr><td>prompt</td><td>before training</td><td>after training</td></tr>\n")
	cell := func(list []Sample, i int, of func(Sample) string) string {
		if i >= len(list) {
			return ""
		}
		return html.EscapeString(of(list[i]))
	}
	prompt, text := func(s Sample) string { return s.Prompt }, func(s Sample) string { return s.Text }
	for i := range max(len(m.Before), len(m.After)) {
		asked := cell(m.After, i, prompt)
		if i < len(m.Before) {
			asked = cell(m.Before, i, prompt)
		}
		fmt.Fprintf(b, "<tr class=\"text\"><td>%s</td><td>%s</td><td>%s</td></tr>\n", asked, cell(m.Before, i, text), cell(m.After, i, text))
	}
	b.WriteString("</table>\n")
}

func table(b *strings.Builder, t Table) {
	if len(t.Rows) == 0 {
		return
	}
	fmt.Fprintf(b, "<h2>%s</h2>\n<table>\n", html.EscapeString(t.Title))
	for _, r := range t.Rows {
		fmt.Fprintf(b, "<tr><td>%s</td><td>%s</td></tr>\n", html.EscapeString(r[0]), html.EscapeString(r[1]))
	}
	b.WriteString("</table>\n")
}

// Result is what came of the run, in words.
func (m *Metrics) Result() (rows [][2]string) {
	add := func(name, format string, args ...any) {
		rows = append(rows, [2]string{name, fmt.Sprintf(format, args...)})
	}
	if n := len(m.Steps); n > 0 {
		first, last := m.Steps[0], m.Steps[n-1]
		add("steps", "%d, %s", last.Step, span(m.Seconds()))
		skipped, tokens := 0, 0
		for _, s := range m.Steps {
			if tokens += s.Tokens; s.Overflow {
				skipped++
			}
		}
		if skipped > 0 {
			add("skipped", "%s, whose gradients were not finite", human.Count(skipped, "step"))
		}
		add("tokens", "%s, %.0f a second", human.Thousands(tokens), m.Speed())
		add("training loss", "%.4f to %.4f", number(first.Loss), number(last.Loss))
	}
	var losses []Evaluation
	for _, e := range m.Evaluations {
		if e.Loss != nil {
			losses = append(losses, e)
		}
	}
	if n := len(losses); n > 1 {
		add("evaluation loss", "%.4f (step %d) to %.4f (step %d)", *losses[0].Loss, losses[0].Step, *losses[n-1].Loss, losses[n-1].Step)
	}
	if best, ok := m.Best(); ok {
		add("best evaluation", "%.4f after step %d", *best.Loss, best.Step)
	}
	if m.Stopped != "" {
		add("stopped", "by %s", m.Stopped)
	}
	return rows
}

// span writes seconds for people.
func span(s float64) string {
	switch n := int(s); {
	case n < 60:
		return fmt.Sprintf("%.1f s", s)
	case n < 3600:
		return fmt.Sprintf("%d min %d s", n/60, n%60)
	default:
		return fmt.Sprintf("%d h %d min", n/3600, n/60%60)
	}
}
