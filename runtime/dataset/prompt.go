package dataset

import (
	"fmt"
	"os"
	"strings"
)

// writer renders one row; every method returns why the row cannot be used, or "".
type writer struct {
	o              *Options
	tokens, labels []int32
}

func (w *writer) put(ids []int32, supervised bool) {
	for _, id := range ids {
		w.tokens = append(w.tokens, id)
		if supervised {
			w.labels = append(w.labels, id)
		} else {
			w.labels = append(w.labels, Ignore)
		}
	}
}

// The prompts of Stanford Alpaca (train.py), which MindFormers'
// alpaca_converter.py uses unchanged.
const (
	alpacaInput = "Below is an instruction that describes a task, paired with an input that provides further context. " +
		"Write a response that appropriately completes the request.\n\n### Instruction:\n%s\n\n### Input:\n%s\n\n### Response:"
	alpacaPlain = "Below is an instruction that describes a task. " +
		"Write a response that appropriately completes the request.\n\n### Instruction:\n%s\n\n### Response:"
)

// alpaca renders an instruction: in the vicuna conversation MindFormers makes
// of it, or bare.
func (w *writer) alpaca(instruction, input, output string) string {
	prompt := fmt.Sprintf(alpacaPlain, instruction)
	if input != "" {
		prompt = fmt.Sprintf(alpacaInput, instruction, input)
	}
	if w.o.Prompt == "alpaca" {
		return w.completion(prompt, " "+output)
	}
	return w.conversation("", []turn{{From: "human", Value: prompt}, {From: "gpt", Value: output}})
}

func (w *writer) completion(prompt, answer string) string {
	if strings.TrimSpace(answer) == "" {
		return "the answer is empty"
	}
	w.put([]int32{w.o.BOS}, false)
	w.put(w.o.Tokenizer.Encode(prompt), false)
	w.put(w.o.Tokenizer.EncodeMore(answer), true)
	w.put([]int32{w.o.EOS}, true)
	return ""
}

func (w *writer) text(s string) string {
	if strings.TrimSpace(s) == "" {
		return "the text is empty"
	}
	w.put([]int32{w.o.BOS}, false)
	w.put(w.o.Tokenizer.Encode(s), true)
	w.put([]int32{w.o.EOS}, true)
	return ""
}

// The conversation of FastChat's template vicuna_v1.1.
const (
	vicunaSystem = "A chat between a curious user and an artificial intelligence assistant. " +
		"The assistant gives helpful, detailed, and polite answers to the user's questions."
	user, assistant, stop = "USER", "ASSISTANT", "</s>"
)

func fromMessages(ms []turn) []turn {
	var out []turn
	for _, m := range ms {
		from := map[string]string{"user": "human", "assistant": "gpt", "system": "system"}[m.Role]
		if from == "" {
			from = m.Role
		}
		out = append(out, turn{From: from, Value: m.Content})
	}
	return out
}

// conversation renders turns as MindFormers' llama_preprocess.py (qa) does and
// masks what it masks: every round up to and with "ASSISTANT:".
func (w *writer) conversation(system string, turns []turn) string {
	if system == "" {
		system = vicunaSystem
	}
	if len(turns) > 0 && turns[0].From == "system" {
		system, turns = turns[0].Value, turns[1:]
	}
	if len(turns) > 0 && turns[0].From != "human" {
		turns = turns[1:] // as the original: what precedes the user's first turn is dropped
	}
	var b strings.Builder
	b.WriteString(system + " ")
	for i, t := range turns {
		role, want, sep := user, "human", " "
		if i%2 == 1 {
			role, want, sep = assistant, "gpt", stop
		}
		if t.From != want {
			return fmt.Sprintf("turn %d is from %q, not from %s", i+1, t.From, want)
		}
		if t.Value == "" {
			b.WriteString(role + ":")
		} else {
			b.WriteString(role + ": " + t.Value + sep)
		}
	}
	if len(turns) < 2 {
		return "the conversation has no answer"
	}
	tok := w.o.Tokenizer
	w.put([]int32{w.o.BOS}, false)
	for _, round := range strings.Split(b.String(), stop) {
		if round == "" {
			break
		}
		parts := strings.Split(round, " "+assistant+": ")
		if len(parts) != 2 {
			if strings.Contains(round, " "+assistant+": ") {
				return "a turn contains \" ASSISTANT: \", so its mask cannot be told"
			}
			return "an answer is empty"
		}
		ids := append(tok.Encode(round), w.o.EOS)
		// The prompt ends in a blank that is a piece of its own there, but not
		// before the answer: one id less.
		n := min(len(tok.Encode(parts[0]+" "+assistant+": "))-1, len(ids))
		w.put(ids[:n], false)
		w.put(ids[n:], true)
	}
	return ""
}

// readText cuts plain text into rows of the sequence length; <|endoftext|>
// separates documents.
func (s *Set) readText(file string, o *Options) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("cannot read the data set: %w", err)
	}
	if o.Tokenizer == nil {
		return fmt.Errorf("%s: text needs a tokenizer; give --tokenizer tokenizer.model, or set processor.tokenizer.vocab_file", file)
	}
	s.Stats.Format = "plain text"
	row := 0
	for _, doc := range strings.Split(string(data), "<|endoftext|>") {
		if doc = strings.TrimSpace(doc); doc == "" {
			continue
		}
		ids := append(append([]int32{o.BOS}, o.Tokenizer.Encode(doc)...), o.EOS)
		if err := inVocab(ids, o.Vocab); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		for at := 0; at+1 < len(ids); at += o.SeqLength + 1 {
			row++
			part := ids[at:min(at+o.SeqLength+1, len(ids))]
			if len(part) > 1 {
				s.add(file, row, part, part, o)
			}
		}
	}
	return nil
}
