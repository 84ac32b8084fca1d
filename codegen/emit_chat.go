package codegen

import (
	j "github.com/dave/jennifer/jen"

	"lorac/codegen/jinja"
	"lorac/ir"
	rt "lorac/runtime"
)

// chatFunction is the tokenizer's chat template in an emitted program.
const chatFunction = "chatTemplate"

// emitChat writes the chat template.
func (v *view) emitChat() (*j.File, error) {
	t, err := jinja.Parse(v.job.ChatTemplate)
	if err != nil {
		return nil, err
	}
	f := v.newFile()
	f.Comment(chatFunction + " renders conversations as the chat template of the tokenizer does; the job has its")
	f.Comment("text as ChatTemplate.")
	t.Emit(f, chatFunction)
	return f, nil
}

// chatOf gives a job that is read by this process the template that its trainer has
// as Go.
func chatOf(m *ir.Module, j *rt.Job) error {
	if j.ChatTemplate == "" {
		return nil
	}
	t, err := jinja.Parse(j.ChatTemplate)
	if err != nil {
		line := 0
		for _, s := range m.Settings {
			if s.Key == "chat_template" {
				line = s.Line
			}
		}
		return formless(m, line, "the setting `chat_template` cannot be compiled: %v", err)
	}
	j.Chat = t.Func()
	return nil
}
