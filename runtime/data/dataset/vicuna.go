package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// The conversation of FastChat's template vicuna_v1.1.
const (
	vicunaSystem = "A chat between a curious user and an artificial intelligence assistant. " +
		"The assistant gives helpful, detailed, and polite answers to the user's questions."
	vicunaStop  = "</s>" // ends an answer in the text and separates rounds
	vicunaReply = " ASSISTANT: "
)

// vicunaText writes a conversation of turns that alternate, the user's first.
// An empty turn has its role only (FastChat conversation.py, ADD_COLON_TWO).
func vicunaText(system string, turns []turn) string {
	if system == "" {
		system = vicunaSystem
	}
	var b strings.Builder
	b.WriteString(system + " ")
	for i, t := range turns {
		role, end := "USER", " "
		if i%2 == 1 {
			role, end = "ASSISTANT", vicunaStop
		}
		if t.Value == "" {
			b.WriteString(role + ":")
		} else {
			b.WriteString(role + ": " + t.Value + end)
		}
	}
	return b.String()
}

// conversation renders turns as MindFormers r1.3 llama_preprocess.py
// (dataset_type qa) does, ids and labels. There rows are filled with PadID to
// SeqLength+1, cut there, and then:
//
//	rounds are what stands between "</s>"; each has its own BOS, dropped, and EOS
//	of a round all up to and with "ASSISTANT:" is masked
//	if a round is not of the form "… ASSISTANT: …", what follows is masked, and
//	  if the row is not full by then, all of it is
//	if a row that is not full has PadID among its ids, all of it is masked
//
// Rows that MindFormers masks completely are skipped here, with the reason.
func (w *writer) conversation(system string, turns []turn) string {
	tok, full := w.o.Tokenizer, w.o.SeqLength+1
	turns = withoutStops(turns)
	w.control(false, w.o.BOS)
	rounds := strings.Split(vicunaText(system, turns), vicunaStop)
	masked := slices.ContainsFunc(turns, func(t turn) bool { return t.Masked })
	if masked && (strings.Contains(system, vicunaStop) || slices.ContainsFunc(turns, func(t turn) bool { return strings.Contains(t.Value, vicunaStop) })) {
		return fmt.Sprintf("a turn has the text %q in it, so it cannot be told which answers are switched off", vicunaStop)
	}
	for i, round := range rounds {
		if round == "" && i < len(rounds)-1 {
			return brokenRound(i, 1, turns)
		}
		if round == "" {
			break
		}
		parts := strings.Split(round, vicunaReply)
		if len(parts) != 2 {
			if len(w.tokens) < full {
				return brokenRound(i, len(parts), turns)
			}
			break
		}
		ids := tok.Encode(round)
		w.rounds++
		// MindFormers counts the ids of the prompt with the blank at its end,
		// BOS and EOS, and takes 3 off: the blank joins the answer's first word.
		prompt := min(len(tok.Encode(strings.TrimRight(parts[0]+vicunaReply, " "))), len(ids))
		w.put(false, ids[:prompt]...)
		learned := !masked || !turns[2*i+1].Masked // a round is a question and its answer
		w.put(learned, ids[prompt:]...)
		w.control(learned, w.o.EOS)
	}
	// Where pad_token_id is eos_token_id, every row has it, and rows are not padded here.
	if w.o.PadID >= 0 && w.o.PadID != w.o.EOS && len(w.tokens) < full && slices.Contains(w.tokens, w.o.PadID) {
		return fmt.Sprintf("it has the id %d, which is pad_token_id: MindFormers masks such rows as a whole; set pad_token_id to an id that no text has, or -1", w.o.PadID)
	}
	return ""
}

// withoutStops takes the mark that ends an answer off answers that spell it: it is put
// there, and two of them would end the conversation.
func withoutStops(turns []turn) []turn {
	turns = slices.Clone(turns)
	for i := 1; i < len(turns); i += 2 {
		for strings.HasSuffix(turns[i].Value, vicunaStop) {
			turns[i].Value = strings.TrimSuffix(turns[i].Value, vicunaStop)
		}
	}
	return turns
}

// brokenRound is the reason why round i has no mask.
func brokenRound(i, parts int, turns []turn) string {
	switch {
	case parts > 2:
		return fmt.Sprintf("round %d has the words %q in a turn, so its mask cannot be told", i+1, strings.TrimSpace(vicunaReply))
	case slices.ContainsFunc(turns, func(t turn) bool { return strings.Contains(t.Value, vicunaStop) }):
		return fmt.Sprintf("a turn has the text %q in it, so its mask cannot be told", vicunaStop)
	case len(turns)%2 == 1:
		return "its last turn is the user's, without an answer"
	}
	return "an answer is empty"
}
