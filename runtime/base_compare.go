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

// compareBase compares what the files of the base say of their model with what
// the trainer was compiled for. A difference is an error, or with --base_config
// ignore said and kept for the adapter.
func (l *Loader) compareBase(set weights.Set) error {
	m := &l.job.Model
	if m.Hidden == 0 {
		return nil // a program that does not know its model
	}
	list, err := weights.Claims(l.job.LoadCheckpoint, set)
	if err != nil && !l.ignoreBase {
		return exit.Inputf("what is said of the base weights cannot be read: %w\n  = help: mend or remove the file; --base_config ignore continues without it", err)
	}
	l.ignored = claims.Compare(&claims.Facts{Hidden: m.Hidden, FFN: m.FFN, Layers: m.Layers, Heads: m.Heads, KVHeads: m.KvHeads, Vocab: l.job.Vocab,
		SeqLength: l.job.SeqLength, Eps: m.Eps, Theta: m.Theta, Method: m.Method, Factors: m.Factors, Tied: m.Tied}, list)
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

// ignoredName is the file beside an adapter or a model that lists what
// --base_config ignore passed over.
const ignoredName = "base_config_ignored.json"

// recordIgnored writes that list, or removes that of an earlier run.
func (l *Loader) recordIgnored(dir string) error {
	path := filepath.Join(dir, ignoredName)
	if len(l.ignored) == 0 {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return exit.With(exit.Failed, err)
		}
		return nil
	}
	type entry struct {
		Key     string `json:"key"`
		File    string `json:"place"` // of what was ignored
		Said    string `json:"says"`
		Trained string `json:"trained_with"`
	}
	var list []entry
	for _, d := range l.ignored {
		list = append(list, entry{d.Key, d.Place.String(), d.Said(), d.Ours})
	}
	err := atomicfile.WriteFile(path, func(w io.Writer) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(map[string]any{"ignored": list})
	})
	return exit.With(exit.Failed, err)
}
