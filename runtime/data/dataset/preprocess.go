package dataset

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"lorac/runtime/data/tokenizer"
)

// The ids of MindFormers' preprocessing scripts, including what they silently do to a
// row (MindFormers r1.3
// tools/dataset_preprocess/llama/{alpaca_converter,conversation,llama_preprocess}.py).

// Conversation is an entry of the intermediate JSON of the two scripts.
type Conversation struct {
	ID    string   `json:"id"`
	Turns []Spoken `json:"conversations"`
}

// Spoken is one turn of a conversation.
type Spoken struct {
	From  string `json:"from"`
	Value string `json:"value"`
}

// Alpaca makes conversations of alpaca rows, as alpaca_converter.py does.
func Alpaca(r io.Reader) ([]Conversation, error) {
	var rows []struct {
		Instruction *string `json:"instruction"`
		Input       string  `json:"input"`
		Output      *string `json:"output"`
	}
	if err := json.NewDecoder(r).Decode(&rows); err != nil {
		return nil, fmt.Errorf("not a JSON list of alpaca rows: %w", err)
	}
	var out []Conversation
	for i, row := range rows {
		if row.Instruction == nil || row.Output == nil {
			return nil, fmt.Errorf("row %d has no instruction, or no output", i+1)
		}
		out = append(out, Conversation{strconv.Itoa(i + 1), []Spoken{{"human", stanford(*row.Instruction, row.Input)}, {"gpt", *row.Output}}})
	}
	return out, nil
}

// Packed is a row of a MindRecord file: seqLength+1 ids and labels. Masked is the
// reason why the whole row is masked, "" if it is not.
type Packed struct {
	IDs, Labels []int32
	Truncated   bool
	Masked      string
}

// QA makes a row of a conversation, as llama_preprocess.py does for
// dataset_type qa. pad fills the row, ids and labels the same.
func QA(c Conversation, tok *tokenizer.Tokenizer, seqLength int, pad int32) (*Packed, error) {
	turns := c.Turns
	if len(turns) > 0 && turns[0].From != "human" {
		turns = turns[1:]
	}
	var spoken []turn
	for i, t := range turns {
		if want := []string{"human", "gpt"}[i%2]; t.From != want {
			return nil, fmt.Errorf("conversation %s: turn %d is from %q, want %q", c.ID, i+1, t.From, want)
		}
		spoken = append(spoken, turn{From: t.From, Value: t.Value})
	}
	if len(spoken) == 0 {
		return nil, fmt.Errorf("conversation %s has no turn", c.ID)
	}
	full := seqLength + 1
	ids := []int32{tok.BOS()}
	var rounds []string
	for _, round := range strings.Split(vicunaText("", spoken), vicunaStop) {
		if round == "" {
			break
		}
		rounds = append(rounds, round)
		ids = append(append(ids, tok.Encode(round)...), tok.EOS())
	}
	p := &Packed{Truncated: len(ids) > full}
	for len(ids) < full {
		ids = append(ids, pad)
	}
	labels := slices.Clone(ids)
	mask := func(from, to int) {
		for i := from; i < min(to, len(labels)); i++ {
			labels[i] = Ignore
		}
	}
	mask(0, 1)
	cur := 1
	for i, round := range rounds {
		parts := strings.Split(round, vicunaReply)
		if len(parts) != 2 {
			p.Masked = brokenRound(i, len(parts), spoken)
			break
		}
		mask(cur, cur+len(tok.Encode(parts[0]+vicunaReply))-1) // BOS, EOS and the blank at the end are taken off
		cur += len(tok.Encode(round)) + 1
	}
	mask(cur, len(labels))
	real := 0
	for _, id := range ids {
		if id != pad {
			real++
		}
	}
	if cur < full && cur != real {
		mask(0, len(labels))
		if p.Masked == "" {
			p.Masked = fmt.Sprintf("it has the id %d, which is pad_token_id", pad)
		}
	} else {
		p.Masked = "" // the row is full: only what follows is masked
	}
	p.IDs, p.Labels = ids[:full], labels[:full]
	if p.Masked == "" && !slices.ContainsFunc(p.Labels, func(l int32) bool { return l != Ignore }) {
		p.Masked = "its prompt alone fills the row"
	}
	return p, nil
}

// Conversations reads the JSON that Alpaca's result is written as.
func Conversations(r io.Reader) ([]Conversation, error) {
	var out []Conversation
	if err := json.NewDecoder(r).Decode(&out); err != nil {
		return nil, fmt.Errorf("not a JSON list of conversations: %w", err)
	}
	if len(out) == 0 {
		return nil, errors.New("it has no conversation")
	}
	return out, nil
}
