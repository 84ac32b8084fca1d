package bench

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"lorac/runtime/sys/human"
)

// Print writes the report for people.
func (r *AscendReport) Print(out io.Writer) {
	fmt.Fprintln(out, r.Device)
	if !r.Measured {
		fmt.Fprintln(out, "nothing is measured: the numbers follow from the sizes of tiles and the card's data sheet")
	}
	if len(r.Calls) > 0 {
		r.printCalls(out)
	}
	if len(r.Missing) > 0 {
		fmt.Fprintf(out, "Not counted: %s.\n", strings.Join(r.Missing, ", "))
	}
	if r.Step != nil {
		r.Step.print(out)
	}
}

func (r *AscendReport) printCalls(out io.Writer) {
	fmt.Fprintf(out, "\n%s\n\n", r.Config)
	w := r.table()
	cells := []any{"rows", "runs", "launches", "blocks", "GFLOP", "MB in", "MB out", "roofline µs", "bound", "useful", "TB/s"}
	if r.Measured {
		cells = append(cells, "measured µs", "of roofline")
	}
	w.row("call", "kernel", "shape", cells...)
	sums := ascendSums{}
	for _, c := range r.Calls {
		w.call(&c)
		sums.add(&c)
	}
	w.flush(out)
	fmt.Fprint(out, "\nblocks: cores, of mixed kernels groups of one cube and two vector cores. MB in, MB out: what cores\n",
		"read and write, mostly in the L2, the cache they share. roofline: each operand once through HBM, or what must be\n")
	fmt.Fprintf(out, "multiplied, at %.1f TB/s and %.1f TFLOP/s of Ascend %s. useful: what must be done, over what kernels do.\n",
		r.Bandwidth/1e12, r.Peak/1e12, r.SoC)
	fmt.Fprint(out, "TB/s: MB in and MB out over the roofline's time: the rate at which the L2 would have to serve the cores. It was\n",
		"seen to give 3.4 TB/s in products of matrices, and is said to give 7 TB/s at most. A call that needs more than\n",
		"that cannot reach its roofline.\n")
	if r.Measured {
		fmt.Fprint(out, "measured: the median by the device's clock, one kernel again and again: operands that fit in the L2 stay there.\n")
	}
	sums.print(out, r.Measured)
}

// ascendTable has numbers to the right, names and shapes to the left.
type ascendTable struct {
	text          *bytes.Buffer
	out           *tabwriter.Writer
	calls, kernel int // widths
	measured      bool
}

func (r *AscendReport) table() ascendTable {
	t := ascendTable{text: &bytes.Buffer{}, measured: r.Measured}
	t.out = tabwriter.NewWriter(t.text, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, c := range r.Calls {
		t.calls = max(t.calls, len(c.Call))
		for _, k := range c.Kernels {
			t.kernel = max(t.kernel, len(k.Kernel))
		}
	}
	return t
}

func (t ascendTable) row(call, kernel, shape string, cells ...any) {
	fmt.Fprintf(t.out, "%-*s  %-*s\t", t.calls, call, t.kernel, kernel)
	for _, c := range cells {
		if x, ok := c.(float64); ok {
			c = digits(x)
		}
		fmt.Fprintf(t.out, "%v\t", c)
	}
	fmt.Fprintf(t.out, " %s\n", shape)
}

func (t ascendTable) flush(out io.Writer) {
	t.out.Flush()
	for line := range strings.Lines(t.text.String()) {
		fmt.Fprintln(out, strings.TrimRight(line, " \n"))
	}
}

// digits is a number in three digits, or all before the point.
func digits(x float64) string {
	switch {
	case x >= 99.95:
		return fmt.Sprintf("%.0f", x)
	case x != 0 && x < 0.001:
		return "<0.001"
	}
	return fmt.Sprintf("%.3g", x)
}

// call is a row, and one for each of its kernels where there are several.
func (t ascendTable) call(c *ascendCall) {
	percent := func(x float64) string { return fmt.Sprintf("%.1f %%", share(x)) }
	launches, blocks, kernel := 0, 0, ""
	for _, k := range c.Kernels {
		launches += k.Launches
		blocks = max(blocks, k.Blocks)
	}
	if len(c.Kernels) == 1 {
		kernel = c.Kernels[0].Kernel
	}
	cells := []any{c.Rows, c.Runs, launches, blocks, float64(c.Work.FLOPs) / 1e9, float64(c.In) / 1e6, float64(c.Out) / 1e6,
		1e6 * c.Bound.Seconds, c.By, percent(c.Useful), float64(c.In+c.Out) / c.Bound.Seconds / 1e12}
	if t.measured {
		cells = append(cells, 1e6*c.Seconds, percent(c.Share))
	}
	t.row(c.Call, kernel, c.Shape, cells...)
	if kernel != "" {
		return
	}
	for _, k := range c.Kernels {
		cells := []any{"", "", k.Launches, k.Blocks, float64(k.FLOPs) / 1e9, float64(k.In) / 1e6, float64(k.Out) / 1e6, "", "", "", ""}
		if t.measured {
			cells = append(cells, 1e6*k.Seconds, "")
		}
		t.row("", k.Kernel, "", cells...)
	}
}

// ascendSums is the sums of all calls by their number of rows.
type ascendSums struct {
	rows  []int
	total map[int]*[3]float64 // launches, seconds at best, seconds measured
}

func (s *ascendSums) add(c *ascendCall) {
	if s.total == nil {
		s.total = map[int]*[3]float64{}
	}
	t := s.total[c.Rows]
	if t == nil {
		t = &[3]float64{}
		s.rows, s.total[c.Rows] = append(s.rows, c.Rows), t
	}
	n := float64(c.Runs)
	t[0] += n * float64(len(c.recording.Launches))
	t[1] += n * c.Bound.Seconds
	t[2] += n * c.Seconds
}

func (s *ascendSums) print(out io.Writer, measured bool) {
	fmt.Fprintln(out)
	for _, rows := range s.rows {
		t := s.total[rows]
		fmt.Fprintf(out, "a step of one micro-batch of %s: %s launches, %.4g ms at best", human.Count(rows, "row"), human.Thousands(int(t[0])), 1e3*t[1])
		if measured {
			fmt.Fprintf(out, ", %.4g ms measured one by one (%.1f %%)", 1e3*t[2], share(t[1]/t[2]))
		}
		fmt.Fprintln(out)
	}
}

func (s *ascendStep) print(out io.Writer) {
	layers := human.Count(s.Layers, "layer")
	if s.Layers < s.Of {
		layers = fmt.Sprintf("%d of %s", s.Layers, human.Count(s.Of, "layer"))
	}
	fmt.Fprintf(out, "\na whole step of %s, %s, median of %s after one to warm up, host and copies included:\n\n", human.Count(s.Tokens, "live token"), layers, human.Count(s.Steps, "step"))
	fmt.Fprintf(out, "  %.1f tokens/s   %.4g TFLOP useful in %.4g s   %d launches   %.1f %% of the roofline (%.4g s)\n",
		s.TokensPS, s.FLOPs/1e12, s.Seconds, s.Launches, share(s.Share), s.Roofline)
}
