package rt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/weights"
	"lorac/runtime/weights/claims"
)

// FactsOf is the model of a job, for what files say to be compared with; nil where it is
// not known.
func FactsOf(j *Job) *claims.Facts {
	m := &j.Model
	if m.Hidden == 0 {
		return nil
	}
	return &claims.Facts{Hidden: m.Hidden, FFN: m.FFN, Layers: m.Layers, Heads: m.Heads, KVHeads: m.KvHeads, Vocab: j.Vocab,
		SeqLength: j.SeqLength, Eps: m.Eps, Theta: m.Theta, Method: m.Method, Factors: m.Factors, Tied: m.Tied, QKVBias: m.QKVBias, ProjBias: m.ProjBias, MLPBias: m.MLPBias,
		BOS: j.BosID, Pad: j.PadID, EOS: j.EosIDs, Grows: j.LoRA.Grows()}
}

// compareBase compares what the files of the base say of their model with what
// the trainer was compiled for. A difference is an error, or with --base_config
// ignore said and kept for the adapter.
func (l *Loader) compareBase(set weights.Set) error {
	facts := FactsOf(l.job)
	if facts == nil {
		return nil // a program that does not know its model
	}
	list, err := weights.Claims(l.job.LoadCheckpoint, set)
	if err != nil && !l.ignoreBase {
		return exit.Inputf("what is said of the base weights cannot be read: %w\n  = help: mend or remove the file; --base_config ignore continues without it", err)
	}
	l.ignored = claims.Compare(facts, list)
	for _, n := range claims.Notes(facts, list) {
		l.say("base: %s", n)
	}
	if len(l.ignored) == 0 {
		return nil
	}
	var lines []string
	for _, d := range l.ignored {
		lines = append(lines, fmt.Sprintf("%s is %s in %s, and %s in the trainer (%s)", d.Key, d.Said(), d.Place, d.Ours, l.job.Source))
	}
	if l.ignoreBase {
		for _, line := range lines {
			l.say("--base_config ignore: %s", line)
		}
		return nil
	}
	return exit.Inputf("the base contradicts the trainer:\n  %s\n  = help: compile one for this base: lorac finetune with this --load_checkpoint, and the config mended; --base_config ignore continues as compiled, which is recorded with the adapter",
		strings.Join(lines, "\n  "))
}

// sayIgnored repeats what was ignored when an adapter was trained, where a list of it
// is beside the adapter.
func (l *Loader) sayIgnored(path string) error {
	lines, err := claims.IgnoredAt(path)
	for _, line := range lines {
		l.say("the adapter %s: %s", path, line)
	}
	return exit.With(exit.Input, err)
}

// recordIgnored writes the list of what was ignored, or removes that of an earlier run.
func (l *Loader) recordIgnored(dir string) error {
	path := filepath.Join(dir, claims.IgnoredName)
	if len(l.ignored) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return exit.With(exit.Failed, err)
		}
		return nil
	}
	var list []claims.Ignored
	for _, d := range l.ignored {
		list = append(list, claims.Ignored{Key: d.Key, Place: d.Place.String(), Said: d.Said(), Trained: d.Ours})
	}
	err := atomicfile.WriteFile(path, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"ignored": list})
	})
	return exit.With(exit.Failed, err)
}
