package rt

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path/filepath"
	"strconv"
	"strings"

	"lorac/runtime/exit"
	"lorac/runtime/sys/disk"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// named is the checkpoint of ours that resume_training asks for, if it names one.
func (c *checkpoints) named() string {
	if name := c.job.Resume; name != "" && !strings.EqualFold(name, "true") && saveName(c.job) == "" {
		return filepath.Base(name)
	}
	return ""
}

// resume loads the checkpoint that is named, or the newest good one, if the user
// wants that, and returns its step; 0 to start from the beginning. What an earlier
// run left in output_dir is moved aside where this one does not continue it.
func (c *checkpoints) resume() (step int, err error) {
	if c.job.Resume == "" {
		return 0, c.moveAside(true)
	}
	step, path, err := c.find()
	if err != nil {
		return 0, err
	}
	if path == "" {
		c.out.Say("no checkpoint in %s yet: starting from the beginning", c.dir())
		return 0, c.moveAside(false)
	}
	for _, note := range c.notes {
		c.out.Say("%s", note)
	}
	if c.adapter != "" {
		c.out.Say("--load_adapter %s has no effect: the adapter is that of the checkpoint", c.adapter)
	}
	if rel, err := filepath.Rel(c.dir(), path); err != nil || strings.HasPrefix(rel, "..") {
		c.out.Say("resumed after step %d, from %s", step, path)
		return step, c.moveAside(false)
	}
	for _, n := range c.saved() {
		if n > step || c.rescaled {
			c.stale = append(c.stale, n)
		}
	}
	if c.rescaled {
		if err := c.moveMetrics(); err != nil {
			return 0, err
		}
	}
	if strings.HasSuffix(path, ".ckpt") {
		c.out.Say("resumed after step %d, from %s", step, path)
	} else {
		c.out.Say("resumed after step %d", step)
	}
	return step, nil
}

// find restores the checkpoint that is named, or the newest good one; path is ""
// where there is none.
func (c *checkpoints) find() (step int, path string, err error) {
	if name := c.named(); name != "" {
		return c.resumeNamed(name)
	}
	steps := c.saved()
	if c.job.Checkpoint.Format != "" || len(steps) == 0 || saveName(c.job) != "" {
		if step, path, err := c.resumeMindspore(); path != "" || err != nil {
			return step, path, err
		}
	}
	if from := c.weights.stateless; len(steps) == 0 && from != "" { // what load_checkpoint's directory of ranks holds
		return 0, "", exit.Inputf("cannot resume: %s has no step_num, so it holds weights and no checkpoint of a run, and there is none in %s\n  = help: --resume_training False starts from these weights", from, c.dir())
	}
	for i, n := range steps {
		if step, err = c.restore(c.path(n)); err == nil {
			return step, c.path(n), nil
		}
		if exit.Has(err) {
			return 0, "", err
		}
		if i+1 == len(steps) {
			return 0, "", exit.Inputf("no checkpoint in %s is usable: %w\n  = help: start again with --resume_training False", c.dir(), err)
		}
		c.out.Say("checkpoint of step %d is not usable (%v); trying the one before", n, err)
	}
	return 0, "", nil
}

// resumeNamed resumes from the checkpoint of that name.
func (c *checkpoints) resumeNamed(name string) (step int, path string, err error) {
	path = filepath.Join(c.dir(), name)
	if !disk.Exists(path) {
		there := ""
		for _, n := range c.saved() {
			there += " " + filepath.Base(c.path(n))
		}
		return 0, "", exit.Inputf("cannot resume: %s is not there\n  = help: --resume_training takes True, False or the name of a checkpoint; there are:%s", path, cmp.Or(there, " none"))
	}
	if step, err = c.restore(path); err != nil {
		if !exit.Has(err) {
			err = exit.Inputf("cannot resume from %s: %w\n  = help: --resume_training True takes the newest good checkpoint", path, err)
		}
		return 0, "", err
	}
	return step, path, nil
}

// restore reads a checkpoint and returns its step. An error with an exit code
// is final; with others, one of another step may be good.
func (c *checkpoints) restore(path string) (step int, err error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return 0, err
	}
	defer func() { c.keepOpen(func() { f.Close() }) }()
	sum := crc32.NewIEEE()
	io.WriteString(sum, f.Metadata["step"]+" "+f.Metadata["job"]+f.Metadata["loss_scale"])
	for _, name := range f.Names() { // sorted, as they were written
		t, _ := f.Tensor(name)
		sum.Write(t.Data)
		mmap.Release(t.Data)
	}
	if fmt.Sprintf("%08x", sum.Sum32()) != f.Metadata["crc32"] {
		return 0, errors.New("its checksum is wrong")
	}
	batch, err := c.compare(path, f.Metadata["job"], false)
	if err != nil {
		return 0, err
	}
	if step, err = strconv.Atoi(f.Metadata["step"]); err != nil || step < 1 {
		return 0, errors.New("it names no step")
	}
	parts, err := c.match(path, f)
	if err != nil {
		return 0, err
	}
	if text := f.Metadata["loss_scale"]; text == "" { // of a lorac that scaled no loss
		c.scaler.Updates, c.scaler.Iter = step, step+1
	} else if err := c.scaler.Restore(text); err != nil {
		return 0, err
	}
	c.sayKept(f.Metadata["saved_activations"])
	for _, p := range parts {
		t, _ := f.Tensor(p.name)
		if p.s.shared != nil {
			n := 4 * p.s.Rows * p.s.Cols
			for i := range p.s.Names {
				c.note(p.s, i, "F32", t.Data[i*n:(i+1)*n])
			}
			continue
		}
		copy(peft.Bytes(p.s.Data), t.Data)
		mmap.Release(t.Data)
	}
	return c.rescale(step, batch), nil
}

// rescale is a step of a run whose steps had batch rows, in steps of this run
// (MindFormers r1.3 trainer/utils.py, which scales global_step as well).
func (c *checkpoints) rescale(step, batch int) int {
	now := c.job.Batch().Rows()
	if batch == now {
		return step
	}
	c.rescaled = true
	scale := float64(batch) / float64(now)
	c.scaler.Updates = int(float64(c.scaler.Updates) * scale)
	scaled := int(float64(step) * scale)
	c.notes = append(c.notes, fmt.Sprintf("steps were of %d rows, now they are of %d: step %d is step %d", batch, now, step, scaled))
	return scaled
}
