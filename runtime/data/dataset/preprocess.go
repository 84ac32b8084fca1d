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

// Alpaca makes conversations of alpaca rows, as alpaca_converter.py does. Keys that
// change what is learned, and for which the script has no place, are an error.
func Alpaca(r io.Reader) ([]Conversation, error) {
	var rows []json.RawMessage
	if err := json.NewDecoder(r).Decode(&rows); err != nil {
		return nil, fmt.Errorf("not a JSON list of alpaca rows: %w", err)
	}
	var out []Conversation
	for i, raw := range rows {
		fs, err := scriptRow(raw, slices.Concat(noPlace, []string{"system", "history", "weight", "train", "loss_mask"}))
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", i+1, err)
		}
		if !fs.has("instruction") || !fs.has("output") {
			return nil, fmt.Errorf("row %d has no instruction, or no output", i+1)
		}
		rec := record{}
		for key, into := range map[string]*string{"instruction": &rec.Question, "input": &rec.Input, "output": &rec.Answer} {
			if err := optional(fs, key, into); err != nil {
				return nil, fmt.Errorf("row %d: %w", i+1, err)
			}
		}
		out = append(out, Conversation{strconv.Itoa(i + 1), []Spoken{{"human", stanford(rec.Question, rec.Input)}, {"gpt", rec.Answer}}})
	}
	return out, nil
}

// scriptRow takes a row apart that is converted as a script of MindFormers does, and
// refuses keys that it has no place for.
func scriptRow(raw json.RawMessage, refused []string) (fields, error) {
	if raw[0] != '{' {
		return nil, errors.New("not a JSON object")
	}
	fs, err := membersOf(raw, nil)
	if err != nil {
		return nil, err
	}
	for _, key := range refused {
		if f := fs.find(key); f != nil && !f.empty() {
			return nil, fmt.Errorf("`%s` has no place in MindFormers' script, though it changes what is learned; train on the JSON itself, or take the key out", f.key)
		}
	}
	return fs, nil
}

// Packed is a row of a MindRecord file: seqLength+1 ids and labels. Masked is the
// reason why the whole row is masked, "" if it is not.
type Packed struct {
	IDs, Labels []int32
	Truncated   bool
	Dropped     string // from whom the first turn was, which was dropped as it was not from human
	Masked      string
}

// QA makes a row of a conversation, as llama_preprocess.py does for
// dataset_type qa. pad fills the row, ids and labels the same.
func QA(c Conversation, tok *tokenizer.Tokenizer, seqLength int, pad int32) (*Packed, error) {
	turns := c.Turns
	dropped := ""
	if len(turns) > 0 && turns[0].From != "human" {
		dropped, turns = turns[0].From, turns[1:]
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
	p := &Packed{Truncated: len(ids) > full, Dropped: dropped}
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

// Conversations reads the JSON that Alpaca's result is written as. Keys that change what
// is learned, and for which the script has no place, are an error.
func Conversations(r io.Reader) ([]Conversation, error) {
	var rows []json.RawMessage
	if err := json.NewDecoder(r).Decode(&rows); err != nil {
		return nil, fmt.Errorf("not a JSON list of conversations: %w", err)
	}
	var out []Conversation
	for i, raw := range rows {
		fs, err := scriptRow(raw, slices.Concat(noPlace, []string{"system", "weight", "train", "loss_mask"}))
		if err != nil {
			return nil, fmt.Errorf("conversation %d: %w", i+1, err)
		}
		c := Conversation{}
		if id := fs.take("id"); id != nil {
			c.ID = strings.Trim(string(id.raw), `"`)
		}
		if f := fs.take("conversations"); f != nil {
			turns, err := f.list("conversations")
			if err != nil {
				return nil, fmt.Errorf("conversation %d: %w", i+1, err)
			}
			for t, raw := range turns {
				fs, err := scriptRow(raw, slices.Concat(turnNoPlace, turnSwitches))
				spoken := Spoken{}
				if err == nil {
					spoken.From, err = either("conversations", fs, "from", "role")
				}
				if err == nil {
					spoken.Value, err = either("conversations", fs, "value", "content")
				}
				if err != nil {
					return nil, fmt.Errorf("conversation %d, turn %d: %w", i+1, t+1, err)
				}
				c.Turns = append(c.Turns, spoken)
			}
		}
		out = append(out, c)
	}
	if len(out) == 0 {
		return nil, errors.New("it has no conversation")
	}
	return out, nil
}
