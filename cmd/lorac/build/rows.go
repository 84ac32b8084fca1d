package build

import (
	"lorac/codegen"
	"lorac/codegen/jinja"
	"lorac/compiler/config"
	"lorac/compiler/model"
	rt "lorac/runtime"
	"lorac/runtime/data/chat"
)

// JobOf is the job of a config for a target, as far as reading its data needs it: nothing
// is compiled.
func JobOf(c *config.Config, t Target) (*rt.Job, error) {
	t.complete(c)
	if err := t.readTemplate(c); err != nil {
		return nil, err
	}
	m, err := model.Build(c)
	if err != nil {
		return nil, err
	}
	j, err := codegen.Job(m)
	if err != nil {
		return nil, err
	}
	t.tell(j)
	return j, nil
}

// JobWithout is a job of which only its data are known. With the prompt of the
// tokenizer, it has the tokenizer's chat template.
func JobWithout(t Target, tokenizer, prompt string) (*rt.Job, error) {
	j := rt.Unconfigured()
	if prompt != chat.Own {
		return j, nil
	}
	c := &config.Config{}
	c.Tokenizer.V, c.Train.Prompt.V = tokenizer, prompt
	if err := t.readTemplate(c); err != nil {
		return nil, err
	}
	parsed, err := jinja.Parse(c.ChatTemplate)
	if err != nil {
		return nil, err
	}
	rt.TakeTemplate(j, c.ChatTemplate, parsed.Func())
	return j, nil
}
