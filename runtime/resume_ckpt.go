package rt

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/sharded"
)

// savedCkpt is the .ckpt file that resuming from a directory of rank_0 takes
// (MindFormers r1.3 trainer/utils.py): the one that is named, else the one
// meta.json calls the last, else the newest. It is "" when there is none.
func (r *Run) savedCkpt(dir string) (string, error) {
	rank := filepath.Join(dir, "rank_0")
	if name := r.saveName(); name != "" {
		path := filepath.Join(rank, name)
		if !exists(path) {
			return "", fmt.Errorf("%s is not there", path)
		}
		return path, nil
	}
	if text, err := os.ReadFile(filepath.Join(rank, "meta.json")); err == nil {
		var m meta
		if err := json.Unmarshal(text, &m); err != nil || m.File != filepath.Base(m.File) || !strings.HasSuffix(m.File, ".ckpt") {
			return "", fmt.Errorf("%s does not name a checkpoint (%v)", filepath.Join(rank, "meta.json"), err)
		}
		if path := filepath.Join(rank, m.File); exists(path) {
			return path, nil
		}
	}
	if !exists(rank) {
		return "", nil
	}
	if list, _ := filepath.Glob(filepath.Join(rank, "*.ckpt")); len(list) == 0 {
		return "", nil
	}
	return sharded.Newest(rank, 0)
}

// resumeCkpt goes on from a .ckpt, ours or MindFormers': first from what
// output_dir holds, then from load_checkpoint. It reports false when neither
// holds one.
func (r *Run) resumeCkpt() bool {
	path, err := r.savedCkpt(filepath.Join(r.job.Output, "checkpoint"))
	if r.saveName() != "" && err != nil || path == "" && err == nil {
		if r.load.resume != "" {
			path, err = r.load.resume, nil
		}
	}
	if err != nil {
		r.fail(1, "cannot resume: %v\n  = help: --resume_training takes True or the name of a file in rank_0 of load_checkpoint or of output_dir/checkpoint", err)
	}
	if path == "" {
		return false
	}
	if err := r.restoreCkpt(path); err != nil {
		r.fail(1, "cannot resume from %s: %v\n  = help: --resume_training NAME takes another file of that directory, False starts anew", path, err)
	}
	r.ckptStep = r.step
	r.say("going on after step %d, from %s", r.step, path)
	return true
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

// restoreCkpt reads what trains, the state of the optimizer and the step.
func (r *Run) restoreCkpt(path string) error {
	f, err := mindspore.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Verify(); err != nil {
		return err
	}
	job, ours := f.Text(jobEntry)
	if ours && job != r.identity() {
		r.fail(1, "%s was made by another job (config, seed, batch size or data differ)\n  = help: use the same, or another --output_dir\n  = note: it says  %s\n          this is  %s", path, job, r.identity())
	}
	number, err := f.Scalar("step_num")
	if err != nil {
		return errors.New("it has no step_num, so it is no checkpoint of a run but weights; give it as --load_checkpoint without resuming")
	}
	if !(number >= 1 && number < 1<<31) {
		return fmt.Errorf("its step_num is %v", number)
	}
	var missing []string
	type move struct {
		to    []float32
		dtype string
		from  []byte
	}
	var moves []move // only when all are there
	read := func(s *Stack, prefixes []string) {
		for i, name := range s.Names {
			found := false
			for _, p := range prefixes {
				t, ok := f.Tensor(p + name)
				if !ok || found {
					continue
				}
				found = true
				n, err := peft.Count(t.DType, t.Data)
				if err != nil || n != len(s.Mat(i).Data) {
					missing = append(missing, fmt.Sprintf("%s (it is %s %v, not %v)", p+name, t.DType, t.Shape, s.shape()))
					continue
				}
				moves = append(moves, move{s.Mat(i).Data, t.DType, t.Data})
			}
			if !found {
				missing = append(missing, prefixes[0]+name)
			}
		}
	}
	for _, s := range r.load.params {
		read(s, []string{""})
	}
	r.states(func(kind string, s *Stack) { read(s, r.prefixes(kind)) })
	if len(missing) > 0 {
		n := len(missing)
		return fmt.Errorf("it lacks %s%s", strings.Join(missing[:min(n, 3)], ", "), map[bool]string{true: fmt.Sprintf(" and %d more", n-3)}[n > 3])
	}
	for _, m := range moves {
		peft.Into(m.to, m.dtype, m.from)
		mmap.Release(m.from)
	}
	r.step = int(number)
	if ours {
		text, _ := f.Text(scaleEntry)
		return r.scaler.restore(text)
	}
	r.foreign(f, number)
	return nil
}

// foreign reads the counters of a checkpoint that MindFormers wrote. Steps of
// another batch size count by their rows (r1.3 trainer/utils.py); the schedule
// counts on from global_step.
func (r *Run) foreign(f *mindspore.File, number float64) {
	if batch, err := f.Scalar("global_batch_size"); err == nil && batch > 0 {
		now := float64(r.job.BatchSize * r.job.GradAccum)
		r.step = int(number * (batch / now))
		if batch != now {
			r.say("steps were of %.0f rows, now they are of %.0f: step %.0f is step %d", batch, now, number, r.step)
		}
	}
	x := r.scaler
	x.updates, x.iter = int(number), int(number)+1
	for name, to := range map[string]*int{"global_step": &x.updates, "current_iterator_step": &x.iter, "last_overflow_iterator_step": &x.last} {
		if n, err := f.Scalar(name); err == nil && n >= 0 && n < 1<<31 {
			*to = int(n)
		}
	}
	if scale, err := f.Scalar("loss_scale"); err == nil && scale >= 1 && scale < 1<<62 && x.Type != "" && r.job.Checkpoint.SaveSteps > 0 {
		x.scale = scale // only with a CheckpointMonitor, as the original
	}
}
