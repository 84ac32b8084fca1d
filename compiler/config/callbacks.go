package config

import (
	"strings"

	"lorac/ir/diag"
)

// callbacks are the callback classes of MindFormers (core/callback/callback.py, r0.6
// to r1.7) and MindSpore with the reason why they have no effect here. An empty
// reason means that the callback is read (see checkpoint) and its keys are in the
// schema.
var callbacks = map[string]string{
	"CheckpointMonitor": "",
	"CheckpointMointor": "", // the misspelt name is MindFormers' own, up to r1.1
	"MFLossMonitor":     "",

	"LossMonitor":             "every step is reported",
	"TimeMonitor":             "every step is reported",
	"ObsMonitor":              aicc,
	"SummaryMonitor":          metrics,
	"SummaryCollector":        metrics,
	"TrainingStateMonitor":    metrics,
	"MaxLogitsMonitor":        metrics,
	"ProfileMonitor":          "give --profile",
	"EvalCallBack":            "do_eval and eval_step_interval say it",
	"TrainCallBack":           "has no effect in MindFormers r1.3; use --steps",
	"OnRequestExit":           "a killed run resumes exactly",
	"TopkBiasBalanceCallback": oneExpert,
	"MoEDropRateCallback":     oneExpert,
	"ColdHotExpertMointor":    oneExpert,
	"ColdHotExpertMonitor":    oneExpert,
	"TFTRegister":             ascend,
	"StressDetectCallBack":    ascend,
	"StressTestModelMonitor":  ascend,
	"SDCMonitor":              ascend,
	"AscendNodeMonitor":       ascend,
}

// beginCallback prepares the loader for the keys of one callback. An unknown class
// has no effect and a warning; a misspelt known class is an error, since it may be
// the one that saves checkpoints.
func (l *loader) beginCallback(item *node) {
	t := item.child("type")
	if t.empty() {
		l.errorf(item.pos, "missing", "a callback has no `type`").WithHelp("write it as in `- type: CheckpointMonitor`")
		return
	}
	name, _ := t.value.(string)
	why, known := callbacks[name]
	switch {
	case known && why == "":
		l.strict = true
	case known:
		l.callback = why
	case len(l.diags) > 2*maxDiags: // beyond the limit of diagnostics
		l.callback = "a callback of one's own is Python code"
	default:
		l.callback = "a callback of one's own is Python code"
		d := diag.Warnf(t.pos, "callback", "the callback `%s` does nothing here", t.text())
		if near := diag.Suggest(name, sortedKeys(callbacks)); len(near) > 0 && strings.EqualFold(near[0][:3], name[:3]) { // not only the suffix matches
			d = diag.Errorf(t.pos, "value", "there is no callback `%s`", t.text()).WithLabel("did you mean `%s`?", near[0])
		}
		l.diags = append(l.diags, d)
	}
}
