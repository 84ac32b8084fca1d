package rt

import (
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/weights"
	"lorac/runtime/weights/sharded"
)

// openBase opens the base weights. With auto_trans_ckpt, a checkpoint of
// several ranks is first made one file, which is mapped as any other. Resuming
// takes the file of the run that load_checkpoint is the directory of.
func (r *Run) openBase() {
	path := r.job.LoadCheckpoint
	if r.job.AutoTrans && weights.IsTree(path) {
		path = r.transform(path)
		r.load.resume = path
	}
	if r.job.Resume != "" && r.mode == Train && r.load.resume == "" {
		switch info, err := os.Stat(path); {
		case err != nil:
		case info.IsDir():
			file, err := r.savedCkpt(path)
			if file != "" && err == nil {
				path, r.load.resume = file, file
			}
		case strings.HasSuffix(path, ".ckpt"):
			r.load.resume = path
		}
	}
	if r.job.Resume == "" || r.load.resume != "" && !resumable(r.load.resume) {
		r.load.resume = "" // weights alone
	}
	file, err := path, error(nil)
	if weights.IsTree(path) {
		file, err = weights.Rank0(path)
	}
	var set weights.Set
	if err == nil {
		set, err = weights.Open(file)
	}
	if err != nil {
		r.fail(1, "cannot open the base weights: %v", err)
	}
	r.load.set, r.load.path = r.quantised(weights.Unwrap(set), path)
}

// transform writes the checkpoint of a tree of ranks as one device would hold
// it, where MindFormers puts it (r1.3 tools/ckpt_transform), and returns the
// file. What an earlier run transformed from the same files is taken as it is.
func (r *Run) transform(path string) string {
	t, err := weights.OpenTree(path, r.job.SrcStrategy, r.saveName())
	if err != nil {
		r.fail(1, "cannot open the base weights: %v", err)
	}
	defer t.Close()
	dir := filepath.Join(r.job.Output, "transformed_checkpoint", filepath.Base(filepath.Clean(path)))
	out := sharded.RankPath(dir, "checkpoint_")(0)
	marker := filepath.Join(dir, "transform_succeed_rank_0.txt")
	sources := fingerprint(t.Files(), t.Spread.From)
	if done, err := os.ReadFile(marker); err == nil && string(done) == sources && exists(out) {
		r.say("base weights: %s, transformed by an earlier run", out)
		return out
	}
	os.Remove(marker)
	r.say("transforming %d files of %s, laid out by %s, to %s", len(t.Files()), path, t.Spread.From, out)
	if err := t.Verify(); err != nil {
		r.fail(1, "cannot transform the checkpoint: %v", err)
	}
	if err := t.WriteTree(sharded.One(), sharded.RankPath(dir, "checkpoint_")); err != nil {
		r.fail(1, "cannot transform the checkpoint: %v", err)
	}
	err = atomicfile.WriteFile(marker, func(w io.Writer) error { _, err := io.WriteString(w, sources); return err })
	if err != nil {
		r.fail(3, "%v", err)
	}
	return out
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

// saveName is the name of the save that resume_training asks for, if it names one.
func (r *Run) saveName() string {
	if strings.HasSuffix(r.job.Resume, ".ckpt") {
		return filepath.Base(r.job.Resume)
	}
	return ""
}
