package rt

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"lorac/runtime/exit"
	"lorac/runtime/infer"
	"lorac/runtime/sys/atomicfile"
	"lorac/runtime/train"
)

// followsBest reports whether a run follows the loss of its evaluations.
func followsBest(j *Job) bool { return j.EarlyStopping.Patience > 0 || j.LoadBest }

// checkBest refuses to follow evaluations that are not made.
func (l *Loop) checkBest() error {
	if !followsBest(l.job) {
		return nil
	}
	key := "load_best_model_at_end"
	if l.job.EarlyStopping.Patience > 0 {
		key = "early_stopping_patience"
	}
	switch {
	case !l.job.DoEval || l.eval == nil:
		return exit.Inputf("%s needs evaluations during training\n  = help: --do_eval True with --eval_dataset_dir FILE and --eval_step_interval N; or leave %s out", key, key)
	case slices.Contains(l.job.Metrics, "EmF1Metric") && !slices.Contains(l.job.Metrics, "PerplexityMetric"):
		return exit.Inputf("%s follows the loss, which EmF1Metric alone does not measure\n  = help: add PerplexityMetric to metric, or leave metric out", key)
	}
	for step := 1; step < l.whole; step++ {
		if l.plan.EvalDue(step, l.job.EvalSteps, l.job.EvalEpochs) {
			return nil
		}
	}
	return exit.Inputf("%s needs evaluations during training, of which these %d steps have none\n  = help: --eval_step_interval N with N below %d, or --eval_epoch_interval", key, l.whole, l.whole)
}

// resumeBest takes from the metrics what a run that resumes knows of its evaluations; one
// that had stopped early stays so.
func (l *Loop) resumeBest() error {
	if !followsBest(l.job) {
		return nil
	}
	if l.job.LoadBest && l.writesModel() {
		return exit.Inputf("load_best_model_at_end needs a run that trains an adapter alone; this one trains parts of the base\n  = help: leave it out; early_stopping_patience ends the run without it")
	}
	if l.step == 0 {
		return nil
	}
	if err := l.best.Replay(l.metricsPath(), l.step, l.step >= l.plan.Steps || l.evalDue()); err != nil {
		return exit.Inputf("cannot read %s: %w", l.metricsPath(), err)
	}
	if !l.world.alone() {
		all, err := share(l.world, l.best) // the first one has the metrics
		if err != nil {
			return err
		}
		l.best = all[0]
	}
	kept, ok := readBest(l.bestDir())
	switch {
	case l.best.Step == 0:
		l.out.Say("the metrics have no evaluation up to step %d: the best one is looked for from here on", l.step)
	case l.keepsBest() && (!ok || kept != bestOf(&l.best)):
		l.out.Say("note: %s does not hold the adapter of step %d, whose evaluation was the best so far; it is as it was until a better one comes", l.bestDir(), l.best.Step)
	}
	if l.best.Over() {
		l.endEarly()
	}
	return nil
}

// judge compares the loss of an evaluation with those before, and keeps the adapter of
// the lowest. It is called before the metrics have the evaluation: what they have is
// kept already.
func (l *Loop) judge(e *infer.Evaluation) error {
	if !followsBest(l.job) || !e.HasLoss {
		return nil
	}
	lowest, err := l.world.says(l.best.Take(l.step, e.Loss))
	if err != nil || !lowest || !l.keepsBest() {
		return err
	}
	if !l.world.first() {
		l.weights.pull(false)
		return nil
	}
	return l.saveBest()
}

// stopEarly ends the run where its evaluations say so.
func (l *Loop) stopEarly() error {
	over, err := l.world.says(l.best.Over())
	if err != nil || !over {
		return err
	}
	l.out.Say("stopped early after step %d of %d: %s", l.step, l.whole, l.whyEarly())
	l.endEarly()
	return l.out.StoppedEarly(l.step, &l.best)
}

func (l *Loop) whyEarly() string {
	lower := "lower"
	if l.best.Threshold > 0 {
		lower = fmt.Sprintf("lower by more than %v", l.best.Threshold)
	}
	return fmt.Sprintf("the loss of %d evaluations in a row was not %s (early_stopping_patience %d); the lowest was %.4f after step %d",
		l.best.Bad, lower, l.best.Patience, l.best.Loss, l.best.Step)
}

// endEarly makes the step that ended the last one.
func (l *Loop) endEarly() { l.early, l.plan.Steps, l.whole = true, l.step, l.step }

// keepsBest reports whether the adapter of the best evaluation is kept: a whole model
// would be, too large.
func (l *Loop) keepsBest() bool { return !l.writesModel() }

func (l *Loop) bestDir() string { return filepath.Join(l.job.Output, "best") }

// kept says of which evaluation a directory's adapter is.
type kept struct {
	Step int     `json:"step"`
	Loss float64 `json:"eval_loss"`
}

const keptName = "lorac_best.json"

func bestOf(b *train.Best) kept { return kept{b.Step, b.Loss} }

func readBest(dir string) (k kept, ok bool) {
	text, err := os.ReadFile(filepath.Join(dir, keptName))
	return k, err == nil && json.Unmarshal(text, &k) == nil
}

// saveBest writes the adapter as it is to best.
func (l *Loop) saveBest() error {
	w := l.weights
	w.pull(false)
	return exit.With(exit.Failed, atomicfile.WriteDir(l.bestDir(), func(dir string) error {
		if err := w.writeAdapter(dir, l.job.LoadCheckpoint); err != nil {
			return err
		}
		if err := w.recordIgnored(dir); err != nil {
			return err
		}
		text, err := json.Marshal(bestOf(&l.best))
		if err != nil {
			return err
		}
		return atomicfile.WriteText(filepath.Join(dir, keptName), append(text, '\n'))
	}))
}

// loadBest puts the adapter of the best evaluation in the place of the last one, whose
// state the last checkpoint has.
func (l *Loop) loadBest() error {
	if !l.job.LoadBest || !l.world.first() || l.best.Step == 0 {
		return nil
	}
	if l.best.Step == l.step {
		l.out.Say("load_best_model_at_end: the last evaluation is the best one")
		return nil
	}
	if k, ok := readBest(l.bestDir()); !ok || k != bestOf(&l.best) {
		return exit.Failedf("load_best_model_at_end: %s does not hold the adapter of step %d, the best one; the adapter is that of step %d", l.bestDir(), l.best.Step, l.step)
	}
	to := filepath.Join(l.job.Output, "adapter")
	err := atomicfile.WriteDir(to, func(dir string) error {
		files, err := os.ReadDir(l.bestDir())
		for _, f := range files {
			if err == nil {
				err = copyFile(filepath.Join(dir, f.Name()), filepath.Join(l.bestDir(), f.Name()))
			}
		}
		return err
	})
	if err != nil {
		return exit.With(exit.Failed, err)
	}
	l.out.Say("load_best_model_at_end: %s is the adapter of step %d, whose evaluation was the best: loss %.4f; that of step %d is in the last checkpoint", to, l.best.Step, l.best.Loss, l.step)
	return nil
}

func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	return atomicfile.WriteFile(to, func(w io.Writer) error {
		_, err := io.Copy(w, in)
		return err
	})
}
