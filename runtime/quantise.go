package rt

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/weights"
	"lorac/runtime/weights/quantise"
)

// Quant says that the frozen base is to lie in blocks (Kind, "" for as it is),
// and of which model it is.
type Quant struct {
	Kind                                  string
	Width, Hidden, Layers, Heads, KvHeads int
	Eps, Theta                            float64
}

// model is what its file says.
func (j *Job) model() quantise.Model {
	q := &j.Quant
	return quantise.Model{Name: j.Name, Width: q.Width, Hidden: q.Hidden, Layers: q.Layers, Heads: q.Heads, KVHeads: q.KvHeads,
		Context: j.SeqLength, Vocab: j.Vocab, Eps: q.Eps, Theta: q.Theta}
}

// quantised returns the base weights in blocks: as they are when they lie so
// already, else rewritten below output_dir, once for each state of the files,
// before the run proper.
func (r *Run) quantised(set weights.Set, path string) (weights.Set, string) {
	q := &r.job.Quant
	if q.Kind == "" {
		return set, path
	}
	if types, other := quantise.Blocks(set, q.Kind); len(types) > 0 {
		if other {
			r.say("quant %s: %s lies in blocks already (%s) and is used as it is; for %s give the weights it was made of", q.Kind, path, quantise.Counts(types), q.Kind)
		}
		return set, path
	}
	dir := filepath.Join(r.job.Output, "quantised_checkpoint")
	out := filepath.Join(dir, fmt.Sprintf("%s-%s.gguf", strings.TrimSuffix(filepath.Base(filepath.Clean(path)), filepath.Ext(path)), q.Kind))
	marker, sources := out+".from", fingerprint([]string{path}, q.Kind)
	if done, err := os.ReadFile(marker); err != nil || string(done) != sources || !exists(out) {
		r.say("quantising %s to %s: %s", path, q.Kind, out)
		report, err := quantise.Write(r.k, out, set, q.Kind, r.job.model())
		if err != nil {
			r.fail(1, "cannot quantise the base weights: %v", err)
		}
		if err := atomicfile.WriteFile(marker, func(w io.Writer) error { _, err := io.WriteString(w, sources); return err }); err != nil {
			r.fail(3, "%v", err)
		}
		r.say("  %.1f MiB became %.1f MiB, relative error of the numbers %.2g", float64(report.Before)/(1<<20), float64(report.After)/(1<<20), report.Error)
		if n := len(report.Left); n > 0 {
			r.say("  %d matrices stay as they were, their rows are no whole blocks of 32, such as %s", n, report.Left[0])
		}
		if fingerprint([]string{path}, q.Kind) == sources { // else each beginning would find other files
			again()
		}
	}
	set.Close()
	again, err := weights.Open(out)
	if err != nil {
		r.fail(1, "cannot open the quantised base weights: %v\n  = help: remove %s; it is then made anew", err, dir)
	}
	return again, out
}
