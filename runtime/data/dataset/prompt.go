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

// place is an error if the prompt has no place for what a row says.
func (w *writer) place(format string, r *record) error {
	if format == "text" || w.o.Template != nil || w.o.Prompt == "vicuna" || w.o.Prompt == "" && format != "completion" {
		return nil
	}
	prompt := or(w.o.Prompt, "plain")
	switch {
	case strings.TrimSpace(r.System) != "":
		return fmt.Errorf("it has a text of the system, for which the prompt %s has no place; use vicuna", prompt)
	case format == "alpaca" && len(r.Turns) > 0:
		return fmt.Errorf("it has `history`, for which the prompt %s has no place; use vicuna", prompt)
	}
	return nil
}

// write renders a row of the given format, any but tokens.
func (w *writer) write(format string, r *record) string {
	if w.o.Template != nil && format != "text" {
		return w.templated(format, r)
	}
	reason := w.asMindFormers(format, r)
	if reason == "" && w.o.TrainOn == "all" {
		if slices.ContainsFunc(r.Turns, func(t turn) bool { return t.Masked }) {
			return "the loss of an answer is switched off, and train_on is all"
		}
		copy(w.labels, w.tokens)
	}
	return reason
}

func (w *writer) asMindFormers(format string, r *record) string {
	switch format {
	case "alpaca":
		switch w.o.Prompt {
		case "alpaca":
			return w.answer(stanford(r.Question, r.Input), r.Answer)
		case "plain":
			input := r.Input
			if input != "" {
				input = "\n" + input
			}
			return w.answer(r.Question+input+"\n", r.Answer)
		}
		return w.conversation(r.System, w.history(r.Turns, turn{From: "human", Value: stanford(r.Question, r.Input)}, turn{From: "gpt", Value: r.Answer}))
	case "completion":
		switch w.o.Prompt {
		case "alpaca":
			return w.answer(stanford(r.Question, ""), r.Answer)
		case "vicuna":
			return w.conversation(r.System, []turn{{From: "human", Value: r.Question}, {From: "gpt", Value: r.Answer}})
		}
		return w.answer(r.Question+r.between, r.Answer)
	case "sharegpt", "messages":
		return w.chat(r.System, r.Turns)
	}
	return w.text(r.Text)
}

// history puts turns before the last question and answer, of which the loss is off where
// the last answer alone is learned.
func (w *writer) history(before []turn, last ...turn) []turn {
	if w.o.TrainOn == "last" {
		for i := range before {
			before[i].Masked = before[i].From == "gpt"
		}
	}
	return append(before, last...)
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

// chat renders a conversation. As FastChat and MindFormers do, an assistant's turn
// before the user's first is dropped; the reader counts such rows.
func (w *writer) chat(system string, turns []turn) string {
	if leads(turns) {
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
	if answerless(turns) {
		return "the loss of all its answers is switched off"
	}
	if w.o.TrainOn == "last" {
		turns = slices.Clone(turns)
		last := len(turns) - 1 - len(turns)%2 // the last answer
		for i := range turns {
			turns[i].Masked = turns[i].Masked || i%2 == 1 && i < last
		}
		if answerless(turns) {
			return "the loss of its last answer is switched off"
		}
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

// leads reports whether a conversation begins with an assistant's turn.
func leads(turns []turn) bool { return len(turns) > 0 && turns[0].From == "gpt" }
