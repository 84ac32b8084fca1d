package dataset

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// skipped is the error of a row that is whole but cannot be trained on: it is left out
// and counted.
type skipped string

func (s skipped) Error() string { return string(s) }

// decode reads the values of a row of a format into rec. Every key that changes what is
// learned is read, or is an error; the others are counted as unread.
func (r *reader) decode(row int, format string, fs fields, rec *record) error {
	*rec = record{InputIDs: rec.InputIDs[:0], Turns: rec.Turns[:0], Said: rec.Said[:0]}
	if err := r.control(format, fs, rec); err != nil {
		return err
	}
	switch format {
	case "tokens":
		return decodeIDs(fs, rec)
	case "sharegpt":
		return r.decodeConversation(row, "conversations", fs, rec)
	case "messages":
		return r.decodeConversation(row, "messages", fs, rec)
	case "alpaca":
		return r.decodeAlpaca(fs, rec)
	case "completion":
		question, answer := "prompt", "completion"
		if !fs.has(question) || !fs.has(answer) {
			if fs.find("question") != nil && fs.find("answer") != nil {
				question, answer, rec.between = "question", "answer", "\n"
			}
		}
		if err := required(fs, question, &rec.Question); err != nil {
			return err
		}
		if err := required(fs, answer, &rec.Answer); err != nil {
			return err
		}
		return optional(fs, "system", &rec.System)
	}
	return required(fs, "text", &rec.Text)
}

func (r *reader) decodeConversation(row int, key string, fs fields, rec *record) error {
	if r.o.Template != nil {
		return r.decodeMessages(row, key, fs, rec)
	}
	return r.decodeChat(row, key, fs, rec)
}

// required reads text that a row cannot do without.
func required(fs fields, key string, into *string) (err error) {
	f := fs.find(key)
	f.used = true
	if f.null() {
		return skipped(fmt.Sprintf("`%s` is null", f.key))
	}
	*into, err = f.words(f.key)
	return err
}

// optional reads text that may be missing or null.
func optional(fs fields, key string, into *string) (err error) {
	if f := fs.take(key); f != nil {
		*into, err = f.words(f.key)
	}
	return err
}

func decodeIDs(fs fields, rec *record) (err error) {
	f := fs.find("input_ids")
	f.used = true
	if f.null() {
		return skipped("`input_ids` is null")
	}
	if rec.InputIDs, err = f.whole(rec.InputIDs); err != nil {
		return err
	}
	for _, list := range []struct {
		key  string
		into *[]int64
	}{{"labels", &rec.Labels}, {"attention_mask", &rec.AttentionMask}, {"loss_mask", &rec.LossMask}} {
		if f := fs.take(list.key); f != nil {
			if *list.into, err = f.whole(nil); err != nil {
				return err
			}
		}
	}
	if f := fs.take("position_ids"); f != nil {
		positions, err := f.whole(nil)
		if err != nil {
			return err
		}
		for i, p := range positions {
			if p != int64(i) {
				return fmt.Errorf("`position_ids[%d]` is %d: positions count from 0 here; give each sequence as a row of its own", i, p)
			}
		}
	}
	return nil
}

// decodeAlpaca reads an instruction with what came before it: history is a list of
// pairs, question and answer.
func (r *reader) decodeAlpaca(fs fields, rec *record) error {
	k := r.o.Keys
	if err := required(fs, or(k.Instruction, "instruction"), &rec.Question); err != nil {
		return err
	}
	if err := optional(fs, or(k.Input, "input"), &rec.Input); err != nil {
		return err
	}
	if err := required(fs, or(k.Output, "output"), &rec.Answer); err != nil {
		return err
	}
	if err := optional(fs, "system", &rec.System); err != nil {
		return err
	}
	history := fs.take("history")
	if history == nil {
		return nil
	}
	pairs, err := history.list("history")
	if err != nil {
		return err
	}
	for i, p := range pairs {
		var pair []*string
		if json.Unmarshal(p, &pair) != nil || len(pair) != 2 {
			return fmt.Errorf("`history[%d]` is not a pair of texts, a question and its answer", i)
		}
		for j, text := range pair {
			if text == nil {
				return skipped(fmt.Sprintf("`history[%d][%d]` is null", i, j))
			}
		}
		rec.Turns = append(rec.Turns, turn{From: "human", Value: *pair[0]}, turn{From: "gpt", Value: *pair[1]})
	}
	return nil
}

// control reads the keys that any row may have: those that switch its loss off, and
// those that must be refused.
func (r *reader) control(format string, fs fields, rec *record) error {
	if err := placeless(fs, r.o.refusedOf(noPlace)); err != nil {
		return err
	}
	if format != "text" && format != "tokens" {
		if err := wanted(fs); err != nil {
			return err
		}
	}
	var context []string
	switch format {
	case "text":
		if r.o.Format == "auto" { // else the text was chosen among the keys of a row
			context = []string{"system", "history"}
		}
	case "completion":
		context = []string{"history"}
	case "sharegpt", "messages":
		context = []string{"history"}
	}
	for _, key := range context {
		if err := refuse(fs, key, " in rows of "+format); err != nil {
			return err
		}
	}
	keys := slices.DeleteFunc(slices.Clone(rowSwitches), func(key string) bool { return key == "loss_mask" })
	if f := fs.find("loss_mask"); f != nil && (f.raw == nil || f.raw[0] != '[') {
		keys = append(keys, "loss_mask")
	} else if f != nil && (format == "alpaca" || format == "completion" || format == "text") {
		return fmt.Errorf("`%s` is a list: it has a place in rows of ids, and of turns", f.key)
	}
	key, on, err := fs.masked(keys)
	if err != nil {
		return err
	}
	if key != "" && !on {
		return skipped("`" + key + "` switches its loss off")
	}
	return nil
}

// masked reads the keys that switch a loss on or off. The key is "" if none is there.
// Two that contradict each other are an error.
func (fs fields) masked(keys []string) (key string, on bool, err error) {
	for _, k := range keys {
		f := fs.take(k)
		if f == nil {
			continue
		}
		yes, err := f.switched()
		if err != nil {
			return "", false, err
		}
		yes = yes != slices.Contains(offSwitches, k)
		if key != "" && yes != on {
			return "", false, fmt.Errorf("`%s` and `%s` contradict each other", key, f.key)
		}
		key, on = f.key, yes
	}
	return key, on, nil
}

// roles are the names of those who speak, in lower case.
var roles = map[string]string{
	"human": "human", "user": "human",
	"gpt": "gpt", "assistant": "gpt",
	"system": "system", "developer": "system",
	"tool": "tool", "function": "tool", "observation": "tool", "function_call": "tool", "tool_call": "tool", "ipython": "tool",
}

// decodeChat reads a conversation: turns of role and content or of from and value, with
// the text of the system before them or beside them.
func (r *reader) decodeChat(row int, key string, fs fields, rec *record) error {
	f := fs.find(key)
	f.used = true
	if f.null() {
		return skipped(fmt.Sprintf("`%s` is null", f.key))
	}
	if err := r.oneList(f, fs); err != nil {
		return err
	}
	if err := optional(fs, "system", &rec.System); err != nil {
		return err
	}
	list, err := f.list(f.key)
	if err != nil {
		return err
	}
	var mask []int64
	if m := fs.take("loss_mask"); m != nil && m.raw != nil && m.raw[0] == '[' {
		if mask, err = m.whole(nil); err != nil {
			return err
		}
		if len(mask) != len(list) {
			return fmt.Errorf("`loss_mask` has %d numbers, `%s` has %d turns", len(mask), f.key, len(list))
		}
	}
	for i, raw := range list {
		if raw[0] != '{' {
			return fmt.Errorf("`%s[%d]` is not an object", f.key, i)
		}
		if r.turn, err = membersOf(raw, r.turn); err != nil {
			return fmt.Errorf("turn %d: %w", i+1, err)
		}
		t, switched, err := decodeTurn(f.key, r.turn)
		if err != nil {
			return fmt.Errorf("turn %d: %w", i+1, err)
		}
		if mask != nil {
			on := mask[i] == 1
			switch {
			case mask[i] != 0 && mask[i] != 1:
				return fmt.Errorf("`loss_mask[%d]` is %d; only 0 and 1 are known", i, mask[i])
			case switched && on == t.Masked:
				return fmt.Errorf("turn %d and `loss_mask[%d]` contradict each other", i+1, i)
			case on && t.From != "gpt":
				return fmt.Errorf("`loss_mask[%d]` is 1, but turn %d is no answer: only answers are trained on", i, i+1)
			}
			t.Masked = !on
		}
		r.unread(row, f.key, r.turn)
		if t.From != "system" {
			rec.Turns = append(rec.Turns, t)
			continue
		}
		switch {
		case len(rec.Turns) > 0:
			return fmt.Errorf("turn %d is the system's; its text has a place before the first turn only", i+1)
		case rec.System != "" && rec.System != t.Value:
			return fmt.Errorf("turn %d is another text of the system than the one before it", i+1)
		}
		rec.System = t.Value
	}
	return nil
}

// decodeTurn reads one turn. switched says whether it has a key for its loss.
func decodeTurn(list string, fs fields) (t turn, switched bool, err error) {
	who, err := either(list, fs, "role", "from")
	if err != nil {
		return t, false, err
	}
	if err := placeless(fs, turnNoPlace); err != nil {
		return t, false, err
	}
	if t.Value, err = either(list, fs, "content", "value"); err != nil {
		return t, false, err
	}
	from, known := roles[strings.ToLower(who)]
	if !known {
		return t, false, fmt.Errorf("it is from %q; known are user (human), assistant (gpt), system and developer", who)
	}
	if from == "tool" {
		return t, false, fmt.Errorf("it is from %q, whose words have no place in the template; take the conversations with tools out, or write them into the text", who)
	}
	t.From = from
	key, on, err := fs.masked(turnSwitches)
	if err != nil {
		return t, false, err
	}
	if key != "" && on && from != "gpt" {
		return t, false, fmt.Errorf("`%s` is on, but it is from %q: only answers are trained on", key, who)
	}
	t.Masked = key != "" && !on && from == "gpt"
	return t, key != "" && from == "gpt", nil
}

// either reads one of two keys; if both are there, they must say the same.
func either(list string, fs fields, one, other string) (string, error) {
	a, b := fs.find(one), fs.find(other)
	if a == nil {
		a, b = b, nil
	}
	if a == nil {
		return "", fmt.Errorf("it has neither `%s` nor `%s`; its keys are %s", one, other, fs.keys())
	}
	var said []string
	for _, f := range []*field{a, b} {
		if f == nil {
			continue
		}
		f.used = true
		if f.null() {
			continue
		}
		s, err := f.parts(list + "[]." + f.key)
		if err != nil {
			return "", err
		}
		said = append(said, s)
	}
	switch {
	case len(said) == 0:
		return "", skipped(fmt.Sprintf("`%s` is null", a.key))
	case len(said) == 2 && said[0] != said[1]:
		return "", fmt.Errorf("`%s` and `%s` contradict each other", a.key, b.key)
	}
	return said[0], nil
}

// answerless reports whether no answer of a conversation is trained on.
func answerless(turns []turn) bool {
	return !slices.ContainsFunc(turns, func(t turn) bool { return t.From == "gpt" && !t.Masked })
}
