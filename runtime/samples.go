package rt

import (
	"errors"

	"lorac/runtime/exit"
	"lorac/runtime/infer"
	"lorac/runtime/sys/human"
	"lorac/runtime/train"
)

// samples are prompts that a training run continues before its first step and after its
// last: those of --predict_data.
type samples struct {
	gen     *infer.Generator
	prompts []string       // as they are rendered
	before  []train.Sample // not yet in the metrics
}

// showsSamples reports whether a run continues prompts beside training.
func showsSamples(mode Mode, o *Options) bool { return mode == Train && len(o.Prompts) > 0 }

// prepareSamples reads the prompts and renders them as questions are rendered in training.
func (r *Run) prepareSamples() error {
	if r.gen.Tok == nil {
		return exit.Inputf("--predict_data asks for samples before and after training, which need a tokenizer; give --tokenizer tokenizer.model")
	}
	if err := r.renderPrompts(); err != nil {
		return err
	}
	prompts, err := r.gen.Prompts(r.opts.Prompts)
	if err == nil {
		err = r.gen.CheckPrompts(prompts)
	}
	r.Loop.samples = &samples{gen: r.gen, prompts: prompts}
	return err
}

// take continues the prompts. It returns none where the run is asked to stop meanwhile.
func (l *Loop) take(when string) (list []train.Sample, err error) {
	answers, err := l.samples.gen.Answers(l.samples.prompts)
	if errors.Is(err, infer.ErrStopped) {
		return nil, nil
	}
	if errors.Is(err, infer.ErrNotFinite) {
		return nil, l.weights.notFinite(err.Error())
	}
	for i, text := range answers {
		list = append(list, train.Sample{Prompt: l.samples.prompts[i], Text: text})
		l.out.Say("sample %d %s: %s", i+1, when, human.Line(text))
	}
	return list, err
}

// sampleBefore takes samples of the model that training begins with.
func (l *Loop) sampleBefore() (err error) {
	if l.samples == nil || l.step > 0 || l.plan.Steps == 0 {
		return nil
	}
	l.samples.before, err = l.take("before training")
	return err
}

// sampleAfter takes samples of the model that training ends with, which the last
// checkpoint has.
func (l *Loop) sampleAfter() error {
	if l.samples == nil || !l.begun {
		return nil
	}
	l.out.Clear()
	list, err := l.take("after training")
	if err != nil || len(list) == 0 {
		return err
	}
	l.gate.enter()
	defer l.gate.leave()
	return l.out.Sampled(l.step, list)
}
