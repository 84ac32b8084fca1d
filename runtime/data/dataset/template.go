package dataset

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"lorac/runtime/data/chat"
)

// TrainOns are the parts of a conversation that are supervised.
//
//	turns  each answer of the assistant, with what ends it. The default.
//	last   the last answer
//	all    every token, questions too
var TrainOns = []string{"turns", "last", "all"}

// Templated reports whether rows are rendered by a chat template.
func Templated(prompt string) bool {
	return prompt == chat.Own || chat.Named(prompt) != nil && !slices.Contains(untemplated, prompt)
}

// untemplated are the prompts that rows are rendered by as MindFormers does; the
// templates of their names are for talking to the model.
var untemplated = []string{"vicuna", "alpaca", "plain"}

// said is a message of a conversation as a template reads it.
type said struct {
	message *chat.Map
	answer  bool // of the assistant
	masked  bool // its loss is switched off
}

// roleNames are roles of messages by what rows call them.
var roleNames = map[string]string{
	"human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system", "developer": "developer",
	"tool": "tool", "function": "tool", "observation": "tool", "ipython": "tool",
}

// refusedOf are the keys of a list that a template does not look at either.
func (o *Options) refusedOf(keys []string) []string {
	if o.Template == nil {
		return keys
	}
	return slices.DeleteFunc(slices.Clone(keys), func(key string) bool {
		return (key == "tools" || slices.Contains(placelessTurns, key)) && o.Template.Reads(key)
	})
}

// decodeMessages reads a conversation with everything that the template looks at.
func (r *reader) decodeMessages(row int, key string, fs fields, rec *record) error {
	f := fs.find(key)
	f.used = true
	if f.null() {
		return skipped(fmt.Sprintf("`%s` is null", f.key))
	}
	if err := optional(fs, "system", &rec.System); err != nil {
		return err
	}
	list, err := f.list(f.key)
	if err != nil {
		return err
	}
	if m := fs.take("loss_mask"); m != nil {
		return fmt.Errorf("`%s` has no place in rows of a chat template; switch answers with `train`", m.key)
	}
	if err := r.decodeTools(fs, rec); err != nil {
		return err
	}
	for i, raw := range list {
		if raw[0] != '{' {
			return fmt.Errorf("`%s[%d]` is not an object", f.key, i)
		}
		if r.turn, err = membersOf(raw, r.turn); err != nil {
			return fmt.Errorf("turn %d: %w", i+1, err)
		}
		s, err := r.decodeMessage(f.key, r.turn)
		if err != nil {
			return fmt.Errorf("turn %d: %w", i+1, err)
		}
		r.unread(row, f.key, r.turn)
		if role, _ := s.message.Get("role"); role == "system" && i == 0 && rec.System != "" {
			if content, _ := s.message.Get("content"); content != rec.System {
				return fmt.Errorf("turn 1 is another text of the system than the one beside the turns")
			}
			rec.System = ""
		}
		rec.Said = append(rec.Said, s)
	}
	if rec.System != "" {
		rec.Said = slices.Insert(rec.Said, 0, said{message: chat.Message("system", rec.System)})
	}
	return nil
}

// decodeTools reads the tools of a row: a list, or its JSON as a text.
func (r *reader) decodeTools(fs fields, rec *record) error {
	f := fs.take("tools")
	if f == nil || f.empty() {
		return nil
	}
	raw := f.raw
	if raw == nil || raw[0] == '"' {
		text, err := f.words("tools")
		if err != nil {
			return err
		}
		raw = json.RawMessage(text)
	}
	v, err := chat.JSON(raw)
	if err != nil {
		return fmt.Errorf("`tools` is no JSON: %w", err)
	}
	tools, ok := v.([]any)
	if !ok {
		return fmt.Errorf("`tools` is not a list")
	}
	rec.Tools = tools
	return nil
}

func (r *reader) decodeMessage(list string, fs fields) (s said, err error) {
	who, err := either(list, fs, "role", "from")
	if err != nil {
		return s, err
	}
	role, known := roleNames[strings.ToLower(who)]
	if !known {
		return s, fmt.Errorf("it is from %q; known are user (human), assistant (gpt), system, developer and tool", who)
	}
	s.answer = role == "assistant"
	s.message = chat.Dict("role", role)
	if err := placeless(fs, r.o.refusedOf(turnNoPlace)); err != nil {
		return s, err
	}
	calls := fs.has("tool_calls")
	if c := fs.find("content"); calls && (c == nil || c.null()) { // a call without words
		if c != nil {
			c.used = true
			s.message.Set("content", nil)
		}
	} else {
		content, err := either(list, fs, "content", "value")
		if err != nil {
			return s, err
		}
		s.message.Set("content", content)
	}
	key, on, err := fs.masked(turnSwitches)
	if err != nil {
		return s, err
	}
	if key != "" && on && !s.answer {
		return s, fmt.Errorf("`%s` is on, but it is from %q: only answers are trained on", key, who)
	}
	s.masked = key != "" && !on && s.answer
	for i := range fs {
		f := &fs[i]
		if f.used || f.null() || f.raw == nil || !r.o.Template.Reads(f.key) {
			continue
		}
		v, err := chat.JSON(f.raw)
		if err != nil {
			return s, fmt.Errorf("`%s`: %w", f.key, err)
		}
		f.used = true
		s.message.Set(f.key, v)
	}
	return s, nil
}

// conversationOf is what a row of any format says as messages.
func conversationOf(format string, rec *record) []said {
	var out []said
	say := func(role, text string) {
		out = append(out, said{message: chat.Message(role, text), answer: role == "assistant"})
	}
	if format == "sharegpt" || format == "messages" {
		return rec.Said
	}
	if rec.System != "" {
		say("system", rec.System)
	}
	for _, t := range rec.Turns {
		say(roleNames[t.From], t.Value)
	}
	question := rec.Question
	if rec.Input != "" {
		question += "\n" + rec.Input
	}
	say("user", question)
	say("assistant", rec.Answer)
	return out
}

// templated renders a row by the chat template.
func (w *writer) templated(format string, rec *record) (reason string) {
	list := conversationOf(format, rec)
	c := chat.Conversation{Tools: rec.Tools, Tokens: w.o.Tokens}
	for _, s := range list {
		c.Messages = append(c.Messages, s.message)
	}
	learned, reason := w.o.learned(list)
	if reason != "" {
		return reason
	}
	all, err := w.o.Template.Write(c, false)
	if err != nil {
		return err.Error()
	}
	ids := w.o.Tokenizer.Encode(all.Text)
	w.put(w.o.TrainOn == "all", ids...)
	if w.o.TrainOn == "all" {
		return ""
	}
	for _, i := range learned {
		from, to, reason := w.o.answerIn(c, all, list, i)
		if reason != "" {
			return reason
		}
		begin, end := w.o.idsBefore(all.Text, from, ids), w.o.idsBefore(all.Text, to, ids)
		copy(w.labels[begin:end], ids[begin:end])
		if end > w.o.SeqLength { // what follows is cut off
			break
		}
	}
	return ""
}

// learned lists the answers that are supervised.
func (o *Options) learned(list []said) (out []int, reason string) {
	answers := 0
	for i := len(list) - 1; i >= 0; i-- {
		s := &list[i]
		if !s.answer {
			continue
		}
		answers++
		if o.TrainOn == "last" && answers > 1 {
			continue
		}
		if s.masked && o.TrainOn == "all" {
			return nil, "the loss of an answer is switched off, and train_on is all"
		}
		content, _ := s.message.Get("content")
		text, _ := content.(string)
		if calls, _ := s.message.Get("tool_calls"); strings.TrimSpace(text) == "" && !chat.True(calls) && !s.masked {
			return nil, "an answer is empty"
		}
		if !s.masked {
			out = append(out, i)
		}
	}
	slices.Reverse(out)
	switch {
	case answers == 0:
		return nil, "the conversation has no answer"
	case len(out) == 0:
		return nil, "the loss of all its answers is switched off"
	}
	return out, ""
}

// answerIn are the bytes of a rendered conversation that message i, an answer, made:
// what the template marks; otherwise what comes after the conversation up to it, with
// the words that begin an answer.
func (o *Options) answerIn(c chat.Conversation, all chat.Rendered, list []said, i int) (from, to int, reason string) {
	if all.Marked {
		n, at := 0, 0
		for k, s := range list {
			if k == i {
				at = n
			}
			if s.answer {
				n++
			}
		}
		if len(all.Answers) != n {
			return 0, 0, fmt.Sprintf("the template marks %d answers by generation, the row has %d", len(all.Answers), n)
		}
		return all.Answers[at][0], all.Answers[at][1], ""
	}
	part := func(n int, prompt bool) (string, error) {
		c := c
		c.Messages = c.Messages[:n]
		x, err := o.Template.Write(c, prompt)
		return x.Text, err
	}
	before, err := part(i, true)
	if err != nil {
		return 0, 0, err.Error()
	}
	whole := all.Text
	if i+1 < len(list) {
		if whole, err = part(i+1, false); err != nil {
			return 0, 0, err.Error()
		}
	}
	if !strings.HasPrefix(all.Text, whole) {
		return 0, 0, fmt.Sprintf("the template writes the answer of turn %d in another way once more turns follow, as those that drop reasoning; train_on: last learns the last answer alone", i+1)
	}
	if strings.HasPrefix(whole, before) {
		return len(before), len(whole), ""
	}
	bare, err := part(i, false) // the prompt of an answer may hold more than each answer begins with
	if err != nil || !strings.HasPrefix(whole, bare) {
		return 0, 0, fmt.Sprintf("the template changes what stands before the answer of turn %d, so that it cannot be told which ids are the answer's", i+1)
	}
	n := len(bare)
	for n < min(len(before), len(whole)) && before[n] == whole[n] {
		n++
	}
	return n, len(whole), ""
}

// idsBefore is how many ids of a text are those of its first n bytes: a token that
// reaches over the border belongs to what follows.
func (o *Options) idsBefore(text string, n int, ids []int32) int {
	if n == len(text) {
		return len(ids)
	}
	part := o.Tokenizer.Encode(text[:n])
	k := 0
	for k < min(len(part), len(ids)) && part[k] == ids[k] {
		k++
	}
	return k
}
