package report

import (
	"fmt"
	"html"
	"math"
	"strings"
)

// Line is a curve; what is NaN is left out.
type Line struct {
	Name, Colour string
	X            []int
	Y            []float64
	Faint, Dots  bool
}

// The size of a chart and what its axes take of it.
const width, height, left, right, top, bottom = 760, 300, 64, 16, 34, 30

// most is how many points of a curve are drawn: the lowest and the highest of each run of
// steps, where there are more.
const most = 1400

// Chart is an SVG of curves over steps; "" where none has a point.
func Chart(title string, lines ...Line) string {
	x0, x1, y0, y1 := math.MaxInt, math.MinInt, math.Inf(1), math.Inf(-1)
	for i := range lines {
		lines[i] = lines[i].numbers()
		for k, x := range lines[i].X {
			x0, x1, y0, y1 = min(x0, x), max(x1, x), min(y0, lines[i].Y[k]), max(y1, lines[i].Y[k])
		}
	}
	if x0 > x1 {
		return ""
	}
	if y0 == y1 {
		pad := max(math.Abs(y0)/10, 1e-9)
		y0, y1 = y0-pad, y1+pad
	}
	if x0 == x1 {
		x0, x1 = x0-1, x1+1
	}
	px := func(x float64) float64 { return left + (x-float64(x0))/float64(x1-x0)*(width-left-right) }
	py := func(y float64) float64 { return height - bottom - (y-y0)/(y1-y0)*(height-top-bottom) }
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" font-family="sans-serif" font-size="11">`+"\n", width, height, width, height)
	fmt.Fprintf(&b, `<title>%s</title><rect width="%d" height="%d" fill="#fff"/><text x="%d" y="18" font-size="14" font-weight="bold" fill="#222">%s</text>`+"\n", html.EscapeString(title), width, height, left, html.EscapeString(title))
	for _, y := range ticks(y0, y1, 5) {
		fmt.Fprintf(&b, `<path d="M%d %.1fH%d" stroke="#e4e4e4"/><text x="%d" y="%.1f" text-anchor="end" fill="#555">%.4g</text>`+"\n", left, py(y), width-right, left-6, py(y)+4, y)
	}
	for _, x := range ticks(float64(x0), float64(x1), 8) {
		if x == math.Trunc(x) {
			fmt.Fprintf(&b, `<text x="%.1f" y="%d" text-anchor="middle" fill="#555">%.0f</text>`+"\n", px(x), height-10, x)
		}
	}
	at := float64(width - right)
	for i := len(lines) - 1; i >= 0; i-- {
		if l := lines[i]; l.Name != "" && len(l.X) > 0 {
			fmt.Fprintf(&b, `<text x="%.0f" y="18" text-anchor="end" fill="%s">%s</text>`+"\n", at, l.Colour, html.EscapeString(l.Name))
			at -= 8*float64(len(l.Name)) + 12
		}
	}
	for _, l := range lines {
		x, y := thin(l.X, l.Y)
		opacity := 1.0
		if l.Faint {
			opacity = 0.3
		}
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.6" stroke-opacity="%g" points="`, l.Colour, opacity)
		for i := range x {
			fmt.Fprintf(&b, "%.1f,%.1f ", px(float64(x[i])), py(y[i]))
		}
		b.WriteString("\"/>\n")
		for i := range x {
			if l.Dots || len(x) == 1 {
				fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3" fill="%s"><title>step %d: %.6g</title></circle>`+"\n", px(float64(x[i])), py(y[i]), l.Colour, x[i], y[i])
			}
		}
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// numbers is the curve without what is not finite.
func (l Line) numbers() Line {
	out := l
	out.X, out.Y = nil, nil
	for i, y := range l.Y {
		if !math.IsNaN(y) && !math.IsInf(y, 0) {
			out.X, out.Y = append(out.X, l.X[i]), append(out.Y, y)
		}
	}
	return out
}

// thin is at most so many points of a curve that look like all of them.
func thin(x []int, y []float64) ([]int, []float64) {
	if len(x) <= most {
		return x, y
	}
	var xs []int
	var ys []float64
	for k, parts := 0, most/2; k < parts; k++ {
		from, to := k*len(x)/parts, (k+1)*len(x)/parts
		low, high := from, from
		for i := from; i < to; i++ {
			if y[i] < y[low] {
				low = i
			}
			if y[i] > y[high] {
				high = i
			}
		}
		for _, i := range []int{min(low, high), max(low, high)} {
			xs, ys = append(xs, x[i]), append(ys, y[i])
		}
	}
	return xs, ys
}

// ticks are round numbers of a range, about n.
func ticks(from, to float64, n int) (out []float64) {
	step := math.Pow(10, math.Floor(math.Log10((to-from)/float64(n))))
	for _, f := range []float64{1, 2, 5, 10} {
		if (to-from)/(step*f) <= float64(n) {
			step *= f
			break
		}
	}
	for i := math.Ceil(from / step); i*step <= to; i++ {
		out = append(out, i*step)
	}
	return out
}
