package config

import (
	"fmt"
	"strings"
)

func (l *loader) training() {
	c := l.c
	l.positive("epochs", c.Run.Epochs)
	l.positive("batch_size", c.Run.BatchSize)
	l.positive("gradient_accumulation_steps", c.Run.GradAccum)
	for _, d := range []struct {
		name string
		Dataset
	}{{"train_dataset", c.Train}, {"eval_dataset", c.Eval}} {
		l.positive(d.name+".repeat", d.Repeat)
	}
	for _, v := range []Val[int]{c.Run.Epochs, c.Run.BatchSize, c.Run.GradAccum, c.Train.Repeat, c.Eval.Repeat} {
		if v.V > limit {
			l.errorf(v.At, "range", "%d is more than lorac allows (%d)", v.V, limit)
		}
	}
	if c.Run.SinkMode.V && c.Run.SinkSize.V < 1 && c.Run.SinkSize.V != -1 {
		l.errorf(c.Run.SinkSize.At, "range", "`sink_size` must be positive, or -1 for the whole data set, not %d", c.Run.SinkSize.V)
	}
	if c.Seed.V < 0 {
		l.errorf(c.Seed.At, "range", "`seed` must not be negative, not %d", c.Seed.V)
	}
	if p := c.Checkpoint.Prefix; strings.ContainsAny(p.V, `/\`) || p.V == "" || p.V == "." || p.V == ".." {
		l.errorf(p.At, "value", "`prefix` must be the beginning of a file name, not `%s`", p.V).WithHelp("output_dir says where checkpoints go")
	}
	if c.Checkpoint.SaveSteps.V < 0 {
		l.errorf(c.Checkpoint.SaveSteps.At, "range", "`save_checkpoint_steps` must not be negative, not %d", c.Checkpoint.SaveSteps.V)
	}
	l.positive("keep_checkpoint_max", c.Checkpoint.KeepMax)
	l.positive("per_print_times", c.LogEvery)
	if p := c.Patience; p.V < 0 {
		l.errorf(p.At, "range", "`early_stopping_patience` must not be negative, not %d", p.V).WithHelp("0 never stops early")
	}
	if t := c.Threshold; t.V < 0 {
		l.errorf(t.At, "range", "`early_stopping_threshold` must not be negative, not %v", t.V)
	}
	for _, v := range []struct {
		name string
		Val[int]
	}{{"save_checkpoint_seconds", c.Checkpoint.SaveSeconds}, {"max_new_tokens", c.Predict.MaxNew}, {"min_length", c.Predict.MinLength}, {"min_new_tokens", c.Predict.MinNew}} {
		if v.V < 0 {
			l.errorf(v.At, "range", "`%s` must not be negative, not %d", v.name, v.V)
		}
	}
	if c.Wrapper.UseClip.V && c.Wrapper.MaxNorm.V <= 0 {
		l.errorf(c.Wrapper.MaxNorm.At, "range", "`max_grad_norm` must be positive, not %v", c.Wrapper.MaxNorm.V)
	}
	if p := c.Predict; p.DoSample.V {
		if p.TopP.V <= 0 || p.TopP.V > 1 {
			l.errorf(p.TopP.At, "range", "`top_p` must be in (0, 1], not %v", p.TopP.V)
		}
		if p.Temperature.V < 0 {
			l.errorf(p.Temperature.At, "range", "`temperature` must not be negative, not %v", p.Temperature.V)
		}
	}
	if p := c.Predict.RepetitionPenalty; p.V <= 0 {
		l.errorf(p.At, "range", "`repetition_penalty` must be positive, not %v", p.V).WithHelp("1 changes nothing")
	}
	l.positive("max_length", c.Predict.MaxLength)
}

// rateRules checks the optimizer and the schedule.
func (l *loader) rateRules() {
	l.optimizerRules()
	l.lossScaleRules()
	s := &l.c.Schedule
	if s.LR.V <= 0 {
		l.errorf(s.LR.At, "range", "the learning rate must be positive, not %v", s.LR.V)
	}
	for _, v := range []Val[float64]{s.WarmupInit, s.LREnd, s.LREnd2, s.EtaMin} {
		if v.V < 0 {
			l.errorf(v.At, "range", "a learning rate must not be negative, not %v", v.V)
		}
	}
	if s.WarmupRatio.Set() && (s.WarmupRatio.V < 0 || s.WarmupRatio.V > 1) {
		l.errorf(s.WarmupRatio.At, "range", "`warmup_ratio` must be in [0, 1], not %v", s.WarmupRatio.V).WithHelp("0.03 warms up over three percent of the steps")
	}
	for _, v := range []struct {
		name string
		Val[int]
	}{{"warmup_steps", s.WarmupSteps}, {"warmup_epochs", s.WarmupEpochs}, {"decay_steps", s.DecaySteps},
		{"keep_steps", s.KeepSteps}, {"final_steps", s.FinalSteps}, {"decay_start_steps", s.DecayStart}} {
		if v.V < 0 {
			l.errorf(v.At, "range", "`%s` must not be negative, not %d", v.name, v.V)
		}
	}
	if t := s.TotalSteps; t.Set() && t.V < 1 && t.V != -1 {
		l.errorf(t.At, "range", "`total_steps` must be positive, or -1 to follow the data, not %d", t.V)
	}
	if w, t := s.WarmupSteps, s.TotalSteps; t.V > 0 && w.V > t.V {
		l.errorf(w.At, "mismatch", "the warm-up is longer than the training").WithLabel("%d > %d", w.V, t.V).At(t.At, "all steps")
	}
	for _, r := range []struct {
		name string
		Val[float64]
	}{{"decay_ratio", s.DecayRatio}, {"decay_start_ratio", s.DecayStartRatio}} {
		if r.Set() && (r.V < 0 || r.V > 1) {
			l.errorf(r.At, "range", "`%s` must be in [0, 1], not %v", r.name, r.V)
		}
	}
	if (s.Type.V == "polynomial" || s.Type.V == "warmup_stable_decay") && s.LR.V <= s.LREnd.V {
		l.errorf(s.LREnd.At, "mismatch", "`lr_end` must be below `learning_rate`").WithLabel("%v", s.LREnd.V).At(s.LR.At, "%v", s.LR.V)
	}
	for _, v := range []struct {
		name string
		Val[float64]
	}{{"num_cycles", s.NumCycles}, {"power", s.Power}} {
		if v.V <= 0 {
			l.errorf(v.At, "range", "`%s` must be positive, not %v", v.name, v.V)
		}
	}
	l.positive("t_max", s.TMax)
	l.positive("t_0", s.T0)
	l.positive("t_mult", s.TMult)
}

// notes reports which of several keys for one setting wins, and how a run differs
// from one on MindSpore.
func (l *loader) notes() {
	c := l.c
	say := func(format string, args ...any) { c.Winners = append(c.Winners, fmt.Sprintf(format, args...)) }
	l.contest(say, fmt.Sprintf("batch size %d", c.Run.BatchSize.V), batchSizes...)
	if !l.given(batchSizes[0]) && !l.given(batchSizes[1]) && l.given(batchSizes[2]) {
		say("batch size %d: %s is the only one given; MindFormers would use it for inference alone", c.Run.BatchSize.V, mc+"batch_size")
	}
	l.contest(say, fmt.Sprintf("learning rate %v", c.Schedule.LR.V), "lr_schedule.learning_rate", "optimizer.learning_rate")
	l.deviceNotes(say)
	if c.Run.SinkMode.V && c.Run.SinkSize.V > 1 {
		say("sink_size %d: the number of steps is rounded down to a multiple of it, as in MindFormers", c.Run.SinkSize.V)
	}
	if c.Optimizer.Type.V == "adamw" {
		say("optimizer adamw is MindFormers' alias for AdamWeightDecay, without bias correction; AdamW is PyTorch's")
	}
	if c.RunMode.V == "predict" || c.RunMode.V == "eval" {
		say("run_mode %s: nothing trains", c.RunMode.V)
	}
}

// contest reports which of several keys wins if more than one is given.
func (l *loader) contest(say func(string, ...any), what string, paths ...string) {
	var given []string
	for _, p := range paths {
		if n := l.root.get(p); !n.empty() {
			at := where(n.keyPos, l.c.Path)
			given = append(given, fmt.Sprintf("%s %s (%s)", p, n.text(), at))
		}
	}
	if len(given) > 1 {
		say("%s: %s wins over %s", what, given[0], strings.Join(given[1:], " and "))
	}
}

// deviceNotes reports what a step is on the devices of the job, and which keys that
// would say it otherwise do not count.
func (l *loader) deviceNotes(say func(string, ...any)) {
	c := l.c
	d, gas := &c.Devices, c.Run.GradAccum.V
	if d.alone > 1 {
		say("use_parallel is False, so each of the %d workers of the launch line would train by itself in MindFormers; 1 device trains here", d.alone)
	}
	if d.Mode.V == "" {
		if gas > 1 {
			say("gradient_accumulation_steps %d counts here; MindFormers sets it to 1 outside semi-automatic parallel mode", gas)
		}
		return
	}
	words := d.Job()
	rows := float64(c.Run.BatchSize.V) * float64(max(words.Count, 1))
	if d.Parallel() {
		rows *= float64(max(gas, words.Micro)) * float64(max(words.Interleave, 1))
	}
	if rows > 1<<31 {
		l.errorf(d.Count.At, "range", "a step of %.3g rows is more than lorac allows", rows)
		return
	}
	say("%s", words.Words(c.Run.BatchSize.V, gas, c.Run.PerTokenLoss.V))
	if d.implied {
		say("devices %d (%s): use_parallel is taken as True", d.Count.V, d.Count.At)
	}
	if d.loses.V > 0 {
		say("%d devices: parallel_config (%s) wins over devices %d (%s)", d.Count.V, where(d.Count.At, c.Path), d.loses.V, where(d.loses.At, c.Path))
	}
	switch {
	case gas > 1 && !d.Parallel():
		say("gradient_accumulation_steps %d counts as 1 in parallel_mode %s, as in MindFormers", gas, d.Mode.V)
	case gas > 1 && c.Parallel.Pipeline.V > 1:
		say("gradient_accumulation_steps %d counts as 1 with a pipeline, as in MindFormers; micro_batch_num says it", gas)
	}
	if n, stages := d.Micro.V, c.Parallel.Pipeline.V; n > 0 && n < stages {
		say("micro_batch_num %d is below pipeline_stage %d: MindSpore refuses that; here the job is trained", n, stages)
	}
	if n := l.peek("parallel_config.data_parallel").V; !d.Parallel() && d.Count.V != n && n > 1 {
		say("parallel_config counts as 1 in parallel_mode %s, as in MindFormers; the launch line or --devices N says how many devices there are", d.Mode.V)
	}
}
