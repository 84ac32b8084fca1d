package config

import (
	"strings"

	"gopkg.in/yaml.v3"
)

// metricTypes are the metric classes of MindFormers (r1.3 core/metric/metric.py)
// with the reason why they are not supported, "" if they are.
var metricTypes = map[string]string{
	"PerplexityMetric": "", "EmF1Metric": "",
	"ADGENMetric":     "its ROUGE and BLEU need the Chinese dictionary of jieba",
	"PromptAccMetric": "it needs data of its own form, with several options a row",
	"SQuADMetric":     "it scores spans, which a causal model does not give",
	"EntityScore":     "it scores entities, which a causal model does not give",
}

// metrics reads metric, a section or a list of sections. An unsupported metric is
// an error only if the job evaluates.
func (l *loader) metrics() {
	n := l.seen("metric")
	if n.empty() {
		return
	}
	items := []*node{n}
	if n.kind == yaml.SequenceNode {
		items = n.items
	}
	measures := l.c.RunMode.V == "eval" || l.c.DoEval.V
	for _, item := range items {
		if !item.isMap() {
			l.wrongType(item, "metric", "a mapping or a list of them")
			continue
		}
		t := item.child("type")
		if t.empty() {
			continue
		}
		why, known := metricTypes[t.raw]
		switch {
		case known && why == "":
			l.c.Metrics = append(l.c.Metrics, t.raw)
		case !measures:
			l.c.Metrics = append(l.c.Metrics, t.raw) // a flag may enable evaluation later
		case known:
			l.errorf(t.pos, "refused", "the metric `%s` is not supported", t.raw).WithLabel("%s", why).
				WithHelp("use PerplexityMetric or EmF1Metric")
		default:
			l.errorf(t.pos, "value", "there is no metric `%s`", t.raw).WithHelp("values supported: %s", strings.Join([]string{"EmF1Metric", "PerplexityMetric"}, ", "))
		}
	}
}
