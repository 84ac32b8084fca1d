package rt

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"lorac/runtime/exit"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/sharded"
)

// savedMindspore is the checkpoint that resuming from a directory of rank_0 takes
// (MindFormers r1.3 trainer/utils.py): the one that is named, else the one
// meta.json calls the last, else the newest that can be read. A directory of
// unified parts or of Checkpoint 2.0 is taken as it is. It is "" when there is none;
// note says why it is not the one that was expected.
func savedMindspore(dir, named string) (path, note string, err error) {
	rank := filepath.Join(dir, "rank_0")
	if named != "" {
		named = ofAnyRank.ReplaceAllString(named, "rank_0")
		for _, name := range []string{named, named + ".ckpt", named + mindspore.Suffix} {
			if path := filepath.Join(rank, name); disk.Exists(path) {
				return path, "", nil
			}
		}
		if path := filepath.Join(dir, named); isDirectory(path) {
			return path, "", nil
		}
		return "", "", fmt.Errorf("%s is not there", filepath.Join(rank, named))
	}
	if !disk.Exists(rank) {
		d, err := mindspore.FindDirectory(dir)
		if d == nil || err != nil {
			return "", "", err
		}
		return d.Path, "", nil
	}
	list, err := sharded.All(rank, 0)
	if len(list) == 0 || err != nil {
		return "", "", err
	}
	if text, err := os.ReadFile(filepath.Join(rank, "meta.json")); err == nil {
		var m meta
		switch err := json.Unmarshal(text, &m); {
		case err != nil:
			note = fmt.Sprintf("meta.json is damaged (%v)", err)
		case m.File != filepath.Base(m.File) || !mindspore.IsCheckpoint(m.File):
			return "", "", fmt.Errorf("%s does not name a checkpoint (%.60q)", filepath.Join(rank, "meta.json"), m.File)
		case !disk.Exists(filepath.Join(rank, m.File)):
			note = fmt.Sprintf("meta.json names %s, which is missing", m.File)
		default:
			return filepath.Join(rank, m.File), "", nil
		}
	}
	var first error
	for _, path := range list {
		f, err := mindspore.Open(path)
		if err == nil {
			f.Close()
			if note != "" {
				note = fmt.Sprintf("%s: %s; taking %s", rank, note, filepath.Base(path))
			}
			return path, note, nil
		}
		if first == nil {
			first = err
			note = strings.TrimPrefix(note+"; "+err.Error(), "; ")
		}
	}
	return "", "", first
}

// ofAnyRank is the part of a file name that says the rank.
var ofAnyRank = regexp.MustCompile(`rank_\d+`)

// isDirectory reports whether a path is a directory that holds one checkpoint.
func isDirectory(path string) bool {
	d, err := mindspore.FindDirectory(path)
	return err == nil && d != nil
}

// resumeMindspore resumes from a .ckpt, ours or MindFormers': first from what
// output_dir holds, then from load_checkpoint; path is "" when neither holds one.
func (c *checkpoints) resumeMindspore() (step int, path string, err error) {
	name, note := saveName(c.job), ""
	path, note, err = savedMindspore(c.dir(), name)
	if name != "" && err != nil || path == "" && err == nil {
		if c.weights.resume != "" {
			path, note, err = c.weights.resume, "", nil
		}
	}
	if err != nil {
		return 0, "", exit.Inputf("cannot resume: %w\n  = help: --resume_training takes True or the name of a file in rank_0 of load_checkpoint or of output_dir/checkpoint", err)
	}
	if path == "" {
		return 0, "", nil
	}
	if note != "" {
		c.out.Say("%s", note)
	}
	if step, err = c.restoreMindspore(path); err != nil {
		if !exit.Has(err) {
			err = exit.Inputf("cannot resume from %s: %w\n  = help: --resume_training NAME takes another file of that directory, False starts again", path, err)
		}
		return 0, "", err
	}
	c.step = step
	return step, path, nil
}

// resumable reports whether a base is the checkpoint of a run, with its counters.
func resumable(path string) bool {
	f, err := mindspore.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	return slices.Contains(f.Names(), "step_num")
}

// restoreMindspore reads what trains, the optimizer's state and the step.
func (c *checkpoints) restoreMindspore(path string) (step int, err error) {
	f, err := mindspore.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { c.keepOpen(f.Close) }()
	if err := f.Verify(); err != nil {
		return 0, err
	}
	job, ours := f.Text(jobEntry)
	batch := 0
	if ours {
		if batch, err = c.compare(path, job, path == c.weights.resume); err != nil {
			return 0, err
		}
	}
	number, err := f.Scalar("step_num")
	if err != nil {
		return 0, errors.New("it has no step_num, so it is no checkpoint of a run but weights; give it as --load_checkpoint without resuming")
	}
	if !(number >= 1 && number < 1<<31) {
		return 0, fmt.Errorf("its step_num is %v", number)
	}
	set := weights.Unwrap(f)
	var missing []string
	type move struct {
		to    place
		dtype string
		from  []byte
	}
	var moves []move // only when all are there
	var fresh, left []string
	here := map[string]bool{}
	read := func(kind string, s *Stack, prefixes []string) {
		for i, name := range s.Names {
			found := false
			for _, p := range prefixes {
				t, ok := set.Tensor(p + name)
				if !ok || found {
					continue
				}
				found = true
				n, err := peft.Count(t.DType, t.Data)
				if err != nil || n != s.Rows*s.Cols {
					missing = append(missing, fmt.Sprintf("%s (it is %s %v, not %v)", p+name, t.DType, t.Shape, s.shape()))
					continue
				}
				moves = append(moves, move{place{s, i}, t.DType, t.Data})
			}
			here[name] = true
			switch {
			case found || kind == "fixed":
			case ours && c.accepted:
				fresh = append(fresh, kind+"."+name)
			default:
				missing = append(missing, prefixes[0]+name)
			}
		}
	}
	for _, s := range c.weights.params {
		read("param", s, []string{""})
	}
	c.states(func(kind string, s *Stack) { read(kind, s, c.prefixes(kind)) })
	for _, s := range c.weights.fixed { // adapters that trained and are frozen now
		if ours {
			read("fixed", s, []string{""})
		}
	}
	for _, name := range set.Names() {
		if ours && strings.HasPrefix(name, "model.") && isAdapter(name) && !here[name] {
			left = append(left, "param."+name)
		}
	}
	if len(missing) > 0 {
		n := len(missing)
		return 0, fmt.Errorf("it lacks %s%s", strings.Join(missing[:min(n, 3)], ", "), map[bool]string{true: fmt.Sprintf(" and %d more", n-3)}[n > 3])
	}
	c.sayParts(fresh, left)
	for _, m := range moves {
		if m.to.s.shared != nil {
			c.note(m.to.s, m.to.i, m.dtype, m.from)
			continue
		}
		peft.Into(m.to.s.Mat(m.to.i).Data, m.dtype, m.from)
		mmap.Release(m.from)
	}
	if !ours {
		return c.foreign(f, number), nil
	}
	kept, _ := f.Text(keptEntry)
	c.sayKept(kept)
	text, _ := f.Text(scaleEntry)
	if err := c.scaler.Restore(text); err != nil {
		return 0, err
	}
	return c.rescale(int(number), batch), nil
}

// foreign reads the counters of a checkpoint that MindFormers wrote and returns
// the step. Steps of another batch size count by their rows (r1.3
// trainer/utils.py); the schedule counts from global_step.
func (c *checkpoints) foreign(f *mindspore.File, number float64) (step int) {
	x := c.scaler
	x.Updates, x.Iter = int(number), int(number)+1
	for name, to := range map[string]*int{"global_step": &x.Updates, "current_iterator_step": &x.Iter, "last_overflow_iterator_step": &x.Last} {
		if n, err := f.Scalar(name); err == nil && n >= 0 && n < 1<<31 {
			*to = int(n)
		}
	}
	if scale, err := f.Scalar("loss_scale"); err == nil && scale >= 1 && x.Type != "" && c.job.Checkpoint.SaveSteps > 0 {
		x.Scale = scale // only with a CheckpointMonitor, as the original
	}
	c.notes = append(c.notes, "the checkpoint is not lorac's: it knows weights, counters and batch size; seed, rows, tokenizer and config cannot be compared")
	batch := c.job.Batch().Rows()
	if n, err := f.Scalar("global_batch_size"); err == nil && n >= 1 && n < 1<<31 {
		batch = int(n)
	}
	return c.rescale(int(number), batch)
}
