package rt

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"lorac/kernels"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/exit"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/version"
	"lorac/runtime/weights/mindspore"
	"lorac/runtime/weights/modeldir"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/peft"
	"lorac/runtime/weights/safetensors"
)

// export writes what the user takes away: the adapter as a PEFT directory, or
// after full fine-tuning the whole model. Where parts of the base train beside an
// adapter it writes both: the model is the base that the adapter belongs to.
func (l *Loader) export() error {
	l.pull(false)
	adapters, base := l.trains()
	if base > 0 {
		if err := l.exportModel(); err != nil {
			return err
		}
	}
	if adapters == 0 && base > 0 {
		return nil
	}
	of := l.job.LoadCheckpoint
	if base > 0 {
		of = l.modelDir()
	}
	return l.exportAdapter(of)
}

// trains counts what is saved as an adapter, also of what is frozen, and the parameters of
// the base that train.
func (l *Loader) trains() (adapters, base int) {
	for _, s := range slices.Concat(l.params, l.fixed) {
		if l.isSaved(s.Names[0]) {
			adapters += len(s.Names)
		} else {
			base += len(s.Names)
		}
	}
	return adapters, base
}

func isAdapter(name string) bool { return strings.Contains(name, "mindpet_delta_lora") }

// isFactor is isAdapter, but for what is taken off where an adapter starts as a part of
// the base.
func isFactor(name string) bool {
	_, _, ok := naming.SplitLoRA(name, naming.SchemeMindFormers)
	return ok
}

func (l *Loader) modelDir() string { return filepath.Join(l.job.Output, "model") }

// exportAdapter writes the adapter, which belongs to a base.
func (l *Loader) exportAdapter(base string) error {
	dir := filepath.Join(l.job.Output, "adapter")
	if err := l.mark(dir, func() error { return l.writeAdapter(dir, base) }); err != nil {
		return exit.With(exit.Failed, err)
	}
	if err := l.recordIgnored(dir); err != nil {
		return err
	}
	of := ""
	if base != l.job.LoadCheckpoint {
		of = " for " + base
	}
	l.say("adapter written to %s%s%s", dir, of, l.soFar())
	if l.grown > 0 && l.added.inside {
		l.say("the tokenizer is a part of %s, so none is beside the adapter: what is merged has that of the base, with fewer tokens", l.added.path)
	}
	return nil
}

// writeAdapter writes the files of an adapter.
func (l *Loader) writeAdapter(dir, base string) error {
	var tensors []peft.Tensor
	for _, s := range slices.Concat(l.params, l.fixed) {
		for i, name := range s.Names {
			if l.isModule(name) {
				tensors = append(tensors, peft.Tensor{Name: name, Rows: s.Rows, Cols: s.Cols, Data: s.Mat(i).Data})
			} else if isFactor(name) {
				tensors = append(tensors, l.withPair(peft.Tensor{Name: name, Rows: s.Rows, Cols: s.Cols, Data: s.Mat(i).Data}))
			}
		}
	}
	var targets []string
	for _, t := range l.job.LoRA.Targets {
		targets = append(targets, naming.Module(t))
	}
	if err := l.rendering.save(dir); err != nil {
		return err
	}
	if l.grown > 0 || len(l.added.tokens) > 0 {
		if err := l.added.save(dir); err != nil {
			return err
		}
	}
	c := peft.Config{Trainer: version.String(), Base: base, Rank: l.job.LoRA.Rank, Alpha: l.job.LoRA.Alpha, RSLoRA: l.job.LoRA.RSLoRA, DoRA: l.job.LoRA.DoRA, Modules: l.job.LoRA.Modules, Tied: l.job.LoRA.Tied,
		Dropout: l.job.LoRA.Dropout, Targets: targets, Layers: l.layers()}
	c.RankOf, c.AlphaOf = uneven(&l.job.LoRA, tensors)
	if l.startsOfBase() != "" {
		twice(&c)
	}
	return peft.Save(dir, c, tensors)
}

// uneven are the ranks and alphas of the modules of PEFT that have others than most.
func uneven(of *LoRA, tensors []peft.Tensor) (ranks map[string]int, alphas map[string]float64) {
	ranks, alphas = map[string]int{}, map[string]float64{}
	for _, t := range tensors {
		linear, _, _ := naming.SplitLoRA(t.Name, naming.SchemeMindFormers)
		module, ok := naming.TranslateLinear(linear, naming.SchemeMindFormers, naming.SchemeHuggingFace)
		if !ok {
			continue // linears side by side, which all have the same
		}
		its := of.Of(linear)
		if its.Rank != of.Rank {
			ranks[module] = its.Rank
		}
		if its.Alpha != of.Alpha {
			alphas[module] = its.Alpha
		}
	}
	return ranks, alphas
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

// exportModel writes the whole model, but for adapters, as a Hugging Face directory: trained weights in
// f32, frozen ones as they are stored, and beside them what the base's directory
// has, so that transformers and llama.cpp's converter load it. It is there in full
// or not at all.
func (l *Loader) exportModel() error {
	e := modelExport{model: modeldir.Llama{HeadDim: l.rope.HeadDim, Theta: l.rope.Theta, Eps: l.job.NormEps, Vocab: l.job.Vocab, MaxPosition: l.job.SeqLength,
		Tied: true, BOS: l.job.BosID, EOS: -1}, width: l.job.Model.Hidden}
	for _, s := range l.params {
		if isAdapter(s.Names[0]) {
			continue
		}
		for i, name := range s.Names {
			shape := []int{s.Rows, s.Cols}
			if s.Vector {
				shape = shape[:1]
			}
			e.add(name, "F32", shape, safetensors.Bytes(peft.Bytes(s.Mat(i).Data)))
		}
	}
	for _, b := range l.base {
		entry := b.entry()
		e.add(entry.Name, entry.DType, entry.Shape, entry.Write)
	}
	if len(l.job.EosIDs) > 0 {
		e.model.EOS = l.job.EosIDs[0]
	}
	e.scale(l.rope)
	dir, from := l.modelDir(), modeldir.Of(l.job.LoadCheckpoint)
	var beside []string
	with := "" // config.json, where there is one
	write := func(stage string) (err error) {
		if err := safetensors.Write(filepath.Join(stage, "model.safetensors"), e.entries, map[string]string{"format": "pt"}); err != nil {
			return err
		}
		if from != "" {
			if beside, err = modeldir.Copy(from, stage); err != nil {
				return err
			}
		}
		if l.rendering.template != "" { // the one it was trained with
			if err := l.rendering.saveTemplate(stage); err != nil {
				return err
			}
			if !slices.Contains(beside, templateName) {
				beside = append(beside, templateName)
			}
		}
		config, err := []byte(nil), error(nil)
		if from != "" {
			config, err = modeldir.Config(from, "float32", l.grown)
		}
		if err != nil {
			return err
		}
		if config == nil {
			if config, err = e.model.Config("float32"); err != nil {
				l.say("the model has no config.json: %v", err)
			}
		}
		if !slices.ContainsFunc(beside, func(name string) bool { return strings.HasPrefix(name, "tokenizer.") }) {
			if name := filepath.Base(l.job.Tokenizer); name == "tokenizer.json" || filepath.Ext(name) == ".model" {
				text, err := os.ReadFile(l.job.Tokenizer)
				if err == nil {
					if filepath.Ext(name) == ".model" {
						name = "tokenizer.model"
					}
					beside = append(beside, name)
					err = modeldir.Write(filepath.Join(stage, name), text)
				}
				if err != nil {
					return err
				}
			}
		}
		if err := tokenizer.Record(stage, l.added.tokens, modeldir.Write); err != nil {
			return err
		}
		more, err := modeldir.Complete(stage)
		if err != nil {
			return err
		}
		if more != "" {
			beside = append(beside, more)
		}
		if config == nil {
			return nil
		}
		with = "config.json, "
		return modeldir.Write(filepath.Join(stage, "config.json"), config)
	}
	err := l.mark(dir, func() error { return atomicfile.WriteDir(dir, write) })
	if err != nil {
		return exit.With(exit.Failed, err)
	}
	if len(beside) == 0 {
		l.say("model written to %s, without a tokenizer: none was given and none lies beside the base%s", dir, l.soFar())
		return l.recordIgnored(dir)
	}
	l.say("model written to %s, with %s%s%s", dir, with, strings.Join(beside, ", "), l.soFar())
	return l.recordIgnored(dir)
}

// modelExport collects the tensors of a model under Hugging Face's names.
type modelExport struct {
	model   modeldir.Llama
	width   int // of queries
	entries []safetensors.Entry
}

// add adds a parameter of MindFormers, one of qkv_concat as its parts.
func (e *modelExport) add(name, dtype string, shape []int, write func(io.Writer) error) {
	parts := naming.Parts(name)
	if parts == nil {
		e.put(name, dtype, shape, write)
		return
	}
	rows, width, q := shape[0], 1, e.width
	if len(shape) > 1 {
		width, q = shape[1], shape[1]
	}
	bounds := []int{0, rows / 2, rows} // w_gate_hidden
	if len(parts) == 3 {               // w_qkv: queries make up the width
		bounds = []int{0, q, q + (rows-q)/2, rows}
	}
	size, _ := mindspore.ElemSize(dtype)
	for i, part := range parts {
		from, n := bounds[i]*width*size, (bounds[i+1]-bounds[i])*width*size
		e.put(part, dtype, append([]int{bounds[i+1] - bounds[i]}, shape[1:]...), func(w io.Writer) error {
			return write(&section{w: w, skip: from, left: n})
		})
	}
}

// section passes on a range of the bytes that are written to it.
type section struct {
	w          io.Writer
	skip, left int
}

func (s *section) Write(p []byte) (int, error) {
	n := len(p)
	skipped := min(s.skip, len(p))
	p, s.skip = p[skipped:], s.skip-skipped
	p = p[:min(len(p), s.left)]
	s.left -= len(p)
	if _, err := s.w.Write(p); err != nil {
		return 0, err
	}
	return n, nil
}

func (e *modelExport) put(name, dtype string, shape []int, write func(io.Writer) error) {
	m := &e.model
	switch layer := naming.Layer(name); {
	case layer >= 0:
		m.Layers = max(m.Layers, layer+1)
	case name == "lm_head.weight":
		m.Tied = false
	}
	switch {
	case strings.HasSuffix(name, ".tok_embeddings.embedding_weight"):
		m.Vocab, m.Hidden = shape[0], shape[1]
	case strings.HasSuffix(name, ".wq.weight") && m.HeadDim > 0:
		m.Heads = shape[0] / m.HeadDim
	case strings.HasSuffix(name, ".wk.weight") && m.HeadDim > 0:
		m.KVHeads = shape[0] / m.HeadDim
	case strings.HasSuffix(name, ".w1.weight"):
		m.FFN = shape[0]
	}
	switch naming.BiasKey(name) {
	case "qkv_has_bias":
		m.QKVBias = true
	case "attn_proj_has_bias":
		m.ProjBias = true
	case "mlp_has_bias":
		m.MLPBias = true
	}
	if hf := naming.HF(name); hf != "" {
		name = hf
	}
	e.entries = append(e.entries, safetensors.Entry{Name: name, DType: dtype, Shape: shape, Write: write})
}

// scale says the scaling of the rotary embedding as transformers has it.
func (e *modelExport) scale(r kernels.RopeSpec) {
	switch r.Method {
	case "pi":
		e.model.Scaling = map[string]any{"rope_type": "linear", "factor": r.Factor}
	case "ntk": // MindFormers multiplies the base
		e.model.Theta *= r.Factor
	case "llama3":
		e.model.Scaling = map[string]any{"rope_type": "llama3", "factor": r.Factor, "low_freq_factor": r.LowFreqFactor, "high_freq_factor": r.HighFreqFactor,
			"original_max_position_embeddings": int(r.OriginalMax)}
	case "yarn":
		e.model.Scaling = map[string]any{"rope_type": "yarn", "factor": r.Factor, "beta_fast": r.BetaFast, "beta_slow": r.BetaSlow,
			"original_max_position_embeddings": int(r.OriginalMax)}
		if r.MScale != 0 {
			e.model.Scaling["mscale"] = r.MScale
		}
		if r.MScaleAllDim != 0 {
			e.model.Scaling["mscale_all_dim"] = r.MScaleAllDim
		}
	}
}
