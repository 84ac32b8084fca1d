package rt

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/disk"
	"lorac/runtime/weights"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/sharded"
)

// open opens the base weights. With auto_trans_ckpt, a checkpoint of several
// ranks is first made one file, which is mapped as any other. Resuming takes
// the file of the run that load_checkpoint is the directory of. restart is for
// quantised.
func (l *Loader) open(training bool, restart func()) (err error) {
	path := l.job.LoadCheckpoint
	if l.job.AutoTrans && weights.IsTree(path) || weights.Sliced(path) {
		if path, err = l.transform(path); err != nil {
			return err
		}
		l.resume = path
	}
	if l.job.Resume != "" && training && l.resume == "" {
		switch info, err := os.Stat(path); {
		case err != nil:
		case info.IsDir():
			file, note, err := savedMindspore(path, saveName(l.job))
			if err != nil && saveName(l.job) == "" { // a name may be that of a file in output_dir
				return exit.Inputf("cannot resume from %s: %w\n  = help: --resume_training NAME takes another file of rank_0, False starts again", path, err)
			}
			if file != "" && err == nil {
				path, l.resume = file, file
			}
			if note != "" {
				l.say("%s", note)
			}
		case mindspore.IsCheckpoint(path):
			l.resume = path
		}
	}
	if l.job.Resume == "" || l.resume != "" && !resumable(l.resume) {
		if l.job.Resume != "" && l.resume != l.job.LoadCheckpoint {
			l.stateless = l.resume
		}
		l.resume = "" // weights alone
	}
	file := path
	if weights.IsTree(path) {
		file, err = weights.Rank0(path)
	}
	var set weights.Set
	if err == nil {
		set, err = weights.Open(file)
	}
	if err != nil {
		return exit.Inputf("cannot open the base weights: %w", err)
	}
	unwrapped, err := weights.AsBase(set, path)
	if err != nil {
		set.Close()
		return exit.Inputf("cannot open the base weights: %w", err)
	}
	if at := peft.Unfinished(path); at != "" {
		l.say("base weights: %s is of a run that has not ended: %s", path, at)
	}
	if note := weights.Unwrapped(unwrapped); note != "" {
		l.say("base weights: %s", note)
	}
	if err := l.compareBase(unwrapped); err != nil {
		unwrapped.Close()
		return err
	}
	l.set, l.path, err = l.quantised(unwrapped, path, restart)
	return err
}

// transform writes the checkpoint of a tree of ranks as one device would hold
// it, where MindFormers puts it (r1.3 tools/ckpt_transform), and returns the
// file. What an earlier run transformed from the same files is taken as it is.
func (l *Loader) transform(path string) (string, error) {
	t, err := weights.OpenTree(path, l.job.SrcStrategy, saveName(l.job))
	if err != nil {
		return "", exit.Inputf("cannot open the base weights: %w", err)
	}
	defer t.Close()
	dir := filepath.Join(l.job.Output, "transformed_checkpoint", filepath.Base(filepath.Clean(path)))
	out := sharded.RankPath(dir, "checkpoint_")(0)
	marker := filepath.Join(dir, "transform_succeed_rank_0.txt")
	sources := fingerprint(t.Files(), t.Spread.From)
	done := func() bool {
		text, err := os.ReadFile(marker)
		return err == nil && string(text) == sources && disk.Exists(out)
	}
	if done() {
		l.say("base weights: %s, transformed by an earlier run", out)
		return out, nil
	}
	l.say("transforming %d files of %s, laid out by %s, to %s", len(t.Files()), path, t.Spread.From, out)
	held, err := holdDir(dir) // one process of a host writes it for all
	if err != nil {
		return "", exit.Inputf("cannot transform the checkpoint: %w", err)
	}
	defer held.Close()
	if done() {
		return out, nil
	}
	os.Remove(marker)
	if err := t.Verify(); err != nil {
		return "", exit.Inputf("cannot transform the checkpoint: %w", err)
	}
	if err := t.WriteTree(sharded.One(), sharded.RankPath(dir, "checkpoint_")); err != nil {
		return "", exit.Inputf("cannot transform the checkpoint: %w", err)
	}
	return out, exit.With(exit.Failed, atomicfile.WriteText(marker, sources))
}

// holdDir makes a directory and locks it until it is closed. It waits for another process
// that holds it, which does not hold it longer than it lives.
func holdDir(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o777); err != nil {
		return nil, err
	}
	dir, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	for !atomicfile.Hold(dir) {
		time.Sleep(20 * time.Millisecond)
	}
	return dir, nil
}

// fingerprint changes when one of the files or the layout does.
func fingerprint(files []string, layout string) string {
	sum := sha256.New()
	for _, f := range append(files, layout) {
		fmt.Fprintln(sum, f)
		if info, err := os.Stat(f); err == nil && !info.IsDir() {
			fmt.Fprintln(sum, info.Size(), info.ModTime().UnixNano())
		} else if err == nil {
			list, _ := filepath.Glob(filepath.Join(f, "*"))
			fmt.Fprintln(sum, fingerprint(list, ""))
		}
	}
	return fmt.Sprintf("%x", sum.Sum(nil))
}

// saveName is the name of the checkpoint of MindFormers that resume_training asks
// for, if it names one: a .ckpt, or a name that ends in EPOCH_STEP, which none of
// lorac's own does. The extension may be missing, as in the original.
func saveName(j *Job) string {
	if ofMindFormers.MatchString(j.Resume) {
		return filepath.Base(j.Resume)
	}
	return ""
}

var ofMindFormers = regexp.MustCompile(`(?:\.ckpt|-\d{1,9}_\d{1,9}(?:\.safetensors)?|iteration_\d+)$`)
