package dataset

import (
	"fmt"
	"slices"
)

// Keys that change what is learned, by what they mean. Data sets of other trainers have
// them under several names.
var (
	// texts that a template would need a place for
	placelessTexts = []string{"tools", "functions", "images", "image", "videos", "video", "audios", "audio"}
	// other answers than the one that is learned
	placelessChoices = []string{"chosen", "rejected", "rejected_response", "rejected_output", "rejected_answer", "rejected_messages", "rejected_conversations"}
	// weights of rows, turns or tokens
	placelessWeights = []string{
		"loss_weight", "loss_weights", "loss_scale", "loss_scales", "sample_weight", "sample_weights", "example_weight",
		"instance_weight", "token_weight", "token_weights", "label_weights", "weights",
	}
	// parts of a text whose loss is off
	placelessSpans = []string{
		"train_detail", "training_detail", "mask", "masks", "prompt_mask", "completion_mask", "response_mask",
		"assistant_mask", "assistant_masks", "label_mask", "labels_mask", "mask_history", "mask_prompt", "train_on_input", "train_on_inputs",
		"train_on_prompt",
	}
	// where a row of ids has several sequences
	placelessPacks = []string{"segment_ids", "sequence_ids", "cu_seqlens", "seq_lens"}
	// what a turn may have besides; tool_call_id is none of it, since it says no more than
	// the order of the turns does to a template that does not write it
	placelessTurns = []string{"tool_calls", "function_call", "reasoning_content", "reasoning", "thinking", "refusal"}
)

// noPlace are keys of rows, and turnNoPlace of turns, for which no template here has a
// place.
var (
	noPlace     = slices.Concat(placelessTexts, placelessChoices, placelessWeights, placelessSpans, placelessPacks)
	turnNoPlace = slices.Concat(placelessTurns, noPlace)
)

// Keys that switch a loss on or off: 1 is on, but for those of offSwitches.
var (
	onSwitches   = []string{"weight", "train", "trainable", "supervise", "supervised", "loss_mask"}
	offSwitches  = []string{"ignore", "ignored", "ignore_loss", "masked", "no_loss"}
	rowSwitches  = slices.Concat(onSwitches, offSwitches)
	turnSwitches = slices.Concat([]string{"training", "loss"}, rowSwitches)
)

// placeless is the error of the first key without a place that says anything.
func placeless(fs fields, keys []string) error {
	for _, key := range keys {
		if err := refuse(fs, key, ""); err != nil {
			return err
		}
	}
	return nil
}

// refuse is the error of a key without a place, if it says anything.
func refuse(fs fields, key, where string) error {
	f := fs.find(key)
	if f == nil {
		return nil
	}
	f.used = true
	masks := slices.Contains(placelessSpans, key)
	switch {
	case key == "mask" && !f.null() && f.short() != "":
		return fmt.Errorf("`%s` is %s, which some trainers read as learned and others as left out; write `train` with true or false in its place", f.key, f.short())
	case f.empty():
		return nil
	case masks:
		return fmt.Errorf("`%s` has no place here%s, though it changes what is learned; switch whole answers with `train`, mask ids with `loss_mask`, or take the key out", f.key, where)
	case slices.Contains(placelessPacks, key):
		return fmt.Errorf("`%s` has no place here%s, though it changes what is learned; give each sequence as a row of its own", f.key, where)
	}
	return fmt.Errorf("`%s` has no place here%s, though it changes what is learned; write it into the text, or take the key out", f.key, where)
}

// wanted is the error of an answer that is there as one not to be learned, as rows for
// KTO have it.
func wanted(fs fields) error {
	for _, key := range []string{"label", "kto_tag", "desirable"} {
		f := fs.find(key)
		if f == nil || f.null() {
			continue
		}
		on, err := f.switched()
		switch {
		case err != nil: // it says something else, and is listed
		case !on:
			return fmt.Errorf("`%s` is %s: its answer is one not to be learned (rows for KTO); take such rows out", f.key, f.short())
		default:
			f.used = true
		}
	}
	return nil
}

// oneList is the error of a row whose turns are there twice and differ.
func (r *reader) oneList(read *field, fs fields) error {
	if r.o.Format != "auto" { // the user said which
		return nil
	}
	for _, key := range []string{"conversations", "messages"} {
		f := fs.find(key)
		if f == nil || f == read || f.null() {
			continue
		}
		f.used = true
		one, err := turnsOf(read)
		if err != nil {
			return err
		}
		other, err := turnsOf(f)
		if err != nil {
			return err
		}
		if !slices.Equal(one, other) {
			return fmt.Errorf("`%s` and `%s` have different turns; take one of them out, or say which is read with data_loader.format: sharegpt (conversations) or messages", read.key, f.key)
		}
	}
	return nil
}

// turnsOf reads the turns of a list.
func turnsOf(f *field) (turns []turn, err error) {
	list, err := f.list(f.key)
	if err != nil {
		return nil, err
	}
	for i, raw := range list {
		if raw[0] != '{' {
			return nil, fmt.Errorf("`%s[%d]` is not an object", f.key, i)
		}
		fs, err := membersOf(raw, nil)
		if err != nil {
			return nil, fmt.Errorf("`%s[%d]`: %w", f.key, i, err)
		}
		t, _, err := decodeTurn(f.key, fs)
		if err != nil {
			return nil, fmt.Errorf("`%s[%d]`: %w", f.key, i, err)
		}
		turns = append(turns, t)
	}
	return turns, nil
}
