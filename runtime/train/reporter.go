// Package train is what training keeps beside the weights: the schedule of the
// learning rate, the loss scale, how many steps there are and when callbacks
// act, and what the user is told of it. It must not know the weights nor how a
// step is computed.
package train

import (
	"fmt"
	"io"
	"path/filepath"
	"time"

	"lorac/runtime/job"
)

// Reporter tells what a run does: lines and a progress bar, metrics.jsonl, and
// with log_format mindformers the log of MFLossMonitor instead of the bar.
type Reporter struct {
	*Console
	Mute    bool // another process of the run reports: there is no file
	plan    Plan
	opened  bool
	metrics *Metrics // nil where it is mute
	events  *events  // as the metrics
	log     *lossLog
	started time.Time // of the process
	stepped time.Time // the last step, or the start of the first
}

// NewReporter writes to out; metrics come with Open.
func NewReporter(out io.Writer) *Reporter {
	return &Reporter{Console: NewConsole(out), started: time.Now()}
}

// Open begins the report of steps after the given one, with metrics in a file.
func (r *Reporter) Open(metrics string, j *job.Job, plan Plan, step int) error {
	if r.Mute {
		r.opened = true
		return nil
	}
	due := step >= plan.Steps || j.DoEval && plan.EvalDue(step, j.EvalSteps, j.EvalEpochs)
	m, err := openMetrics(metrics, step, due)
	if err != nil {
		return err
	}
	if r.events, err = openEvents(filepath.Join(filepath.Dir(metrics), "tensorboard"), step, time.Now); err != nil {
		m.Close()
		return err
	}
	r.opened, r.metrics, r.plan, r.stepped = true, m, plan, time.Now()
	if j.LogFormat == "mindformers" {
		r.log = &lossLog{out: r.line, now: time.Now, since: r.stepped, epochs: j.Epochs, epochSteps: plan.Epoch, sink: plan.Round,
			rows: j.Batch().Rows(), every: max(j.LogEvery, 1), lastPrinted: step, list: j.LossScale.Type != "" && j.LossScale.Type != "static"}
	}
	return nil
}

// Opened reports whether steps are reported.
func (r *Reporter) Opened() bool { return r.opened }

// Step reports a step that ended. scale is the loss scale it was taken with,
// which metrics show where scaled says so.
func (r *Reporter) Step(m Metric, scale float64, scaled bool) error {
	speed, err := r.record(m, scale, scaled)
	if err == nil && r.metrics != nil && r.log == nil {
		r.progress(m.Step, r.plan.Steps, m.Loss, m.LR, speed, r.stepped.Sub(r.started))
	}
	return err
}

// Failed reports a step that ends the run with an error, which the console gets from
// the caller.
func (r *Reporter) Failed(m Metric, scale float64, scaled bool) error {
	_, err := r.record(m, scale, scaled)
	return err
}

// record writes a step to the metrics and to the log, and returns its tokens a second.
func (r *Reporter) record(m Metric, scale float64, scaled bool) (speed float64, err error) {
	if r.metrics == nil {
		return 0, nil
	}
	now := time.Now()
	speed = float64(m.Tokens) / now.Sub(r.stepped).Seconds()
	r.stepped = now
	m.Speed, m.Elapsed = round(speed), round(now.Sub(r.started).Seconds())
	if scaled {
		m.LossScale = scale
	}
	if err := r.metrics.Add(m); err != nil {
		return 0, err
	}
	if err := r.events.step(m); err != nil {
		return 0, err
	}
	if r.log != nil {
		r.log.stepped(m.Step, m.Loss, m.LR, scale, m.GradNorm, m.Overflow)
	}
	return speed, nil
}

// Evaluated records an evaluation after a step in the metrics, unless it is there.
func (r *Reporter) Evaluated(step int, numbers []Number) error {
	if r.metrics == nil {
		return nil
	}
	if r.metrics.evaluated == step {
		return nil
	}
	x := Evaluated{step, numbers}
	if err := r.metrics.Evaluated(x); err != nil {
		return err
	}
	return r.events.evaluated(x)
}

// Sampled records samples in the metrics.
func (r *Reporter) Sampled(step int, list []Sample) error {
	if r.metrics == nil {
		return nil
	}
	return r.metrics.line(sampled{step, list})
}

// Stopped records in the metrics that a run stops after a step, and brings them to
// the disk.
func (r *Reporter) Stopped(step int, by string) error {
	if r.metrics == nil {
		return nil
	}
	if err := r.metrics.Stopped(Stopped{step, by, r.elapsed()}); err != nil {
		return err
	}
	return r.Sync()
}

// StoppedEarly records in the metrics that evaluations end a run after a step.
func (r *Reporter) StoppedEarly(step int, b *Best) error {
	if r.metrics == nil {
		return nil
	}
	if err := r.metrics.line(stoppedEarly{Stopped{step, "early_stopping", r.elapsed()}, b.Step, b.Loss}); err != nil {
		return err
	}
	return r.Sync()
}

// elapsed is seconds since the start of the process.
func (r *Reporter) elapsed() float64 { return round(time.Since(r.started).Seconds()) }

// Sync brings the metrics to the disk, as a checkpoint of their step must find them.
func (r *Reporter) Sync() error {
	if r.metrics == nil {
		return nil
	}
	return r.metrics.Sync()
}

// EvalResult writes the metrics of an evaluation as MindFormers logs them, and
// reports whether that is how this run logs.
func (r *Reporter) EvalResult(metrics string, took time.Duration) bool {
	if r.log != nil {
		r.log.line(1022, fmt.Sprintf("Eval result: %s, eval time is %f s.", metrics, took.Seconds()))
	}
	return r.log != nil
}

// Close ends the report.
func (r *Reporter) Close() {
	if r.metrics != nil {
		r.metrics.Close()
		r.events.f.Close()
	}
}

func round(x float64) float64 { return float64(int64(x*1000)) / 1000 }
