package rt

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/disk"
	"lorac/runtime/weights"
	"lorac/runtime/weights/quantise"
)

// quantisedModel is what the file of a quantised base says of its model.
func quantisedModel(j *Job) quantise.Model {
	q := &j.Quant
	return quantise.Model{Name: j.Name, Width: q.Width, Hidden: q.Hidden, Layers: q.Layers, Heads: q.Heads, KVHeads: q.KvHeads,
		Context: j.SeqLength, Vocab: j.Vocab, Eps: q.Eps, Theta: q.Theta, Method: j.Model.Method, Factors: j.Model.Factors}
}

// quantised returns the base weights in blocks and their path: as they are when
// they are stored so already, else rewritten below output_dir, once for each
// state of the files. A process that did so is restarted by restart, if it is
// not nil, so that the memory for it is not part of the run's.
func (l *Loader) quantised(set weights.Set, path string, restart func()) (weights.Set, string, error) {
	q := &l.job.Quant
	if q.Kind == "" {
		return set, path, nil
	}
	if types, other := quantise.Blocks(set, q.Kind); len(types) > 0 {
		if other {
			l.say("quant %s: %s is stored in blocks already (%s) and is used as it is; for %s give the weights it was made of", q.Kind, path, quantise.Counts(types), q.Kind)
		}
		return set, path, nil
	}
	dir := filepath.Join(l.job.Output, "quantised_checkpoint")
	out := filepath.Join(dir, fmt.Sprintf("%s-%s.gguf", strings.TrimSuffix(filepath.Base(filepath.Clean(path)), filepath.Ext(path)), q.Kind))
	marker, sources := out+".from", fingerprint([]string{path}, q.Kind)
	if done, err := os.ReadFile(marker); err != nil || string(done) != sources || !disk.Exists(out) {
		if err := l.quantise(set, path, out); err != nil {
			return set, path, err
		}
		if err := atomicfile.WriteText(marker, sources); err != nil {
			return set, path, exit.With(exit.Failed, err)
		}
		if restart != nil && fingerprint([]string{path}, q.Kind) == sources { // else each start would find other files
			restart()
		}
	}
	set.Close()
	blocks, err := weights.Open(out)
	if err != nil {
		return nil, "", exit.Inputf("cannot open the quantised base weights: %w\n  = help: remove %s; it is then written again", err, dir)
	}
	return blocks, out, nil
}

// quantise writes the base weights in blocks and says what that cost.
func (l *Loader) quantise(set weights.Set, path, out string) error {
	kind := l.job.Quant.Kind
	l.say("quantising %s to %s: %s", path, kind, out)
	report, err := quantise.Write(l.k, out, set, kind, quantisedModel(l.job))
	if err != nil {
		return exit.Inputf("cannot quantise the base weights: %w", err)
	}
	l.say("  %.1f MiB became %.1f MiB, relative error of the numbers %.2g", float64(report.Before)/(1<<20), float64(report.After)/(1<<20), report.Error)
	if n := len(report.Left); n > 0 {
		l.say("  %d matrices stay as they were, their rows are no whole blocks of 32, such as %s", n, report.Left[0])
	}
	return nil
}
