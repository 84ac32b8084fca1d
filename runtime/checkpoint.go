package rt

import (
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"

	"lorac/runtime/data/dataset"
	"lorac/runtime/exit"
	"lorac/runtime/train"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
)

// checkpoints writes and reads the state of a run. A checkpoint is one
// safetensors file with everything a run needs to resume: parameters that
// train, the optimizer's state, and in its metadata the step, from which order
// of rows, schedule and random numbers follow. With checkpoint_format ckpt or safetensors it is
// laid out as MindFormers does (checkpoint_mindspore.go).
type checkpoints struct {
	job     *Job
	weights *Loader
	scaler  *train.Scaler
	rows    *dataset.Set // of the training data
	epoch   int          // steps of an epoch
	steps   int          // of this run
	out     *train.Reporter

	tokenizer map[string]fileSum // that the rows were made with
	accept    []string           // differences that the user wants to resume with
	accepted  bool               // there are such differences
	verify    bool               // every byte of the base is compared
	adapter   string             // --load_adapter
	id        *identity          // of this run, since resume
	notes     []string           // what is to be said of the checkpoint that is resumed from
	rescaled  bool               // its steps were of another number of rows
	stale     []int              // steps whose checkpoints do not belong to this run, until the first save
	aside     int                // number of what this run moved aside

	world *world          // that the run is of
	found map[place]found // of the checkpoint that is resumed from, what others have shares of
	close func()          // closes that

	names string // what the names of this run's .ckpt files begin with, once it is known
	step  int    // of the .ckpt that was written or read last
}

func (c *checkpoints) dir() string { return filepath.Join(c.job.Output, "checkpoint") }

func (c *checkpoints) path(step int) string {
	return filepath.Join(c.dir(), fmt.Sprintf("%s-%d.safetensors", c.job.Checkpoint.Prefix, step))
}

// saved lists the steps that have a checkpoint, newest first.
func (c *checkpoints) saved() []int {
	var out []int
	files, _ := os.ReadDir(c.dir())
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".safetensors")
		rest, ok2 := strings.CutPrefix(name, c.job.Checkpoint.Prefix+"-")
		if n, err := strconv.Atoi(rest); ok && ok2 && err == nil {
			out = append(out, n)
		}
	}
	sort.Sort(sort.Reverse(sort.IntSlice(out)))
	return out
}

// last is the newest step that has a good checkpoint, 0 for none.
func (c *checkpoints) last() int {
	if c.job.Checkpoint.Format != "" {
		return c.step
	}
	if s := c.saved(); len(s) > 0 {
		return s[0]
	}
	return 0
}

// part is a stack with the name it has in a checkpoint.
type part struct {
	name string
	s    *Stack
}

func (c *checkpoints) parts() []part {
	var out []part
	for _, s := range c.weights.params {
		out = append(out, part{"param." + s.Names[0], s})
	}
	for _, s := range c.weights.fixed {
		if naming.Started(s.Names[0]) {
			out = append(out, part{"param." + s.Names[0], s})
		}
	}
	for name, s := range c.weights.states {
		out = append(out, part{name, s})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}

// save writes the checkpoint of a step, whose stacks are up to date, and removes the
// oldest.
func (c *checkpoints) save(at int) error {
	if c.job.Checkpoint.Format != "" {
		return c.saveMindspore(at)
	}
	step, job := strconv.Itoa(at), c.id.text()
	sum := crc32.NewIEEE()
	scale := c.scaler.State()
	io.WriteString(sum, step+" "+job+scale)
	var entries []safetensors.Entry
	for _, p := range c.parts() {
		if err := c.write(sum, p.s); err != nil {
			return err
		}
		entries = append(entries, safetensors.Entry{Name: p.name, DType: "F32", Shape: []int{p.s.numbers()}, Write: func(w io.Writer) error { return c.write(w, p.s) }})
	}
	if err := c.out.Sync(); err != nil {
		return err
	}
	err := safetensors.Write(c.path(at), entries, map[string]string{
		"format": "lorac checkpoint", "step": step, "job": job, "loss_scale": scale, "saved_activations": c.keptAs(), "crc32": fmt.Sprintf("%08x", sum.Sum32())})
	if err != nil {
		return exit.Failedf("%w\n  = help: checkpoints up to step %d are good; free space and resume with --resume_training True", err, c.last())
	}
	if err := c.moveStale(at); err != nil {
		return err
	}
	saved := c.saved()
	for _, old := range saved[min(max(c.job.Checkpoint.KeepMax, 1), len(saved)):] {
		os.Remove(c.path(old))
	}
	return nil
}
