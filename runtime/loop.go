package rt

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"

	"lorac/runtime/exit"
	"lorac/runtime/infer"
	"lorac/runtime/microbatch"
	"lorac/runtime/sys/human"
	"lorac/runtime/sys/mmap"
	"lorac/runtime/train"
)

// Loop is the training loop: steps, their micro-batches, schedule and loss
// scale; it has checkpoints, metrics and evaluation come where they are due. The
// first error ends it: Next is false then, and Finish returns the error.
type Loop struct {
	job     *Job
	weights *Loader
	batches *microbatch.Batcher
	world   *world
	sums    *sums
	plan    train.Plan
	sched   train.Schedule
	scaler  *train.Scaler
	ckpt    *checkpoints
	eval    *infer.Evaluator // nil: there is no evaluation set
	out     *train.Reporter
	profile train.Profiler

	stop    *stop
	gate    gate
	command string                 // that resumes the run
	fault   func(thrown any) error // the error of a panic

	whole    int             // steps of the job, whatever --steps says
	step     int             // steps done
	saved    int             // the step of the last checkpoint
	scanned  bool            // the frozen weights were searched for what is not finite
	batch    [][]*MicroBatch // of the units of this process
	tokens   int             // live tokens of the current step
	norm     float64         // of its gradients, as they are scaled
	overflow bool            // the gradients of the current step are not finite
	begun    bool            // a step of this run has begun
	savedAt  time.Time
	before   *infer.Evaluation // training; nil: not evaluated
	samples  *samples          // nil: none are asked for
	best     train.Best        // of the evaluations during training
	early    bool              // they ended the run
	last     *infer.Evaluation // of the step that ended; nil: it has none yet
	reach    reach             // what gradients have reached
	reach0   int               // steps done before this run
	err      error

	concluded    bool // the last checkpoint is written
	stopSaid     bool // in the metrics
	farewellSaid atomic.Bool
}

// newLoop plans the steps of a run whose inputs are open.
func newLoop(r *Run) *Loop {
	j, in := r.job, r.data
	l := &Loop{job: j, world: r.world, weights: r.Loader, batches: in.batches, plan: in.plan, eval: r.eval, out: r.out, scaler: train.NewScaler(j.LossScale),
		stop: r.stop, command: r.command, fault: r.fault}
	l.profile.Path = train.ProfilePath(r.opts.Profile, j.Output)
	schedule := j.Schedule
	schedule.LR = j.Rate()
	l.sched = train.Schedule(schedule).Resolve(l.plan.Steps, l.plan.Epoch)
	l.whole = l.plan.Steps
	l.best = train.Best{Patience: j.EarlyStopping.Patience, Threshold: j.EarlyStopping.Threshold}
	r.Loader.unfinished = func() string {
		if l.step >= l.whole {
			return ""
		}
		return fmt.Sprintf("step %d of %d", l.step, l.whole)
	}
	if r.opts.Steps > 0 {
		l.plan.Steps = min(l.plan.Steps, r.opts.Steps)
	}
	l.ckpt = &checkpoints{job: j, weights: r.Loader, rows: in.batches.Set(), scaler: l.scaler, steps: l.plan.Steps, epoch: in.batches.StepsPerEpoch() * j.TrainData.Repeat, out: r.out,
		tokenizer: in.tokenizerSums(), accept: r.opts.Mismatch, verify: r.opts.VerifyBase, adapter: r.opts.LoadAdapter}
	return l
}

func (l *Loop) metricsPath() string { return filepath.Join(l.job.Output, "metrics.jsonl") }

// loaded says what will train and resumes where that is asked for.
func (l *Loop) loaded() error {
	l.announce()
	step, err := l.ckpt.begin(l.world, l.metricsPath())
	l.step, l.saved = step, step
	l.reach0, l.reach.moved = step, l.scaler.Updates > 0
	l.sums = newSums(l.world, l.job, l.weights, l.gradients())
	if err != nil {
		return err
	}
	return l.resumeBest()
}

// announce lists what trains and what the compiler left out.
func (l *Loop) announce() {
	w, say := l.weights, l.out.Say
	n := 0
	for _, s := range w.params {
		n += len(s.Data)
	}
	say("trainable: %s of %s parameters", count(n), count(n+w.frozen))
	for _, s := range w.params {
		say("  %-62s %4d × [%d, %d]", strings.Replace(s.Names[0], ".0.", ".*.", 1), len(s.Names), s.Rows, s.Cols)
	}
	if l.job.Memory.Choice != "" {
		say("memory limit %s: %s", mib(l.job.Memory.Limit), l.job.Memory.Choice)
	}
	if l.job.Compute == "int8" {
		say("compute int8: products with the frozen linears of the layers are rounded to eight bits; adapters, norms, attention and loss are not")
	}
	if l.job.Pruned != "" {
		say("%s", l.job.Pruned)
	}
	say("%s, %s a step, learning rate %.3g (%s, %s of warm-up)", human.Count(l.plan.Steps, "step"), human.Count(l.job.Batch().Rows(), "row"),
		l.sched.LR, l.sched.Type, human.Count(l.sched.WarmupSteps, "step"))
	l.sayBalance()
}

// Begin evaluates before training, when there is an evaluation set; a run that
// resumes, where its last step has an evaluation due that was cut off.
func (l *Loop) Begin(loss func(*MicroBatch) float64) error {
	if err := l.sampleBefore(); err != nil {
		return err
	}
	if l.eval == nil || l.step >= l.plan.Steps {
		return nil
	}
	if l.step > 0 {
		if !l.evalDue() {
			return nil
		}
		if has, err := l.world.says(train.HasEvaluation(l.metricsPath(), l.step)); has || err != nil {
			return err
		}
		if err := l.open(); err != nil {
			return err
		}
		return l.evaluate(loss)
	}
	e, err := l.eval.Evaluate(loss)
	if errors.Is(err, infer.ErrStopped) { // Next and Finish see it, too
		return nil
	}
	if err != nil {
		return err
	}
	l.before = e
	l.out.Say("evaluation before training: %s", e.Text())
	if err := l.evalFault(e); err != nil {
		return errors.Join(err, l.open())
	}
	return nil
}

// Next begins the next optimizer step; false when the run is complete or has
// failed, which Finish tells.
func (l *Loop) Next() bool {
	if l.err != nil {
		return false
	}
	done := l.step >= l.plan.Steps || l.stop.requested()
	if err := l.profile.Next(!l.begun, done); err != nil {
		l.err = exit.Failedf("cannot write the profile: %w", err)
		return false
	}
	if done {
		return false
	}
	l.begun, l.last = true, nil
	l.err = l.begin()
	return l.err == nil
}

// open opens the metrics, unless they are.
func (l *Loop) open() error {
	if l.out.Opened() {
		return nil
	}
	l.gate.enter()
	defer l.gate.leave()
	if err := l.out.Open(l.metricsPath(), l.job, l.plan, l.step); err != nil {
		return err
	}
	l.savedAt = time.Now()
	if l.before != nil {
		if err := l.out.Evaluated(0, numbers(l.before)); err != nil {
			return err
		}
	}
	if l.samples != nil && len(l.samples.before) > 0 {
		return l.out.Sampled(0, l.samples.before)
	}
	return nil
}

// begin lays out the micro-batches of a step, their losses scaled.
func (l *Loop) begin() error {
	if err := l.open(); err != nil {
		return err
	}
	units := divide(l.job, l.batches, l.step)
	l.tokens = l.batches.Tokens(units)
	l.batch = l.batch[:0]
	for _, u := range units[l.sums.from:l.sums.to] {
		list := l.batches.Pack(u, l.job.MaxRows)
		if err := microbatch.CheckFits(list, l.job.MaxRows); err != nil {
			return err
		}
		for _, b := range list {
			if s := float32(l.scaler.Scale); s != 1 && !l.scaler.Infinite() {
				for i := range b.Weights {
					b.Weights[i] *= s
				}
			}
		}
		l.batch = append(l.batch, list)
	}
	return nil
}

// divide is the units of a step.
func divide(j *Job, b *microbatch.Batcher, step int) []microbatch.Unit {
	return b.Divide(step, microbatch.UnitsOf(&j.Devices), j.PerTokenLoss, microbatch.CostOf(&j.Model, j.Vocab))
}

// MicroBatches is what this process computes of the batch of the step, in pieces that
// fit the arena.
func (l *Loop) MicroBatches() iter.Seq2[int, *MicroBatch] { return l.sums.each(l.batch) }

// Units is the same by units, for a device that has several micro-batches under way at
// a time. EndUnit ends each of them, in their order.
func (l *Loop) Units() [][]*MicroBatch {
	l.sums.begin()
	return l.batch
}

// EndUnit ends a unit of which all micro-batches are done: their losses are added, and
// the gradients are those of the unit.
func (l *Loop) EndUnit(i int) { l.sums.take(i) }

// Add adds the loss of a micro-batch to that of the step.
func (l *Loop) Add(loss float64) { l.sums.unit += loss }

// Update is the number of the optimizer's step, from 1: steps that overflowed
// do not count (MindFormers r1.3 wrapper/wrapper.py).
func (l *Loop) Update() int { return l.scaler.Updates + 1 }

// LR is the learning rate of the current step.
func (l *Loop) LR() float64 { return l.sched.At(l.scaler.Updates) }

// Ready ends the gradients of a step: false when one of them is not finite, or
// one that must be there is missing; then the optimizer must not run, and the
// schedule does not advance.
func (l *Loop) Ready() bool {
	if l.err == nil {
		l.err = l.sums.end()
	}
	if l.err == nil && !l.world.alone() {
		l.err = l.meet()
	}
	if l.err == nil && !l.world.first() {
		l.err = l.world.proceed()
	}
	if l.err != nil {
		return false
	}
	l.gate.enter() // Done leaves
	if l.world.first() {
		l.err = l.world.proceed()
	}
	if l.err != nil {
		return false
	}
	grads := l.gradients()
	l.norm = l.weights.dev.Norm(grads...)
	if l.scaler.Infinite() { // of which the gradients would be; the loss stays as it is
		l.norm = math.Inf(1)
	}
	l.overflow = !finite(l.norm)
	if l.overflow {
		l.weights.dev.Clear(grads...)
		return false
	}
	if s := l.scaler.Scale; s != 1 {
		l.weights.dev.Scale(inverse(s), grads...)
	}
	l.err = l.checkGradients()
	return l.err == nil
}

// inverse is that of a scale in f32, where one below the smallest normal number is zero, as
// for the original.
func inverse(scale float64) float64 {
	const smallest = 0x1p-126
	if 1/scale < smallest {
		return 0
	}
	return 1 / scale
}

// meet has the processes tell each other whether one of them was asked to end.
func (l *Loop) meet() error {
	all, err := share(l.world, l.stop.code())
	for _, code := range all {
		l.stop.adopt(code)
	}
	return err
}

func (l *Loop) gradients() (out []*Stack) {
	for _, s := range l.weights.params {
		if s.grad != nil {
			out = append(out, s.grad)
		}
	}
	return out
}

func zeros(x []float32) bool {
	for _, v := range x {
		if v != 0 {
			return false
		}
	}
	return true
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }

// Done ends a step with the norm of its gradients: metrics, checkpoint and evaluation
// where they are due.
func (l *Loop) Done(norm float64, eval func(*MicroBatch) float64) {
	if l.err == nil {
		l.gate.enter()
		l.err = l.done(l.sums.loss, norm)
	}
	l.gate.leave()
	if l.err == nil && l.step < l.plan.Steps && l.evalDue() { // Finish evaluates after the last
		l.out.Clear()
		l.err = l.evaluate(eval)
	}
}

// evalDue reports whether the step that ended has an evaluation.
func (l *Loop) evalDue() bool {
	return l.job.DoEval && l.eval != nil && l.plan.EvalDue(l.step, l.job.EvalSteps, l.job.EvalEpochs)
}

// evaluate reports and records an evaluation during training. One that is cut off by
// a stop is taken when the run resumes.
func (l *Loop) evaluate(loss func(*MicroBatch) float64) error {
	e, err := l.eval.Evaluate(loss)
	if errors.Is(err, infer.ErrStopped) {
		return nil
	}
	if err != nil {
		return err
	}
	sayEvaluation(l.out, e, true)
	l.gate.enter()
	defer l.gate.leave()
	if err := l.judge(e); err != nil {
		return err
	}
	if err := l.out.Evaluated(l.step, numbers(e)); err != nil {
		return err
	}
	if err := l.evalFault(e); err != nil {
		return err
	}
	l.last = e
	return l.stopEarly()
}

func (l *Loop) done(loss, norm float64) error {
	if err := l.checkNotTruncated(); err != nil {
		return err
	}
	if l.overflow {
		norm = l.norm
	}
	m := train.Metric{LR: l.LR(), GradNorm: norm, Tokens: l.tokens, Overflow: l.overflow}
	scale := l.scaler.Scale
	m.Loss = loss / l.job.Devices.Factor()
	if !l.scaler.Infinite() {
		m.Loss /= scale
	}
	m.Step = l.step + 1
	if !finite(m.Loss) || l.overflow && scale == 1 {
		if err := l.lossFault(m.Step, m.Loss); err != nil {
			return l.failed(m, scale, err)
		}
	}
	l.step++
	if l.scaler.Next(l.overflow); l.overflow {
		if err := l.overflowed(m.Loss, scale); err != nil {
			return l.failed(m, scale, err)
		}
	}
	if err := l.out.Step(m, scale, l.job.LossScale.Type != ""); err != nil {
		return err
	}
	if l.step == l.plan.Steps { // Finish saves and evaluates
		return nil
	}
	now := time.Now()
	due := l.plan.SaveDue(&l.job.Checkpoint, l.step, now.Sub(l.savedAt))
	if l.job.Checkpoint.SaveSeconds > 0 { // clocks differ
		var err error
		if due, err = l.world.says(due); err != nil {
			return err
		}
	}
	if !due {
		return nil
	}
	if err := l.save(); err != nil {
		return err
	}
	l.savedAt = now
	return nil
}

// failed records a step that ends the run with an error.
func (l *Loop) failed(m train.Metric, scale float64, err error) error {
	if missed := l.out.Failed(m, scale, l.job.LossScale.Type != ""); missed != nil {
		return errors.Join(err, missed)
	}
	return err
}

// save writes the checkpoint of the step that ended. The first process does; all of
// them compare what they have, unless the run was given up.
func (l *Loop) save() error {
	l.weights.pull(true)
	err := l.weights.checkFinite(l.step, l.ckpt.last())
	if !l.gate.closed {
		err = l.world.together(err) // states differ where each has its share
	}
	if err != nil && (l.world.first() || !l.gate.closed) {
		return err
	}
	if !l.gate.closed {
		if err := l.ckpt.checkSame(l.world, l.step); err != nil {
			return err
		}
	}
	if l.world.first() {
		err = errors.Join(l.ckpt.save(l.step), l.ckpt.asked())
	} else {
		err = l.ckpt.answer()
	}
	if err != nil {
		return err
	}
	l.saved = l.step
	return nil
}

// checkNotTruncated is an error where a file of frozen weights is shorter than
// it was: what it lacks of its last page reads as zeros, without a fault.
func (l *Loop) checkNotTruncated() error {
	if len(l.weights.base) == 0 { // nothing is used from the file
		return nil
	}
	if path, ok := mmap.Shortened(); ok {
		return unreadable(path, "", l.ckpt.last())
	}
	return nil
}

// overflowed says that a step was skipped, or is the error of a run that
// cannot recover.
func (l *Loop) overflowed(loss, scale float64) error {
	if l.scaler.Updates == 0 && !finite(loss) { // no loss scale mends that
		return exit.Failedf("step %d: the loss is %v before anything was trained, though all weights are finite: some are far too large; the largest is %s", l.step, loss, l.weights.largest())
	}
	if l.job.CheckNaN || l.scaler.Stuck() {
		return exit.Failedf("step %d: the gradients are not finite, the loss is %v, at loss scale %v; training has diverged\n  = help: lower the learning rate; %s", l.step, loss, scale, finiteUpTo(l.ckpt.last()))
	}
	l.out.Say("step %d: gradients are not finite at loss scale %v: the step is skipped, the scale is now %v", l.step, scale, l.scaler.Scale)
	return nil
}

// nothingToDo says that a run resumed from its end, or from beyond --steps.
func (l *Loop) nothingToDo() string {
	if l.early {
		return fmt.Sprintf("the run stopped early after step %d, so there is nothing to do: %s; a larger --early_stopping_patience, or 0, trains further", l.step, l.whyEarly())
	}
	if l.step < l.whole {
		return fmt.Sprintf("%d of %d steps are done and --steps ends the run after %d, so there is nothing to do; a larger --steps, or none, trains further", l.step, l.whole, l.plan.Steps)
	}
	return fmt.Sprintf("all %d steps are done already, so there is nothing to do; more --epochs train further", l.whole)
}

// Finish writes the last checkpoint and the adapter (or the model), evaluates and takes
// samples. It returns the error that ended the loop, if there is one. A run that is
// asked to stop leaves evaluation and samples out.
func (l *Loop) Finish(eval func(*MicroBatch) float64) error {
	if err := l.finish(eval); err != nil || l.step < l.plan.Steps {
		return err
	}
	return l.sampleAfter()
}

func (l *Loop) finish(eval func(*MicroBatch) float64) error {
	if l.err != nil {
		return l.err
	}
	if l.step >= l.plan.Steps && !l.out.Opened() {
		l.out.Say("%s", l.nothingToDo())
	}
	if l.step >= l.plan.Steps {
		if err := l.unmoved(); err != nil {
			return err
		}
		l.sayUnreached()
	}
	l.gate.enter()
	err := l.conclude()
	l.gate.leave()
	if err == nil && l.stop.err() == nil { // --max_time ends well only where something was trained
		err = l.unmoved()
	}
	if err != nil || l.step < l.plan.Steps { // it was asked to stop
		return err
	}
	l.out.Clear()
	if l.eval == nil {
		return nil
	}
	e := l.last
	if e == nil {
		e, err = l.eval.Evaluate(eval)
	}
	if errors.Is(err, infer.ErrStopped) {
		l.gate.enter()
		defer l.gate.leave()
		return l.conclude()
	}
	if err != nil {
		return err
	}
	if err := l.open(); err != nil {
		return err
	}
	l.gate.enter()
	if err = l.judge(e); err == nil {
		err = l.out.Evaluated(l.step, numbers(e))
	}
	l.gate.leave()
	if err != nil {
		return err
	}
	before := ""
	if l.before != nil {
		before = " (before: " + l.before.Text() + ")"
	}
	l.out.Say("evaluation after training: %s%s", e.Text(), before)
	if m := e.Metrics(); m != "" {
		l.out.Say("%s", m)
	}
	if err := l.evalFault(e); err != nil {
		return err
	}
	l.gate.enter()
	defer l.gate.leave()
	return l.loadBest()
}
