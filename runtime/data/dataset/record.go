package dataset

import (
	"fmt"
	"slices"
	"strings"
)

// record is what one row says, in any of the formats. Its lists are valid until the
// next row is read.
type record struct {
	Question, Input, Answer string
	between                 string // what separates the question from its answer
	System                  string
	Turns                   []turn // of a conversation, or before the question
	Said                    []said // of a conversation, for a chat template
	Tools                   []any
	Text                    string

	InputIDs, Labels, AttentionMask, LossMask []int64 // nil: missing
}

// turn is one turn of a conversation.
type turn struct {
	From, Value string
	Masked      bool // an answer that is not trained on
}

// Keys are the columns of alpaca rows, where they have other names; "": the usual.
type Keys struct {
	Instruction, Input, Output string
}

// or is the name of a column: as given, or the usual.
func or(given, usual string) string {
	if given != "" {
		return given
	}
	return usual
}

// given reports whether any column has another name.
func (k Keys) given() bool { return k != Keys{} }

// wanted are the required keys by format, in the order in which auto tries them.
func (o *Options) wanted() []wantedKeys {
	alpaca := wantedKeys{"alpaca", [][]string{{or(o.Keys.Instruction, "instruction"), or(o.Keys.Output, "output")}}}
	if o.Keys.given() {
		return []wantedKeys{alpaca}
	}
	return []wantedKeys{
		{"tokens", [][]string{{"input_ids"}}},
		{"sharegpt", [][]string{{"conversations"}}},
		{"messages", [][]string{{"messages"}}},
		alpaca,
		{"completion", [][]string{{"prompt", "completion"}, {"question", "answer"}}},
		{"text", [][]string{{"text"}}},
	}
}

// wantedKeys are the keys of one format: any of the sets.
type wantedKeys struct {
	format string
	sets   [][]string
}

// in finds the set whose keys all are there; with values, none of them null.
func (w *wantedKeys) in(fs fields, values bool) bool {
	return slices.ContainsFunc(w.sets, func(set []string) bool {
		return !slices.ContainsFunc(set, func(key string) bool {
			f := fs.find(key)
			return f == nil || values && f.null()
		})
	})
}

// format is the format of a row, given or detected; an error if its keys are missing.
// Null in place of a value counts where no format has all of its values.
func (o *Options) format(fs fields) (string, error) {
	list := o.wanted()
	if o.Format != "auto" {
		list = slices.DeleteFunc(list, func(w wantedKeys) bool { return w.format != o.Format })
	}
	for _, values := range []bool{true, false} {
		for i := range list {
			if list[i].in(fs, values) {
				return list[i].format, nil
			}
		}
	}
	var wanted []string
	for _, w := range list {
		for _, set := range w.sets {
			wanted = append(wanted, strings.Join(set, "+"))
		}
	}
	of, help := "", "\n  = help: keys with other names can be given in the config: data_loader.handler with type AlpacaInstructDataHandler, instruction_key, input_key and output_key"
	if o.Format != "auto" {
		of = " for the format " + o.Format
	}
	if o.Keys.given() {
		of, help = " by the handler's keys in the config", ""
	}
	return "", fmt.Errorf("its keys are %s; wanted%s: %s%s", fs.keys(), of, strings.Join(wanted, ", or "), help)
}

// addTokens adds a row of ids.
func (r *reader) addTokens(row int, rec *record) error {
	if r.o.Padded && rec.AttentionMask == nil && rec.LossMask == nil {
		r.keepEmpty = true
		defer func() { r.keepEmpty = false }()
		if r.o.NoLabels {
			rec.Labels = nil
		}
		return r.addPadded(row, rec)
	}
	tokens, labels, err := r.ids(rec)
	if err != nil {
		return err
	}
	if err := r.maskPadding(rec, tokens, labels); err != nil {
		return err
	}
	if err := r.sameMasks(rec, labels); err != nil {
		return err
	}
	r.seen = rec.AttentionMask != nil
	if len(tokens) > 1 && r.o.BOS >= 0 && tokens[0] == r.o.BOS && tokens[1] == r.o.BOS {
		r.Stats.Spelled.BOS++
	}
	for i, on := range rec.LossMask {
		if on == 0 {
			labels[i] = Ignore
		}
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
	}{{"labels", rec.Labels}, {"attention_mask", rec.AttentionMask}, {"loss_mask", rec.LossMask}} {
		if list.has != nil && len(list.has) != n {
			return nil, nil, fmt.Errorf("`%s` has %d numbers, `input_ids` has %d", list.key, len(list.has), n)
		}
	}
	for i, on := range rec.LossMask {
		if on != 0 && on != 1 {
			return nil, nil, fmt.Errorf("`loss_mask[%d]` is %d; only 0 and 1 are known", i, on)
		}
	}
	for i, on := range rec.AttentionMask {
		if on != 0 && on != 1 {
			return nil, nil, fmt.Errorf("`attention_mask[%d]` is %d; only 0 and 1 are known: where numbers tell packed sequences apart, give each as a row of its own", i, on)
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

// sameMasks compares labels that mask some ids with a loss_mask. Labels without any masked
// id are the ids, and the mask alone says what is learned. The first is never learned.
func (r *reader) sameMasks(rec *record, labels []int32) error {
	if rec.LossMask == nil || rec.Labels == nil || !slices.ContainsFunc(rec.Labels, func(l int64) bool { return l == Ignore || l == int64(r.o.IgnoreID) }) {
		return nil
	}
	for i := 1; i < len(labels); i++ {
		if seen := rec.AttentionMask == nil || rec.AttentionMask[i] == 1; seen && (labels[i] == Ignore) != (rec.LossMask[i] == 0) {
			return fmt.Errorf("`labels[%d]` is %d and `loss_mask[%d]` is %d: they contradict each other; take one of them out", i, rec.Labels[i], i, rec.LossMask[i])
		}
	}
	return nil
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
