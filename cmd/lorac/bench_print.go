package main

import (
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
)

// print writes the report as one table a part.
func (r *benchReport) print() {
	fmt.Printf("%s on %s (%s), %d threads\n\n", r.Config, r.CPU, r.Units, r.Threads)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "machine\tthreads\tFMA GFLOP/s\tread GB/s\tcopy GB/s\t")
	for _, l := range r.Machine {
		fmt.Fprintf(w, "\t%d\t%.0f\t%.1f\t%.1f\t\n", l.Threads, l.Peak, l.Read, l.Copy)
	}
	w.Flush()
	if len(r.Kernels) > 0 {
		fmt.Println()
		fmt.Fprintln(w, "kernel\trows\tms\tGFLOP/s\tGB/s\tof peak\t shape")
		for _, k := range r.Kernels {
			rate, moved := fmt.Sprintf("%.0f", k.GFLOPS), ""
			of := fmt.Sprintf("%.1f %%", share(k.Share))
			if k.GFLOPS == 0 {
				rate, moved = "", fmt.Sprintf("%.1f", k.GBps)
				of = fmt.Sprintf("%.2f × copy", k.Share)
			}
			fmt.Fprintf(w, "%s\t%d\t%.3f\t%s\t%s\t%s\t %s\n", k.Op, k.Rows, k.Millis, rate, moved, of, k.Shape)
		}
		w.Flush()
		fmt.Println("\nEvery share is the median of samples with the FMA peak taken just before and after; kernels that only move data\nare held against the memory's copy rate, which data that stays in a cache exceeds.")
		if len(r.Missing) > 0 {
			fmt.Printf("Not measured alone: %s.\n", strings.Join(r.Missing, ", "))
		}
	}
	if r.Step != nil {
		fmt.Println()
		r.Step.print()
	}
}

func (s *stepRate) print() {
	layers := fmt.Sprintf("%d layers", s.Layers)
	if s.Layers < s.Of {
		layers = fmt.Sprintf("%d of %d layers (%s)", s.Layers, s.Of, s.Why)
	}
	fmt.Printf("a step of %d live tokens, %s, synthetic %s base, median of %d steps behind one to warm up\n\n", s.Tokens, layers, s.DType, s.Steps)
	fmt.Printf("  %.1f tokens/s   %.4g GFLOP useful in %.4g s   %.1f GFLOP/s   %.1f %% of the FMA peak (%.0f)\n\n", s.TokensPS, s.FLOPs/1e9, s.Seconds, s.GFLOPS, share(s.Share), s.Peak)
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
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
	alone := 0.0
	var names []string
	for i, o := range s.Serial {
		alone += o.Share
		if i < 4 {
			names = append(names, fmt.Sprintf("%s %.2f %%", o.Name, 100*o.Share))
		}
	}
	fmt.Printf("\none thread alone %.2f %%", 100*alone)
	if len(names) > 0 {
		fmt.Printf(" (%s)", strings.Join(names, ", "))
	}
	fmt.Printf(", waiting for a kernel's last task %.2f %%, the other threads idle %.2f %% of their time\n", 100*s.Waiting, 100*s.Idle)
}
