package config

import (
	"strings"
	"testing"
)

func TestOptimizers(t *testing.T) {
	section := minimal[strings.Index(minimal, "optimizer:"):strings.Index(minimal, "lr_schedule:")]
	with := func(keys string) string { return strings.Replace(minimal, section, "optimizer:\n  "+keys+"\n", 1) }
	need := map[string]string{"momentum": "\n  momentum: 0.8", "adafactor": "\n  relative_step: False", "came": "\n  relative_step: False"}
	eps := map[string]float64{"mindformers": 1e-6, "torch": 1e-8, "adam": 1e-8, "lamb": 1e-6, "adafactor": 1e-30, "came": 1e-30}
	for class, rule := range optimizers {
		c := load(t, with("type: "+class+need[rule]))
		same(t, class, c.Optimizer.Rule, rule)
		same(t, class+" type", c.Optimizer.Type.V, class)
		same(t, class+" eps", c.Optimizer.Eps.V, eps[rule])
	}
	o := load(t, with("type: SGD\n  momentum: 0.9\n  nesterov: True\n  weight_decay: 0.1")).Optimizer
	same(t, "SGD", [...]float64{o.Momentum.V, o.Dampening.V, o.WeightDecay.V}, [...]float64{0.9, 0, 0.1})
	same(t, "SGD nesterov", o.Nesterov.V, true)
	same(t, "Adagrad", load(t, with("type: Adagrad")).Optimizer.Accum.V, 0.1)
	o = load(t, with("type: Came\n  relative_step: False\n  eps: [1.e-20, 1.e-4, 1.e-10]\n  beta3: 0.5")).Optimizer
	same(t, "Came", [...]float64{o.Eps.V, o.Eps2.V, o.Eps3.V, o.Beta1.V, o.Beta3.V, o.DecayRate.V, o.ClipThreshold.V}, [...]float64{1e-20, 1e-4, 1e-10, 0.9, 0.5, 0.8, 1})
	same(t, "Came scales", [...]bool{o.ScaleParameter.V, load(t, with("type: Came")).Optimizer.RelativeStep.V}, [...]bool{false, false})
	same(t, "AdaFactor does not scale a schedule", load(t, with("type: AdaFactor\n  relative_step: False")).Optimizer.ScaleParameter.V, false)

	free := minimal[:strings.Index(minimal, "lr_schedule:")] + minimal[strings.Index(minimal, "train_dataset:"):]
	o = load(t, strings.Replace(free, section, "optimizer: {type: AdaFactor}\n", 1)).Optimizer
	same(t, "AdaFactor alone", [...]bool{o.ScaleParameter.V, o.RelativeStep.V}, [...]bool{true, true})

	for _, c := range []struct{ keys, code, says string }{
		{"type: Nothing", "value", "AdamW"},
		{"type: AdamW\n  betas: [0.8]", "type", "two numbers"},
		{"type: AdamW\n  amsgrad: True", "refused", "amsgrad"},
		{"type: RMSProp", "refused", "RMSProp"},
		{"type: Momentum", "missing", "momentum: 0.9"},
		{"type: SGD\n  nesterov: True", "mismatch", "momentum above 0"},
		{"type: SGD\n  momentum: -1", "range", "not be negative"},
		{"type: AdaFactor", "mismatch", "relative_step"},
		{"type: AdaFactor\n  relative_step: False\n  warmup_init: True", "mismatch", "warm-up"},
		{"type: Came\n  relative_step: True", "mismatch", "no relative steps"},
		{"type: Came\n  relative_step: False\n  eps: [1.e-30, 1.e-3]", "type", "three numbers"},
		{"type: Came\n  relative_step: False\n  beta3: 1", "range", "beta3"},
	} {
		if l := refuse(t, with(c.keys)); has(l, c.code, c.says) == nil {
			t.Errorf("%s: not refused with %s, %s: %v", c.keys, c.code, c.says, l)
		}
	}
	if l := refuse(t, strings.Replace(free, section, "optimizer: {type: AdaFactor, relative_step: False}\n", 1)); has(l, "missing", "learning rate") == nil {
		t.Errorf("no rate at all is accepted: %v", l)
	}
}

func TestLossScale(t *testing.T) {
	with := func(scale string) string { return minimal + "runner_wrapper:\n  scale_sense: " + scale + "\n" }
	if strings.Contains(minimal, "runner_wrapper:") {
		with = func(scale string) string {
			return edit(minimal, "runner_wrapper:\n", "runner_wrapper:\n  scale_sense: "+scale+"\n")
		}
	}
	s := load(t, minimal).Wrapper.Scale
	same(t, "none", s.Type.V, "static")
	same(t, "none is 1", s.Value.V, 1)
	same(t, "a number", load(t, with("1024")).Wrapper.Scale.Value.V, 1024)
	s = load(t, with("{type: DynamicLossScaleUpdateCell, loss_scale_value: 4096, scale_factor: 4, scale_window: 9}")).Wrapper.Scale
	same(t, "dynamic", s.Type.V, "dynamic")
	same(t, "dynamic numbers", [...]float64{s.Value.V, s.Factor.V, float64(s.Window.V)}, [...]float64{4096, 4, 9})
	s = load(t, with("{type: AdaptiveLossScaleUpdateCell, loss_scale_value: 212, scale_factor: 2, scale_window: 20, max_scale_window: 500}")).Wrapper.Scale
	same(t, "adaptive", [...]int{s.Window.V, s.MinWindow.V, s.MaxWindow.V}, [...]int{20, 20, 500})
	s = load(t, with("{type: FixedLossScaleUpdateCell, loss_scale_value: 8}")).Wrapper.Scale
	same(t, "fixed", s.Type.V, "static")
	same(t, "fixed value", s.Value.V, 8)
	for _, c := range []struct{ scale, code, says string }{
		{"0", "range", "positive"}, {"-1", "range", "positive"}, {"much", "type", "number"},
		{"{type: DynamicLossScaleUpdateCell}", "missing", "loss_scale_value"},
		{"{type: Mine, loss_scale_value: 2}", "value", "DynamicLossScaleUpdateCell"},
		{"{type: DynamicLossScaleUpdateCell, loss_scale_value: 4096, scale_factor: 0.5}", "range", "scale_factor"},
		{"{type: AdaptiveLossScaleUpdateCell, loss_scale_value: 4096, max_scale_window: 5}", "mismatch", "min_scale_window"},
	} {
		if l := refuse(t, with(c.scale)); has(l, c.code, c.says) == nil {
			t.Errorf("%s: not refused with %s, %s: %v", c.scale, c.code, c.says, l)
		}
	}
}

// The wrapper that clips by default takes over where gradients accumulate in
// a semi-automatic mode.
func TestClipByDefault(t *testing.T) {
	base := strings.Replace(minimal, "  use_clip_grad: True\n  max_grad_norm: 0.5\n", "  type: MFTrainOneStepCell\n", 1)
	if base == minimal {
		t.Fatal("the minimal config has another wrapper")
	}
	accum := edit(base, "  batch_size: 5\n", "  batch_size: 5\n  gradient_accumulation_steps: 2\n")
	for text, want := range map[string]bool{
		base:  false,
		accum: false, // without use_parallel
		accum + "use_parallel: True\nparallel: {parallel_mode: 1}\n": true,
		accum + "use_parallel: True\n":                               true, // 1 is the default
		accum + "use_parallel: True\nparallel: {parallel_mode: 0}\n": false,
		base + "use_parallel: True\nparallel: {parallel_mode: 1}\n":  false,
	} {
		same(t, text[len(text)-60:], load(t, text).Wrapper.UseClip.V, want)
	}
}

func TestIntervals(t *testing.T) {
	c := load(t, minimal+"callbacks: [{type: MFLossMonitor, per_print_times: 5}, {type: CheckpointMonitor, save_checkpoint_steps: 0, save_checkpoint_seconds: 60}]\neval_epoch_interval: 2\n")
	same(t, "seconds", [...]int{c.LogEvery.V, c.Checkpoint.SaveSteps.V, c.Checkpoint.SaveSeconds.V, c.EvalSteps.V, c.EvalEpochs.V}, [...]int{5, 0, 60, 100, 2})
	c = load(t, minimal+"callbacks: [{type: CheckpointMointor, save_checkpoint_steps: 7, save_checkpoint_seconds: 60}]\n")
	same(t, "steps win", [...]int{c.LogEvery.V, c.Checkpoint.SaveSteps.V, c.Checkpoint.SaveSeconds.V, c.EvalEpochs.V}, [...]int{1, 7, 0, -1})
	for _, bad := range []string{"callbacks: [{type: MFLossMonitor, per_print_times: 0}]\n", "callbacks: [{type: CheckpointMonitor, save_checkpoint_steps: 0, save_checkpoint_seconds: -1}]\n"} {
		if l := refuse(t, minimal+bad); has(l, "range", "") == nil {
			t.Errorf("%s is accepted", bad)
		}
	}
}

func TestMetrics(t *testing.T) {
	same(t, "one", strings.Join(load(t, minimal+"metric: {type: PerplexityMetric}\n").Metrics, " "), "PerplexityMetric")
	same(t, "two", strings.Join(load(t, minimal+"metric:\n  - {type: EmF1Metric}\n  - {type: PerplexityMetric}\n").Metrics, " "), "EmF1Metric PerplexityMetric")
	same(t, "not measured", len(load(t, minimal+"metric: {type: ADGENMetric}\n").Metrics), 1)
	if l := refuse(t, minimal+"do_eval: True\nmetric: {type: ADGENMetric}\n"); has(l, "refused", "ADGENMetric") == nil {
		t.Errorf("a metric that cannot be measured is accepted: %v", l)
	}
	if l := refuse(t, minimal+"do_eval: True\nmetric: {type: Perplexity}\n"); has(l, "value", "no metric") == nil {
		t.Errorf("a metric nobody knows is accepted: %v", l)
	}
}
