package rt

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"lorac/kernels"
	"lorac/runtime/data/dataset"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/sys/version"
	"lorac/runtime/weights"
)

// Run is one execution of a trainer.
type Run struct {
	job    *Job
	opts   *Options
	mode   Mode
	tok    *tokenizer.Tokenizer
	parsed int // bytes that reading a tokenizer of JSON took, about, as measured
	train  *batcher
	eval   *dataset.Set
	load   *loader
	sched  Schedule
	scaler *scaler

	ckptPrefix  string // of this run's .ckpt files, once it is known
	ckptStep    int    // the last that was written or read
	step, total int    // steps done, steps to do
	tokens      int    // live tokens of the current step
	passes      []*Pass
	lossBefore  *evaluation
	logits      func(*Pass) Mat
	next        func(*Pass) Mat
	log         *lossLog // with log_format mindformers
	sink        int      // steps of a sink round; 0: no sink mode
	epochSteps  int
	savedAt     time.Time
	overflow    bool // the gradients of the current step are not finite

	out     *reporter
	metrics *metrics
	profile profiler
	started time.Time
	stepped time.Time
}

// Start reads the flags, opens the data of the mode and the weights, and says
// what will happen. Wrong input ends the process with exit code 1, a wrong
// call with 2.
func Start(job *Job) *Run {
	r := &Run{job: job, started: time.Now(), out: newReporter(), scaler: newScaler(job.LossScale)}
	watch()
	defer func() { r.lost(recover()) }()
	ignoreFileSizeLimit()
	lean()
	atomicfile.RemoveOnSignal()
	opts, err := parseFlags(job, os.Args[1:])
	if err != nil {
		r.fail(2, "%v", err)
	}
	r.opts = opts
	r.out.plain = r.out.plain || opts.NoProgress
	r.profile.path = profilePath(opts.Profile, job.Output)
	if opts.Threads > 0 {
		kernels.SetThreads(opts.Threads)
	}
	if n := job.Memory.Resident + kernels.Threads()*job.Memory.Thread + runtime.GOMAXPROCS(0)*ProcBytes; opts.MemLimit > 0 && int64(n) > opts.MemLimit {
		r.fail(1, "this trainer may take %s with %d threads, more than --mem_limit allows\n  = help: compile it for the limit: lorac compile --mem_limit %s, or lorac finetune with the same flag",
			mib(n), kernels.Threads(), sizeFlag(opts.MemLimit))
	}
	switch job.RunMode {
	case "eval":
		r.mode = Eval
	case "predict":
		r.mode = Generate
	default:
		r.mode = Train
	}
	r.load = &loader{used: map[string]bool{}, states: map[string]*Stack{}}
	if job.LoadCheckpoint != "" {
		r.openBase()
	}
	r.say("lorac %s", version.String())
	r.say("%s (%s): %s, %d threads", job.Name, job.Source, r.mode, kernels.Threads())
	if r.mode == Eval || r.mode == Train && job.DoEval {
		r.checkMetrics()
	}
	r.openTokenizer()
	switch r.mode {
	case Train:
		r.openTraining()
	case Eval:
		r.eval = r.openData(&job.EvalData, "evaluation", "--eval_dataset_dir")
	}
	if !r.generates() {
		r.tok = nil // several MiB that nobody needs any more
	}
	return r
}

// Mode is what the process does.
func (r *Run) Mode() Mode { return r.mode }

func (r *Run) say(format string, args ...any) { r.out.line(fmt.Sprintf(format, args...)) }

// failing is held by the first thread that fails, for the rest of the process.
var failing sync.Mutex

// fail ends the process with a message and an exit code.
func (r *Run) fail(code int, format string, args ...any) {
	failing.Lock()
	r.out.clear()
	fmt.Fprintf(os.Stderr, "error: %s\n", fmt.Sprintf(format, args...))
	os.Exit(code)
}

// openTokenizer looks where the config says, else beside the checkpoint.
func (r *Run) openTokenizer() {
	path := r.job.Tokenizer
	if path == "" && r.job.LoadCheckpoint != "" {
		dir := r.job.LoadCheckpoint
		if info, err := os.Stat(dir); err == nil && !info.IsDir() {
			dir = filepath.Dir(dir)
		}
		for _, name := range []string{"tokenizer.model", "tokenizer.json"} {
			if p := filepath.Join(dir, name); path == "" && exists(p) {
				path = p
			}
		}
	}
	load := tokenizer.Load
	if path == "" {
		if path = weights.GGUF(r.job.LoadCheckpoint); path == "" {
			return
		}
		load = weights.Tokenizer
	}
	t, err := load(path)
	if err != nil {
		r.fail(1, "cannot load the tokenizer: %v", err)
	}
	if t == nil {
		return
	}
	if t.Size() > r.job.Vocab {
		r.fail(1, "the tokenizer %s has %d pieces, the model's vocabulary %d", path, t.Size(), r.job.Vocab)
	}
	r.tok = t
	if info, err := os.Stat(path); err == nil && strings.HasSuffix(path, ".json") {
		r.parsed = 5 * int(info.Size())
	}
}

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

func (r *Run) openData(d *Data, what, flagName string) *dataset.Set {
	if d.Path == "" {
		r.fail(1, "no %s data is given\n  = help: %s FILE, or set dataset_dir in the config", what, flagName)
	}
	length := r.job.SeqLength
	if d.SeqLength > 0 {
		length = min(length, d.SeqLength)
	}
	set, err := dataset.Open(d.Path, dataset.Options{
		Tokenizer: r.tok, SeqLength: length, Vocab: r.job.Vocab, Format: d.Format, Prompt: d.Prompt,
		BOS: int32(r.job.BosID), EOS: int32(r.job.EosIDs[0]), PadID: int32(r.job.PadID), IgnoreID: int32(r.job.IgnoreID),
		Take: d.Take, Pack: d.Pack, EODReset: d.EodReset, EOD: int32(d.Eod),
	})
	if err != nil {
		r.fail(1, "%v", err)
	}
	s := &set.Stats
	r.say("%s data: %d rows of %s from %s, %d tokens, %.0f %% supervised", what, s.Rows, s.Format,
		strings.Join(s.Files, ", "), s.Tokens, 100*float64(s.Supervised)/float64(s.Tokens))
	if set.Groups() < set.Len() {
		r.say("  packed into %d rows of up to %d tokens", set.Groups(), length)
	}
	if s.Truncated > 0 {
		r.say("  %d rows were longer than seq_length %d and cut", s.Truncated, length)
	}
	if s.Empty > 0 {
		r.say("  %d rows have no supervised token; they keep their place in the order and cost nothing", s.Empty)
	}
	if s.InnerPad > 0 {
		r.say("  %d rows hold the pad id %d before their end; MindFormers would hide those tokens from attention, they are read here", s.InnerPad, r.job.PadID)
	}
	for i, k := range s.Skipped {
		if i == 5 {
			r.say("  … and %d more", len(s.Skipped)-5)
			break
		}
		r.say("  row %d of %s is left out: %s", k.Row, k.File, k.Reason)
	}
	return set
}

func (r *Run) openTraining() {
	j := r.job
	set := r.openData(&j.TrainData, "training", "--train_dataset_dir")
	if set.Stats.Example != "" {
		r.say("first row, supervised part in ⟦ ⟧:\n%s", indent(clip(set.Stats.Example, 1200)))
	}
	if j.EvalData.Path != "" {
		r.eval = r.openData(&j.EvalData, "evaluation", "--eval_dataset_dir")
	}
	b := newBatcher(set, &j.TrainData, j.Seed, j.BatchSize, j.GradAccum)
	if b.perEpoch == 0 {
		r.fail(1, "%d rows do not fill one batch of %d × %d\n  = help: lower batch_size or gradient_accumulation_steps, or set drop_remainder: False", b.length(), j.BatchSize, j.GradAccum)
	}
	d := b.perEpoch * j.TrainData.Repeat
	r.total, r.sink = totalSteps(d, j.Epochs, j.SinkSize)
	if r.total == 0 {
		r.fail(1, "%d steps of data are fewer than one round of sink_size %d, so nothing would train\n  = help: --sink_mode False", d*j.Epochs, r.sink)
	}
	r.epochSteps = d
	r.sched = j.Schedule.Resolve(r.total, d)
	if r.opts.Steps > 0 {
		r.total = min(r.total, r.opts.Steps)
	}
	r.train = b
}

// totalSteps counts the steps of a run over epochs of d steps: whole rounds of
// sink_size steps (−1: an epoch), as MindFormers does in sink mode (r1.3
// trainer/base_trainer.py), or all of them (sink 0). It returns the size of a
// round, too.
func totalSteps(d, epochs, sink int) (total, round int) {
	if sink < 0 {
		sink = d
	}
	if sink == 0 {
		return d * epochs, 0
	}
	return int(float64(d)/float64(sink)*float64(epochs)) * sink, sink
}

func indent(s string) string { return "    " + strings.ReplaceAll(s, "\n", "\n    ") }

func clip(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n]) + " …"
	}
	return s
}

// announce lists what trains and what the compiler left out.
func (r *Run) announce() {
	n := 0
	for _, s := range r.load.params {
		n += len(s.Data)
	}
	r.say("trainable: %s of %s parameters", count(n), count(n+r.load.frozen))
	for _, s := range r.load.params {
		r.say("  %-62s %4d × [%d, %d]", strings.Replace(s.Names[0], ".0.", ".*.", 1), len(s.Names), s.Rows, s.Cols)
	}
	if r.job.Memory.Choice != "" {
		r.say("memory limit %s: %s", mib(r.job.Memory.Limit), r.job.Memory.Choice)
	}
	if r.job.Compute == "int8" {
		r.say("compute int8: products with the frozen linears of the layers are rounded to eight bits; adapters, norms, attention and loss are not")
	}
	if r.job.Pruned != "" {
		r.say("%s", r.job.Pruned)
	}
	if r.train != nil {
		r.say("%d steps, %d rows a step, learning rate %.3g (%s, %d steps of warm-up)", r.total, r.job.BatchSize*r.job.GradAccum,
			r.sched.LR, r.sched.Type, r.sched.WarmupSteps)
	}
}

// count writes a number with commas.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func (r *Run) metricsPath() string { return filepath.Join(r.job.Output, "metrics.jsonl") }

// Next begins the next optimizer step; false when the run is complete.
func (r *Run) Next() bool {
	if err := r.profile.next(r.metrics == nil, r.step >= r.total); err != nil {
		r.fail(3, "cannot write the profile: %v", err)
	}
	if r.step >= r.total {
		return false
	}
	if r.metrics == nil {
		m, err := openMetrics(r.metricsPath(), r.step)
		if err != nil {
			r.fail(1, "%v", err)
		}
		r.metrics = m
		r.stepped = time.Now()
		r.savedAt = r.stepped
		if r.job.LogFormat == "mindformers" {
			r.log = &lossLog{out: r.out.line, now: time.Now, since: r.stepped, epochs: r.job.Epochs, epochSteps: r.epochSteps, sink: r.sink,
				rows: r.job.BatchSize * r.job.GradAccum, every: max(r.job.LogEvery, 1), lastPrinted: r.step, list: r.job.LossScale.Type != "" && r.job.LossScale.Type != "static"}
		}
	}
	r.passes = r.fitting(r.train.passes(r.step, r.job.MaxRows, r.job.PerTokenLoss))
	r.tokens = 0
	for _, p := range r.passes {
		r.tokens += len(p.Tokens)
		if s := float32(r.scaler.scale); s != 1 {
			for i := range p.Weights {
				p.Weights[i] *= s
			}
		}
	}
	return true
}

// fitting ends the run where a pass does not fit the arena, which is made for
// the passes of the data that were known.
func (r *Run) fitting(passes []*Pass) []*Pass {
	for _, p := range passes {
		if n := len(p.Tokens); n > r.job.MaxRows {
			r.fail(1, "a row of the data has %d tokens, this trainer was compiled for passes of at most %d\n  = help: start it by lorac finetune, which compiles for the data", n, r.job.MaxRows)
		}
	}
	return passes
}

// Passes is the batch of the step, in pieces that fit.
func (r *Run) Passes() []*Pass { return r.passes }

// Step is the number of the current step, from 1.
func (r *Run) Step() int { return r.step + 1 }

// Update is the number of the optimizer's step, from 1: steps that overflowed
// do not count (MindFormers r1.3 wrapper/wrapper.py).
func (r *Run) Update() int { return r.scaler.updates + 1 }

// LR is the learning rate of the current step.
func (r *Run) LR() float64 { return r.sched.At(r.scaler.updates) }

// reached checks, in the first update, that every adapter received a gradient:
// one that did not would never train.
func (r *Run) reached() {
	if r.scaler.updates > 0 {
		return
	}
	for _, s := range r.load.params {
		if s.grad == nil || strings.HasSuffix(s.Names[0], "_a") {
			continue // the gradient of A is zero as long as B is
		}
		n := s.Rows * s.Cols
		for i, name := range s.Names {
			if zeros(s.grad.Data[i*n : (i+1)*n]) {
				r.fail(3, "no gradient reaches %s in the first step: it would never train", name)
			}
		}
	}
}

func zeros(x []float32) bool {
	for _, v := range x {
		if v != 0 {
			return false
		}
	}
	return true
}

// Done ends a step: metrics, checkpoint and evaluation where they are due.
func (r *Run) Done(loss, norm float64, eval func(*Pass) float64) {
	r.whole()
	lr, scale := r.LR(), r.scaler.scale
	loss /= scale
	r.step++
	if r.scaler.next(r.overflow); r.overflow {
		r.overflowed(loss, scale)
	}
	now := time.Now()
	speed := float64(r.tokens) / now.Sub(r.stepped).Seconds()
	r.stepped = now
	m := metric{Step: r.step, Loss: loss, LR: lr, GradNorm: norm, Tokens: r.tokens, Overflow: r.overflow, Speed: round(speed), Elapsed: round(now.Sub(r.started).Seconds())}
	if r.job.LossScale.Type != "" {
		m.LossScale = scale
	}
	if err := r.metrics.add(m); err != nil {
		r.fail(3, "%v", err)
	}
	if r.log != nil {
		r.log.stepped(r.step, loss, lr, scale, norm, r.overflow)
	} else {
		r.out.progress(r.step, r.total, loss, lr, speed, now.Sub(r.started))
	}
	if r.saveDue(now) && r.step < r.total {
		r.save()
		r.savedAt = now
	}
	if r.evalDue() && r.step < r.total {
		r.out.clear()
		r.report(r.evaluate(eval))
	}
}

// saveDue reports whether the step that ended calls for a checkpoint. In sink
// mode MindFormers sees the ends of rounds only and saves at the first one
// save_checkpoint_steps behind the last.
func (r *Run) saveDue(now time.Time) bool {
	c := &r.job.Checkpoint
	if c.SaveSteps <= 0 {
		return c.SaveSeconds > 0 && now.Sub(r.savedAt) > time.Duration(c.SaveSeconds)*time.Second && (r.sink == 0 || r.step%r.sink == 0)
	}
	every := c.SaveSteps
	if r.sink > 0 {
		every = (every + r.sink - 1) / r.sink * r.sink
	}
	return r.step%every == 0
}

// Begin evaluates before training, when there is an evaluation set.
func (r *Run) Begin(eval func(*Pass) float64) {
	if r.eval != nil && r.step == 0 {
		e := r.evaluate(eval)
		r.lossBefore = &e
		r.say("evaluation before training: %s", e.text())
	}
}

// Finish writes the last checkpoint and the adapter (or the model).
func (r *Run) Finish(eval func(*Pass) float64) {
	if r.metrics == nil {
		r.say("all %d steps are done already", r.total)
	} else {
		r.save()
	}
	r.export()
	r.out.clear()
	if r.eval != nil {
		e := r.evaluate(eval)
		before := ""
		if r.lossBefore != nil {
			before = fmt.Sprintf(" (before: %s)", r.lossBefore.text())
		}
		r.say("evaluation after training: %s%s", e.text(), before)
		if m := e.metrics(); m != "" {
			r.say("%s", m)
		}
	}
}

// Close ends the run. Deferred, it ends one that lost a file with an error.
func (r *Run) Close() {
	r.lost(recover())
	r.sayPeak()
	if r.metrics != nil {
		r.metrics.f.Close()
	}
}

// Unable ends a run whose mode the trainer was not compiled for.
func (r *Run) Unable() {
	r.fail(1, "this trainer was compiled without anything that trains\n  = help: compile a config whose run_mode is finetune")
}
