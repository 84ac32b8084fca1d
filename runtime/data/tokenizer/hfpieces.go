package tokenizer

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// setPieces numbers the vocabulary.
func (t *Tokenizer) setPieces(file *hfTokenizer) error {
	// Ids may have gaps, but a file cannot make the table larger than it
	// itself could have filled, give or take.
	count := len(file.Model.Vocab) + len(file.Added)
	limit := int64(2*count + 1<<16)
	t.pieces = make([]piece, 0, count)
	put := func(id int64, p piece) error {
		if id < 0 || id >= limit {
			return fmt.Errorf("the id %d of %q is out of range: there are %d pieces", id, p.text, count)
		}
		if n := int(id) + 1; n > len(t.pieces) {
			t.pieces = slices.Grow(t.pieces, n-len(t.pieces))[:n]
		}
		if was := t.pieces[id]; was.kind != 0 && was.text != p.text {
			return fmt.Errorf("the id %d belongs to both %q and %q", id, was.text, p.text)
		}
		t.pieces[id] = p
		return nil
	}
	for text, id := range file.Model.Vocab {
		p := piece{text, normal}
		if text == "" {
			return fmt.Errorf("the piece of id %d is empty", id)
		}
		if _, isByte := byteOf(text); isByte && (file.Model.ByteFallback || t.unkOut.bytesPrint) {
			p.kind = byteValue
		}
		if err := put(id, p); err != nil {
			return err
		}
	}
	for _, a := range file.Added {
		if id, ok := file.Model.Vocab[a.Content]; a.Content == "" || ok && id != a.ID {
			return fmt.Errorf("the added token %q of id %d contradicts the vocabulary", a.Content, a.ID)
		}
		p := piece{a.Content, userDefined}
		if a.Special {
			p.kind = control
		}
		if id, ok := file.Model.Vocab[a.Content]; ok && t.pieces[id].kind == byteValue { // it is both
			p.kind = byteValue
		}
		if err := put(a.ID, p); err != nil {
			return err
		}
	}
	if u := file.Model.UnkToken; u != nil {
		id, ok := file.Model.Vocab[*u]
		if !ok {
			return fmt.Errorf("its unk_token %q is in no vocabulary", *u)
		}
		t.unk = int32(id)
		t.pieces[id].kind = unknown
	}
	t.unkOut.toBytes, t.unkOut.early, t.unkOut.fuse = file.Model.ByteFallback, true, file.Model.FuseUnk
	t.unkOut.skip = t.unk < 0
	t.wholeWords = file.Model.IgnoreMerges
	return nil
}

func (t *Tokenizer) setMerges(model *hfModelPart) error {
	rules := &byPair{vocab: make(map[string]int32, len(model.Vocab)), merges: make(map[[2]int32]merge, len(model.Merges))}
	for text, id := range model.Vocab {
		rules.vocab[text] = int32(id)
	}
	for i, m := range model.Merges {
		left, ok1 := rules.vocab[m[0]]
		right, ok2 := rules.vocab[m[1]]
		id, ok3 := rules.vocab[m[0]+m[1]]
		if !ok1 || !ok2 || !ok3 {
			return fmt.Errorf("merge %d joins %q and %q, and not all of that is in the vocabulary", i+1, m[0], m[1])
		}
		if t.unk >= 0 && (left == t.unk || right == t.unk) {
			return fmt.Errorf("merge %d joins its unk_token with another piece, which is not supported", i+1)
		}
		rules.merges[[2]int32{left, right}] = merge{id, int32(i)}
	}
	t.rules = rules
	return nil
}

// setAdded prepares the added tokens: those to look for in raw text, and those
// ("normalized") to look for after it is normalised.
func (t *Tokenizer) setAdded(list []hfAdded) {
	t.whole, t.added = newMatcher(), newMatcher()
	for _, a := range list {
		t.put(a, true)
	}
}

// put makes an added token one that is looked for: in raw text, or, where the kind of
// tokenizer knows a difference, after the text is normalised.
func (t *Tokenizer) put(a hfAdded, differs bool) {
	p := addedPiece{a.Content, int32(a.ID), a.LStrip, a.RStrip, a.SingleWord}
	if !differs || !a.Normalized {
		t.whole.add(p)
		return
	}
	if t.norm.unlessBlank { // Metaspace is no normalizer
		t.added.add(p)
		return
	}
	p.text = t.norm.apply(p.text, true, nil)
	t.added.add(p)
	if t.pieces[p.id].kind == byteValue {
		return
	}
	t.surface[p.id] = ""
	if !a.Special {
		t.surface[p.id] = strings.ReplaceAll(p.text, blank, " ")
	}
}

// setControls finds the pieces that begin and end a text: as config names them,
// else by their usual names.
func (t *Tokenizer) setControls(config []byte) error {
	named := map[string]json.RawMessage{}
	if config != nil {
		if err := json.Unmarshal(config, &named); err != nil {
			return fmt.Errorf("the tokenizer_config.json next to it is not a JSON object: %w", err)
		}
	}
	ids := map[string]int32{}
	for i, p := range t.pieces {
		if p.kind == control || p.kind == unknown {
			ids[p.text] = int32(i)
		}
	}
	for _, c := range []struct {
		key, usual string
		to         *int32
	}{{"bos_token", "<s>", &t.bos}, {"eos_token", "</s>", &t.eos}, {"pad_token", "<pad>", &t.pad}} {
		name := c.usual
		if raw, ok := named[c.key]; ok {
			name = tokenName(raw)
		}
		if id, ok := ids[name]; ok {
			*c.to = id
		}
	}
	return nil
}

// tokenName reads "<s>", {"content": "<s>", …} or null.
func tokenName(raw json.RawMessage) string {
	var name string
	if json.Unmarshal(raw, &name) == nil {
		return name
	}
	var object struct{ Content string }
	if json.Unmarshal(raw, &object) == nil {
		return object.Content
	}
	return ""
}
