package rt

import (
	"cmp"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"lorac/runtime/sys/mmap"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// A checkpoint is one safetensors file with everything a run needs to go on:
// parameters that train, what the optimizer remembers, and in its metadata the
// step, from which order of rows, schedule and random numbers follow.

func (r *Run) checkpointDir() string { return filepath.Join(r.job.Output, "checkpoint") }

func (r *Run) checkpointPath(step int) string {
	return filepath.Join(r.checkpointDir(), fmt.Sprintf("%s-%d.safetensors", r.job.Checkpoint.Prefix, step))
}

// saved lists the steps that have a checkpoint, newest first.
func (r *Run) saved() []int {
	var out []int
	files, _ := os.ReadDir(r.checkpointDir())
	for _, f := range files {
		name, ok := strings.CutSuffix(f.Name(), ".safetensors")
		rest, ok2 := strings.CutPrefix(name, r.job.Checkpoint.Prefix+"-")
		if n, err := strconv.Atoi(rest); ok && ok2 && err == nil {
			out = append(out, n)
		}
	}
	sort.Sort(sort.Reverse(sort.IntSlice(out)))
	return out
}

func (r *Run) lastSaved() int {
	if r.job.Checkpoint.Format == "ckpt" {
		return r.ckptStep
	}
	if s := r.saved(); len(s) > 0 {
		return s[0]
	}
	return 0
}

// part is a stack with the name it has in a checkpoint.
type part struct {
	name string
	s    *Stack
}

func (r *Run) parts() []part {
	var out []part
	for _, s := range r.load.params {
		out = append(out, part{"param." + s.Names[0], s})
	}
	for name, s := range r.load.states {
		out = append(out, part{name, s})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].name < out[j].name })
	return out
}

// identity ties a checkpoint to what must not change between runs.
func (r *Run) identity() string {
	j := r.job
	return fmt.Sprintf("%s seed=%d batch=%d×%d data=%d/%d", j.Hash, j.Seed, j.BatchSize, j.GradAccum, r.train.set.Stats.Rows, r.train.set.Stats.Tokens)
}

func (r *Run) save() {
	if r.job.Checkpoint.Format == "ckpt" {
		r.saveCkpt()
		return
	}
	step, job := strconv.Itoa(r.step), r.identity()
	sum := crc32.NewIEEE()
	scale := r.scaler.state()
	io.WriteString(sum, step+" "+job+scale)
	var entries []safetensors.Entry
	for _, p := range r.parts() {
		b := peft.Bytes(p.s.Data)
		sum.Write(b)
		entries = append(entries, safetensors.Entry{Name: p.name, DType: "F32", Shape: []int{len(p.s.Data)},
			Write: func(w io.Writer) error { _, err := w.Write(b); return err }})
	}
	if err := r.metrics.f.Sync(); err != nil {
		r.fail(3, "cannot write the metrics: %v", err)
	}
	err := safetensors.Write(r.checkpointPath(r.step), entries, map[string]string{
		"format": "lorac checkpoint", "step": step, "job": job, "loss_scale": scale, "crc32": fmt.Sprintf("%08x", sum.Sum32())})
	if err != nil {
		r.fail(3, "%v\n  = help: checkpoints up to step %d are good; free space and go on with --resume_training True", err, r.lastSaved())
	}
	for _, old := range r.saved()[min(max(r.job.Checkpoint.KeepMax, 1), len(r.saved())):] {
		os.Remove(r.checkpointPath(old))
	}
}

// named is the checkpoint of ours that resume_training asks for, if it names one.
func (r *Run) named() string {
	if name := r.job.Resume; name != "" && !strings.EqualFold(name, "true") && r.saveName() == "" {
		return filepath.Base(name)
	}
	return ""
}

// resume loads the checkpoint that is named, or the newest good one, if the user
// wants to go on.
func (r *Run) resume() {
	if r.job.Resume == "" {
		if n := r.lastSaved(); n > 0 && r.job.Checkpoint.Format == "" {
			aside := r.checkpointDir()
			for i := 1; exists(aside); i++ {
				aside = fmt.Sprintf("%s.%d", r.checkpointDir(), i)
			}
			if err := os.Rename(r.checkpointDir(), aside); err != nil {
				r.fail(1, "cannot move the checkpoints of an earlier run aside: %v", err)
			}
			r.say("checkpoints of an earlier run (step %d) were moved to %s; this run starts anew (--resume_training True would go on)", n, aside)
		}
		return
	}
	steps := r.saved()
	if name := r.named(); name != "" {
		path := filepath.Join(r.checkpointDir(), name)
		if !exists(path) {
			there := ""
			for _, n := range steps {
				there += " " + filepath.Base(r.checkpointPath(n))
			}
			r.fail(1, "cannot resume: %s is not there\n  = help: --resume_training takes True, False or the name of a checkpoint; there are:%s", path, cmp.Or(there, " none"))
		}
		if err := r.restore(path); err != nil {
			r.fail(1, "cannot resume from %s: %v\n  = help: --resume_training True takes the newest good checkpoint", path, err)
		}
		r.say("going on after step %d", r.step)
		return
	}
	if r.job.Checkpoint.Format == "ckpt" || len(steps) == 0 || r.saveName() != "" {
		if r.resumeCkpt() {
			return
		}
	}
	if len(steps) == 0 {
		r.say("no checkpoint in %s yet: starting from the beginning", r.checkpointDir())
		return
	}
	for i, n := range steps {
		if err := r.restore(r.checkpointPath(n)); err != nil {
			if i+1 < len(steps) {
				r.say("checkpoint of step %d is not usable (%v); trying the one before", n, err)
				continue
			}
			r.fail(1, "no checkpoint in %s is usable: %v\n  = help: start anew with --resume_training False", r.checkpointDir(), err)
		}
		r.say("going on after step %d", r.step)
		return
	}
}

func (r *Run) restore(path string) error {
	f, err := safetensors.Open(path)
	if err != nil {
		return err
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
		return errors.New("its checksum is wrong")
	}
	if f.Metadata["job"] != r.identity() {
		r.fail(1, "%s was made by another job (config, base, quant, compute, seed, batch size or data differ)\n  = help: use the same, or another --output_dir\n  = note: it says  %s\n          this is  %s", path, f.Metadata["job"], r.identity())
	}
	step, err := strconv.Atoi(f.Metadata["step"])
	if err != nil || step < 1 {
		return errors.New("it names no step")
	}
	parts := r.parts()
	for _, p := range parts {
		if t, ok := f.Tensor(p.name); !ok || len(t.Data) != 4*len(p.s.Data) {
			return fmt.Errorf("it lacks %s", p.name)
		}
	}
	if text := f.Metadata["loss_scale"]; text == "" { // of a lorac that scaled no loss
		r.scaler.updates, r.scaler.iter = step, step+1
	} else if err := r.scaler.restore(text); err != nil {
		return err
	}
	for _, p := range parts {
		t, _ := f.Tensor(p.name)
		copy(peft.Bytes(p.s.Data), t.Data)
		mmap.Release(t.Data)
	}
	r.step = step
	return nil
}

// export writes what the user takes away: the adapter as a PEFT directory, or
// after full fine-tuning the whole model.
func (r *Run) export() {
	var tensors []peft.Tensor
	for _, s := range slices.Concat(r.load.params, r.load.fixed) {
		for i, name := range s.Names {
			if strings.Contains(name, "mindpet_delta_lora") {
				tensors = append(tensors, peft.Tensor{Name: name, Rows: s.Rows, Cols: s.Cols, Data: s.Mat(i).Data})
			}
		}
	}
	if len(tensors) == 0 {
		r.exportModel()
		return
	}
	dir := filepath.Join(r.job.Output, "adapter")
	var targets []string
	for _, t := range r.job.LoRA.Targets {
		targets = append(targets, naming.Module(t))
	}
	err := peft.Save(dir, peft.Config{Base: r.job.LoadCheckpoint, Rank: r.job.LoRA.Rank, Alpha: r.job.LoRA.Alpha,
		Dropout: r.job.LoRA.Dropout, Targets: targets, Layers: r.load.layers()}, tensors)
	if err != nil {
		r.fail(3, "%v", err)
	}
	r.say("adapter written to %s", dir)
}

// layers counts the layers of the model by the names that were read.
func (l *loader) layers() int {
	n := 0
	for name := range l.used {
		_, rest, _ := strings.Cut(name, "layers.")
		number, _, _ := strings.Cut(rest, ".")
		if i, err := strconv.Atoi(number); err == nil {
			n = max(n, i+1)
		}
	}
	return n
}

func (r *Run) exportModel() {
	var entries []safetensors.Entry
	for _, s := range r.load.params {
		for i, name := range s.Names {
			if hf := naming.HF(name); hf != "" {
				name = hf
			}
			shape := []int{s.Rows, s.Cols}
			if s.Vector {
				shape = shape[:1]
			}
			b := peft.Bytes(s.Mat(i).Data)
			entries = append(entries, safetensors.Entry{Name: name, DType: "F32", Shape: shape,
				Write: func(w io.Writer) error { _, err := w.Write(b); return err }})
		}
	}
	path := filepath.Join(r.job.Output, "model", "model.safetensors")
	if err := safetensors.Write(path, entries, map[string]string{"format": "pt"}); err != nil {
		r.fail(3, "%v", err)
	}
	r.say("model written to %s", path)
}
