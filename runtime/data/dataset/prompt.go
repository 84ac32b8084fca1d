package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// writer renders one row. Its methods return the reason why the row cannot be trained
// on, or "".
type writer struct {
	o              *Options
	tokens, labels []int32
	rounds         int // of a conversation: each ends with EOS
}

// The prompts of Stanford Alpaca (stanford_alpaca train.py; unchanged in
// MindFormers r1.3 alpaca_converter.py). They end without a line break.
const (
	stanfordWithInput = "Below is an instruction that describes a task, paired with an input that provides further context. " +
		"Write a response that appropriately completes the request.\n\n### Instruction:\n%s\n\n### Input:\n%s\n\n### Response:"
	stanfordNoInput = "Below is an instruction that describes a task. " +
		"Write a response that appropriately completes the request.\n\n### Instruction:\n%s\n\n### Response:"
)

func stanford(instruction, input string) string {
	if input == "" {
		return fmt.Sprintf(stanfordNoInput, instruction)
	}
	return fmt.Sprintf(stanfordWithInput, instruction, input)
}

// write renders a row of the given format, any but tokens.
func (w *writer) write(format string, r *record) string {
	switch format {
	case "alpaca":
		input := ""
		if r.Input != nil {
			input = *r.Input
		}
		switch w.o.Prompt {
		case "alpaca":
			return w.answer(stanford(*r.Instruction, input), *r.Output)
		case "plain":
			if input != "" {
				input = "\n" + input
			}
			return w.answer(*r.Instruction+input+"\n", *r.Output)
		}
		return w.conversation("", []turn{{From: "human", Value: stanford(*r.Instruction, input)}, {From: "gpt", Value: *r.Output}})
	case "completion":
		prompt, answer, between := r.Prompt, r.Completion, ""
		if prompt == nil || answer == nil {
			prompt, answer, between = r.Question, r.Answer, "\n"
		}
		switch w.o.Prompt {
		case "alpaca":
			return w.answer(stanford(*prompt, ""), *answer)
		case "vicuna":
			return w.conversation("", []turn{{From: "human", Value: *prompt}, {From: "gpt", Value: *answer}})
		}
		return w.answer(*prompt+between, *answer)
	case "sharegpt", "messages":
		return w.chat(r)
	}
	return w.text(*r.Text)
}

// put appends ids.
func (w *writer) put(supervised bool, ids ...int32) {
	for _, id := range ids {
		label := int32(Ignore)
		if supervised {
			label = id
		}
		w.tokens, w.labels = append(w.tokens, id), append(w.labels, label)
	}
}

// control appends an id that begins or ends a text, if there is one.
func (w *writer) control(supervised bool, id int32) {
	if id >= 0 {
		w.put(supervised, id)
	}
}

// begin puts BOS before ids, unless they begin with it.
func (w *writer) begin(ids []int32) {
	if !w.o.begins(ids) {
		w.control(false, w.o.BOS)
	}
}

// end puts EOS after ids, unless they end with it.
func (w *writer) end(ids []int32) {
	if !w.o.ends(ids) {
		w.control(true, w.o.EOS)
	}
}

// answer renders prompt followed by answer; the answer and EOS are supervised. Spaces
// at the end of the prompt are moved to the answer, since the vocabulary merges them
// with its first word.
func (w *writer) answer(prompt, answer string) string {
	if strings.TrimSpace(answer) == "" {
		return "the answer is empty"
	}
	bare := strings.TrimRight(prompt, " ")
	ids := w.o.Tokenizer.Encode(bare)
	w.begin(ids)
	w.put(false, ids...)
	more := w.o.Tokenizer.EncodeMore
	switch {
	case bare == "":
		more = w.o.Tokenizer.Encode
	case len(ids) > 0 && w.o.Tokenizer.Special(ids[len(ids)-1]):
		more = w.o.Tokenizer.EncodeAfterSpecial
	}
	ids = more(prompt[len(bare):] + answer)
	w.put(true, ids...)
	w.end(ids)
	return ""
}

// text renders text that is supervised completely.
func (w *writer) text(s string) string {
	if strings.TrimSpace(s) == "" {
		return "the text is empty"
	}
	ids := w.o.Tokenizer.Encode(s)
	w.begin(ids)
	w.put(true, ids...)
	w.end(ids)
	return ""
}

// chat renders a conversation.
func (w *writer) chat(r *record) string {
	turns, system := slices.Clone(r.Conversations), ""
	for _, m := range r.Messages {
		turns = append(turns, turn{From: m.Role, Value: m.Content})
	}
	for i, t := range turns {
		if name, ok := map[string]string{"user": "human", "assistant": "gpt"}[t.From]; ok {
			turns[i].From = name
		}
	}
	if r.System != nil {
		system = *r.System
	}
	if len(turns) > 0 && turns[0].From == "system" {
		system, turns = turns[0].Value, turns[1:]
	}
	// As FastChat and MindFormers do: what comes before the user's first turn
	// is dropped.
	if len(turns) > 0 && turns[0].From != "human" {
		turns = turns[1:]
	}
	for i, t := range turns {
		if want := []string{"human", "gpt"}[i%2]; t.From != want {
			return fmt.Sprintf("turn %d is from %q; human (user) and gpt (assistant) must take turns", i+1, t.From)
		}
	}
	if len(turns) < 2 {
		return "the conversation has no answer"
	}
	if w.o.Prompt == "" || w.o.Prompt == "vicuna" {
		return w.conversation(system, turns)
	}
	if len(turns) > 2 {
		return fmt.Sprintf("it has %d turns, the prompt %s has a place for two; use vicuna", len(turns), w.o.Prompt)
	}
	if w.o.Prompt == "alpaca" {
		return w.answer(stanford(turns[0].Value, ""), turns[1].Value)
	}
	return w.answer(turns[0].Value+"\n", turns[1].Value)
}
