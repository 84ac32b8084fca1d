package rt

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"lorac/runtime/data/chat"
	"lorac/runtime/data/dataset"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/exit"
	"lorac/runtime/weights"
	"lorac/runtime/weights/modeldir"
)

// ChatTemplate is the chat template of a tokenizer, where one is named, else of the one
// beside the weights; text is "" where there is none, from says where it was looked for.
func ChatTemplate(tokenizer, base string) (text, from string, err error) {
	if from = tokenizer; from == "" {
		from = base
	}
	if _, err := os.Stat(from); from == "" || err != nil {
		return "", "", nil
	}
	if file := weights.GGUF(from); file != "" {
		text, err = weights.ChatTemplate(file)
		return text, from, err
	}
	text, err = modeldir.ChatTemplate(modeldir.Of(from))
	return text, from, err
}

// template is the chat template that a prompt names.
func (in *inputs) template(j *Job, prompt string) (*chat.Template, error) {
	if prompt != chat.Own {
		return chat.Named(prompt), nil
	}
	if j.Chat == nil {
		return nil, exit.Inputf("this trainer was compiled without the tokenizer's chat template\n  = help: compile it with --prompt tokenizer; lorac finetune does so when it is given --prompt tokenizer")
	}
	text, from, err := ChatTemplate(j.Tokenizer, j.LoadCheckpoint)
	if err != nil {
		return nil, exit.With(exit.Input, err)
	}
	if text != "" && text != j.ChatTemplate {
		return nil, exit.Inputf("the chat template of %s is not the one that this trainer was compiled with\n  = help: compile it with this tokenizer: lorac finetune does so", from)
	}
	return &chat.Template{Name: chat.Own, Source: j.ChatTemplate, Render: j.Chat}, nil
}

// tokens are the control tokens that a template of a job may write. The named ones
// begin with BOS where texts do.
func (in *inputs) tokens(j *Job, t *chat.Template) chat.Tokens {
	spelled := func(id int) string {
		if id < 0 || in.ids == nil {
			return ""
		}
		return in.ids.Token(int32(id))
	}
	out := chat.Tokens{BOS: spelled(j.Begin()), EOS: spelled(j.EosIDs[0])}
	if t.Name == chat.Own { // what the tokenizer calls so
		out = chat.Tokens{BOS: spelled(int(in.ids.BOS())), EOS: spelled(int(in.ids.EOS())), PAD: spelled(int(in.ids.PAD())), UNK: spelled(int(in.ids.UNK()))}
	}
	return out
}

// endOf is what a template writes after an answer: the id of a control token, or -1,
// and the text.
func endOf(t *chat.Template, tokens chat.Tokens, tok *tokenizer.Tokenizer) (id int32, text string) {
	const answer = "0answer0"
	out, err := t.Write(chat.Conversation{Messages: []any{chat.Message("user", "0question0"), chat.Message("assistant", answer)}, Tokens: tokens}, false)
	at := strings.LastIndex(out.Text, answer)
	if err != nil || at < 0 {
		return -1, ""
	}
	text = strings.TrimSpace(out.Text[at+len(answer):])
	if ids := tok.Encode(text); len(ids) > 0 && tok.Special(ids[0]) {
		return ids[0], text
	}
	return -1, text
}

// endAnswers has texts end where a template ends answers.
func (in *inputs) endAnswers(j *Job, t *chat.Template, say func(string, ...any)) {
	id, text := endOf(t, in.tokens(j, t), in.ids)
	switch {
	case id >= 0 && !slices.Contains(j.EosIDs, int(id)):
		j.EosIDs = append(slices.Clone(j.EosIDs), int(id))
		say("the chat template %s ends answers with %s, id %d: generated texts end there, too", t.Name, in.ids.Token(id), id)
	case id < 0 && text == "":
		say("warning: the chat template %s writes nothing after an answer, so the model does not learn to end", t.Name)
	case id < 0:
		say("warning: the chat template %s ends answers with %q, which is no token of this tokenizer: it is learned as text, and lorac chat and serve end there", t.Name, text)
	}
}

// templateOf prepares the chat template of a data set.
func (in *inputs) templateOf(j *Job, d *Data, say func(string, ...any)) (*chat.Template, error) {
	if !dataset.Templated(d.Prompt) || in.ids == nil {
		return nil, nil
	}
	t, err := in.template(j, d.Prompt)
	if err == nil {
		in.endAnswers(j, t, say)
	}
	return t, err
}

// offerTemplate says that a tokenizer brings a template where conversations are
// rendered in another way.
func (in *inputs) offerTemplate(j *Job, d *Data, format string, say func(string, ...any)) {
	if d.Prompt != "" || format != "messages" && format != "sharegpt" {
		return
	}
	if text, from, err := ChatTemplate(j.Tokenizer, j.LoadCheckpoint); err == nil && text != "" {
		say("  note: conversations are rendered as MindFormers does (vicuna); %s has a chat template: --prompt tokenizer renders by it", from)
	}
}

// talk is how a run renders conversations of its user.
type talk struct {
	template *chat.Template
	tokens   chat.Tokens
	tok      *tokenizer.Tokenizer
}

// text is a conversation up to where the next answer begins.
func (t *talk) text(messages, tools []any) (string, error) {
	for _, m := range messages {
		for _, key := range []string{"tool_calls"} {
			if v, ok := m.(*chat.Map).Get(key); ok && chat.True(v) && !t.template.Reads(key) {
				return "", fmt.Errorf("the chat template %s has no place for `%s`", t.template.Name, key)
			}
		}
	}
	if len(tools) > 0 && !t.template.Reads("tools") {
		return "", fmt.Errorf("the chat template %s has no place for tools", t.template.Name)
	}
	out, err := t.template.Write(chat.Conversation{Messages: messages, Tools: tools, Tokens: t.tokens}, true)
	return out.Text, err
}

// talkBy is that of a prompt.
func (r *Run) talkBy(prompt string) (*talk, error) {
	in := r.data
	t, err := in.template(r.job, prompt)
	if err != nil {
		return nil, err
	}
	in.endAnswers(r.job, t, r.out.Say)
	return &talk{t, in.tokens(r.job, t), in.ids}, nil
}
