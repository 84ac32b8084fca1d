package config

// documentation is the preset of a partial config: one without optimizer, schedule,
// runner and wrapper, as the example in MindFormers' documentation. The values are
// those of the shipped Llama2 LoRA file (r1.0, learning rate 1e-4), for one epoch.
var documentation = map[string]any{
	"runner_config.epochs":         1,
	"optimizer.type":               "FP32StateAdamWeightDecay",
	"optimizer.beta1":              0.9,
	"optimizer.beta2":              0.999,
	"optimizer.eps":                1e-8,
	"optimizer.weight_decay":       0.0,
	"lr_schedule.type":             "CosineWithWarmUpLR",
	"lr_schedule.learning_rate":    1e-4,
	"lr_schedule.lr_end":           0.0,
	"lr_schedule.warmup_ratio":     0.03,
	"runner_wrapper.use_clip_grad": true,
	"runner_wrapper.max_grad_norm": 1.0,
}

// fullRate is the learning rate for full fine-tuning: the rate of an adapter would
// destroy what the base model has learned.
const fullRate = 1e-5

// choosePreset decides whether the config is partial.
func (l *loader) choosePreset() {
	if l.root.get("model") == nil {
		return
	}
	for _, section := range []string{"optimizer", "lr_schedule", "runner_config", "runner_wrapper"} {
		n := l.root.get(section)
		if n.empty() {
			continue
		}
		for _, v := range n.fields {
			if v.origin == "" {
				return // the file has one of the sections; a flag alone does not count
			}
		}
	}
	l.preset = map[string]any{}
	for k, v := range documentation {
		l.preset[k] = v
	}
	if l.root.get(l.petPath()).empty() {
		l.preset["lr_schedule.learning_rate"] = fullRate
	}
}
