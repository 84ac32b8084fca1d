package rt

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
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
// wants that, and returns its step; 0 to start from the beginning.
func (c *checkpoints) resume() (step int, err error) {
	if c.job.Resume == "" {
		return 0, c.moveAside()
	}
	if name := c.named(); name != "" {
		return c.resumeNamed(name)
	}
	steps := c.saved()
	if c.job.Checkpoint.Format == "ckpt" || len(steps) == 0 || saveName(c.job) != "" {
		if step, found, err := c.resumeMindspore(); found || err != nil {
			return step, err
		}
	}
	if len(steps) == 0 {
		c.out.Say("no checkpoint in %s yet: starting from the beginning", c.dir())
		return 0, nil
	}
	for i, n := range steps {
		if step, err = c.restore(c.path(n)); err == nil {
			break
		}
		if exit.Has(err) {
			return 0, err
		}
		if i+1 == len(steps) {
			return 0, exit.Inputf("no checkpoint in %s is usable: %w\n  = help: start again with --resume_training False", c.dir(), err)
		}
		c.out.Say("checkpoint of step %d is not usable (%v); trying the one before", n, err)
	}
	c.out.Say("resumed after step %d", step)
	return step, nil
}

// moveAside keeps the checkpoints of an earlier run from being taken for those
// of one that starts.
func (c *checkpoints) moveAside() error {
	n := c.last()
	if n == 0 || c.job.Checkpoint.Format != "" {
		return nil
	}
	aside := c.dir()
	for i := 1; disk.Exists(aside); i++ {
		aside = fmt.Sprintf("%s.%d", c.dir(), i)
	}
	if err := os.Rename(c.dir(), aside); err != nil {
		return exit.Inputf("cannot move the checkpoints of an earlier run aside: %w", err)
	}
	c.out.Say("checkpoints of an earlier run (step %d) were moved to %s; this run starts from the beginning (--resume_training True would resume)", n, aside)
	return nil
}

// resumeNamed resumes from the checkpoint of that name.
func (c *checkpoints) resumeNamed(name string) (step int, err error) {
	path := filepath.Join(c.dir(), name)
	if !disk.Exists(path) {
		there := ""
		for _, n := range c.saved() {
			there += " " + filepath.Base(c.path(n))
		}
		return 0, exit.Inputf("cannot resume: %s is not there\n  = help: --resume_training takes True, False or the name of a checkpoint; there are:%s", path, cmp.Or(there, " none"))
	}
	if step, err = c.restore(path); err != nil {
		if !exit.Has(err) {
			err = exit.Inputf("cannot resume from %s: %w\n  = help: --resume_training True takes the newest good checkpoint", path, err)
		}
		return 0, err
	}
	c.out.Say("resumed after step %d", step)
	return step, nil
}

// otherJob is the error of a checkpoint that another job wrote.
func (c *checkpoints) otherJob(path, job, differ string) error {
	return exit.Inputf("%s was made by another job (%s differ)\n  = help: use the same, or another --output_dir\n  = note: it says  %s\n          this is  %s", path, differ, job, c.identity())
}

// restore reads a checkpoint and returns its step. An error with an exit code
// is final; with others, one of another step may be good.
func (c *checkpoints) restore(path string) (step int, err error) {
	f, err := safetensors.Open(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
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
	if !c.isOfJob(f.Metadata["job"]) {
		return 0, c.otherJob(path, f.Metadata["job"], "config, base, quant, compute, seed, batch size or data")
	}
	if step, err = strconv.Atoi(f.Metadata["step"]); err != nil || step < 1 {
		return 0, errors.New("it names no step")
	}
	parts := c.parts()
	for _, p := range parts {
		if t, ok := f.Tensor(p.name); !ok || len(t.Data) != 4*len(p.s.Data) {
			return 0, fmt.Errorf("it lacks %s", p.name)
		}
	}
	if text := f.Metadata["loss_scale"]; text == "" { // of a lorac that scaled no loss
		c.scaler.Updates, c.scaler.Iter = step, step+1
	} else if err := c.scaler.Restore(text); err != nil {
		return 0, err
	}
	c.sayKept(f.Metadata["saved_activations"])
	for _, p := range parts {
		t, _ := f.Tensor(p.name)
		copy(peft.Bytes(p.s.Data), t.Data)
		mmap.Release(t.Data)
	}
	return step, nil
}
