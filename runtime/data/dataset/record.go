package dataset

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// record is one row of JSON in any of the formats.
type record struct {
	Instruction *string `json:"instruction"`
	Input       *string `json:"input"`
	Output      *string `json:"output"`

	Prompt     *string `json:"prompt"`
	Completion *string `json:"completion"`
	Question   *string `json:"question"`
	Answer     *string `json:"answer"`

	System        *string `json:"system"`
	Conversations []turn  `json:"conversations"`
	Messages      []turn  `json:"messages"`

	Text *string `json:"text"`

	InputIDs      []int64 `json:"input_ids"`
	Labels        []int64 `json:"labels"`
	AttentionMask []int64 `json:"attention_mask"`
}

// turn is one turn of a conversation, with the keys of ShareGPT or of OpenAI.
type turn struct {
	From    string `json:"from"`
	Value   string `json:"value"`
	Role    string `json:"role"`
	Content string `json:"content"`
}

// wantedKeys are the required keys by format, in the order in which auto tries them.
var wantedKeys = []struct {
	format string
	keys   string
	has    func(*record) bool
}{
	{"tokens", "input_ids", func(r *record) bool { return r.InputIDs != nil }},
	{"sharegpt", "conversations", func(r *record) bool { return r.Conversations != nil }},
	{"messages", "messages", func(r *record) bool { return r.Messages != nil }},
	{"alpaca", "instruction+output", func(r *record) bool { return r.Instruction != nil && r.Output != nil }},
	{"completion", "prompt+completion or question+answer", func(r *record) bool {
		return r.Prompt != nil && r.Completion != nil || r.Question != nil && r.Answer != nil
	}},
	{"text", "text", func(r *record) bool { return r.Text != nil }},
}

// format is the format of a row, given or detected; an error if its keys are missing.
func (r *record) format(asked string, raw json.RawMessage) (string, error) {
	var wanted []string
	for _, w := range wantedKeys {
		if asked != "auto" && asked != w.format {
			continue
		}
		if w.has(r) {
			return w.format, nil
		}
		wanted = append(wanted, w.keys)
	}
	var found map[string]json.RawMessage
	json.Unmarshal(raw, &found) // it was decoded before, so it cannot fail
	keys := "none"
	if len(found) > 0 {
		keys = strings.Join(slices.Sorted(maps.Keys(found)), ", ")
	}
	of := ""
	if asked != "auto" {
		of = " for the format " + asked
	}
	return "", fmt.Errorf("its keys are %s; wanted%s: %s", keys, of, strings.Join(wanted, ", or "))
}

// addTokens adds a row of ids.
func (r *reader) addTokens(row int, rec *record) error {
	tokens, labels, err := r.ids(rec)
	if err != nil {
		return err
	}
	if err := r.maskPadding(rec, tokens, labels); err != nil {
		return err
	}
	r.seen = rec.AttentionMask != nil
	if len(tokens) > 1 && r.o.BOS >= 0 && tokens[0] == r.o.BOS && tokens[1] == r.o.BOS {
		r.Stats.Spelled.BOS++
	}
	r.add(row, tokens, labels)
	r.seen = false
	return nil
}

// ids validates the ids of a row. Missing labels are the ids. Both results are valid
// until the next call.
func (r *reader) ids(rec *record) (tokens, labels []int32, err error) {
	n := len(rec.InputIDs)
	for _, list := range []struct {
		key string
		has []int64
	}{{"labels", rec.Labels}, {"attention_mask", rec.AttentionMask}} {
		if list.has != nil && len(list.has) != n {
			return nil, nil, fmt.Errorf("`%s` has %d numbers, `input_ids` has %d", list.key, len(list.has), n)
		}
	}
	r.rowTokens, r.rowLabels = slices.Grow(r.rowTokens[:0], n)[:n], slices.Grow(r.rowLabels[:0], n)[:n]
	tokens, labels = r.rowTokens, r.rowLabels
	for i, id := range rec.InputIDs {
		if id < 0 || id >= int64(r.o.Vocab) {
			return nil, nil, fmt.Errorf("`input_ids[%d]` is %d; ids go from 0 to %d, below vocab_size", i, id, r.o.Vocab-1)
		}
		tokens[i], labels[i] = int32(id), int32(id)
	}
	for i, l := range rec.Labels {
		switch {
		case l == int64(r.o.IgnoreID) || l == Ignore:
			labels[i] = Ignore
		case l < 0 || l >= int64(r.o.Vocab):
			return nil, nil, fmt.Errorf("`labels[%d]` is %d, neither an id (0 to %d) nor ignore_token_id %d", i, l, r.o.Vocab-1, r.o.IgnoreID)
		default:
			labels[i] = int32(l)
		}
	}
	return tokens, labels, nil
}

// maskPadding ignores the labels of padding at the end. An attention_mask determines
// where padding begins. Without one, and without labels, it begins after the first of
// the trailing PadIDs: MindFormers masks positions whose input is padding, so that the
// last real token learns to predict one PadID (llama.py, construct). Given labels are
// not changed.
func (r *reader) maskPadding(rec *record, tokens, labels []int32) error {
	end := len(tokens)
	switch {
	case rec.AttentionMask != nil:
		for end > 0 && rec.AttentionMask[end-1] == 0 {
			end--
		}
		if slices.Contains(rec.AttentionMask[:end], 0) {
			return fmt.Errorf("`attention_mask` has zeros before its end (padding on the left?); put padding on the right, or leave it out")
		}
	case rec.Labels == nil && r.o.PadID >= 0:
		for end > 0 && tokens[end-1] == r.o.PadID {
			end--
		}
		end = min(end+1, len(tokens))
	}
	for i := end; i < len(labels); i++ {
		labels[i] = Ignore
	}
	return nil
}
