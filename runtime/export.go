package rt

import (
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lorac/runtime/exit"
	"lorac/runtime/sys/version"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// export writes what the user takes away: the adapter as a PEFT directory, or
// after full fine-tuning the whole model.
func (l *Loader) export() error {
	l.pull(false)
	var tensors []peft.Tensor
	for _, s := range slices.Concat(l.params, l.fixed) {
		for i, name := range s.Names {
			if strings.Contains(name, "mindpet_delta_lora") {
				tensors = append(tensors, peft.Tensor{Name: name, Rows: s.Rows, Cols: s.Cols, Data: s.Mat(i).Data})
			}
		}
	}
	if len(tensors) == 0 {
		return l.exportModel()
	}
	dir := filepath.Join(l.job.Output, "adapter")
	var targets []string
	for _, t := range l.job.LoRA.Targets {
		targets = append(targets, naming.Module(t))
	}
	err := l.mark(dir, func() error {
		if err := l.rendering.save(dir); err != nil {
			return err
		}
		return peft.Save(dir, peft.Config{Trainer: version.String(), Base: l.job.LoadCheckpoint, Rank: l.job.LoRA.Rank, Alpha: l.job.LoRA.Alpha,
			Dropout: l.job.LoRA.Dropout, Targets: targets, Layers: l.layers()}, tensors)
	})
	if err != nil {
		return exit.With(exit.Failed, err)
	}
	if err := l.recordIgnored(dir); err != nil {
		return err
	}
	l.say("adapter written to %s%s", dir, l.soFar())
	return nil
}

// mark writes an export, and beside it, before it, that it is unfinished, where the run is.
func (l *Loader) mark(dir string, write func() error) error {
	at := ""
	if l.unfinished != nil {
		at = l.unfinished()
	}
	if at != "" {
		if err := peft.MarkUnfinished(dir, at); err != nil {
			return err
		}
		return write()
	}
	if err := write(); err != nil {
		return err
	}
	return peft.MarkFinished(dir)
}

// soFar says that what was exported is unfinished.
func (l *Loader) soFar() string {
	if l.unfinished == nil || l.unfinished() == "" {
		return ""
	}
	return ": unfinished, " + l.unfinished() + "; --resume_training True continues and replaces it"
}

// layers counts the layers of the model by the names that were read.
func (l *Loader) layers() int {
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

// exportModel writes all that trains under Hugging Face's names.
func (l *Loader) exportModel() error {
	var entries []safetensors.Entry
	for _, s := range l.params {
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
	path := filepath.Join(l.job.Output, "model", "model.safetensors")
	err := l.mark(filepath.Dir(path), func() error { return safetensors.Write(path, entries, map[string]string{"format": "pt"}) })
	if err != nil {
		return exit.With(exit.Failed, err)
	}
	l.say("model written to %s%s", path, l.soFar())
	return l.recordIgnored(filepath.Dir(path))
}
