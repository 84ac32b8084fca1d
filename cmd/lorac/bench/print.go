package bench

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"lorac/ir"
	"lorac/runtime/sys/human"
)

// Print writes the report as one table a part.
func (r *Report) Print(out io.Writer) {
	if r.Device != "" {
		fmt.Fprintln(out, r.Device)
	}
	if r.Config != "" {
		fmt.Fprintf(out, "%s on ", r.Config)
	}
	fmt.Fprintf(out, "%s (%s), %s\n\n", r.CPU, r.Units, human.Count(r.Threads, "thread"))
	w := table(out)
	fmt.Fprintln(w, "machine\tthreads\tFMA GFLOP/s\tread GB/s\tcopy GB/s\t")
	for _, l := range r.Machine {
		fmt.Fprintf(w, "\t%d\t%.0f\t%.1f\t%.1f\t\n", l.Threads, l.Peak, l.Read, l.Copy)
	}
	w.Flush()
	if len(r.Kernels) > 0 {
		fmt.Fprintln(out)
		r.printKernels(out)
	}
	if len(r.Texts) > 0 {
		fmt.Fprintln(out)
		r.printTexts(out)
	}
	if r.Step != nil {
		fmt.Fprintln(out)
		r.Step.print(out, r.Threads)
	}
}

func table(out io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
}

func (r *Report) printKernels(out io.Writer) {
	w := table(out)
	fmt.Fprintln(w, "kernel\trows\tms\tGFLOP/s\tGB/s\tof peak\t shape")
	eight := false
	for _, k := range r.Kernels {
		rate, moved := fmt.Sprintf("%.0f", k.GFLOPS), ""
		of := fmt.Sprintf("%.1f %%", share(k.Share))
		if k.ShareOf == ofCopy {
			rate, moved = "", fmt.Sprintf("%.1f", k.GBps)
			of = fmt.Sprintf("%.2f × copy", k.Share)
		}
		eight = eight || strings.Contains(k.Shape, " "+ir.I8.String())
		fmt.Fprintf(w, "%s\t%d\t%.3f\t%s\t%s\t%s\t %s\n", k.Op, k.Rows, k.Millis, rate, moved, of, k.Shape)
	}
	w.Flush()
	fmt.Fprint(out, "\nEvery share is the median of samples with the FMA peak taken just before and after; kernels that only move data\n",
		"are held against the memory's copy rate, which data that stays in a cache exceeds.\n")
	if eight {
		fmt.Fprintf(out, "Products in eight bits (%s) are held against the peak of f32, too, which they exceed.\n", ir.I8)
	}
	if len(r.Missing) > 0 {
		fmt.Fprintf(out, "Not measured alone: %s.\n", strings.Join(r.Missing, ", "))
	}
}

func (s *stepRate) print(out io.Writer, threads int) {
	layers := human.Count(s.Layers, "layer")
	if s.Layers < s.Of {
		layers = fmt.Sprintf("%d of %s (%s)", s.Layers, human.Count(s.Of, "layer"), s.Why)
	}
	base := fmt.Sprintf("synthetic %s base", s.DType)
	if s.Compute != "f32" {
		base += ", compute " + s.Compute
	}
	fmt.Fprintf(out, "a step of %s, %s, %s, median of %s after one to warm up\n", human.Count(s.Tokens, "live token"), layers, base, human.Count(s.Steps, "step"))
	switch {
	case s.Choice != "":
		fmt.Fprintf(out, "for --mem_limit %s: %s\n", human.Bytes(s.Limit), s.Choice)
	case s.Limit > 0:
		fmt.Fprintf(out, "--mem_limit %s: nothing needs to be recomputed\n", human.Bytes(s.Limit))
	}
	fmt.Fprintf(out, "\n  %.1f tokens/s   %.4g GFLOP useful in %.4g s   %.1f GFLOP/s   %.1f %% of the FMA peak (%.0f)\n\n",
		s.TokensPS, s.FLOPs/1e9, s.Seconds, s.GFLOPS, share(s.Share), s.Peak)
	if s.Samples < leastSamples {
		fmt.Fprintf(out, "The run was too short to say where its time went (%s, %d are enough); --steps makes it longer.\n", human.Count(s.Samples, "sample"), leastSamples)
		return
	}
	w := table(out)
	fmt.Fprintln(w, "op\tof the step\tGFLOP/s\t")
	for _, o := range s.Ops {
		rate := ""
		if o.GFLOPS > 0 {
			rate = fmt.Sprintf("%.0f", o.GFLOPS)
		}
		if o.Share >= 0.0005 {
			fmt.Fprintf(w, "%s\t%.1f %%\t%s\t\n", o.Name, share(o.Share), rate)
		}
	}
	w.Flush()
	if threads > 1 { // else there is nobody to wait for, and all is done by one
		s.printThreads(out)
	}
}

// printThreads says what keeps the threads from working all the time.
func (s *stepRate) printThreads(out io.Writer) {
	alone := 0.0
	var names []string
	for i, o := range s.Serial {
		alone += o.Share
		if i < 4 {
			names = append(names, fmt.Sprintf("%s %.2f %%", o.Name, 100*o.Share))
		}
	}
	fmt.Fprintf(out, "\none thread alone %.2f %% of the step, waiting for a kernel's last task %.2f %%,\n", 100*alone, 100*s.Waiting)
	fmt.Fprintf(out, "the other threads idle %.2f %% of their time\n", 100*s.Idle)
	if len(names) > 0 {
		fmt.Fprintf(out, "what one thread does alone: %s\n", strings.Join(names, ", "))
	}
}
