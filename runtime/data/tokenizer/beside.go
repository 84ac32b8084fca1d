package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Files beside a tokenizer that name control tokens, as the transformers library
// writes them.
const (
	configFile  = "tokenizer_config.json"
	addedFile   = "added_tokens.json"
	specialFile = "special_tokens_map.json"
	jsonFile    = "tokenizer.json"
)

// roles are the keys by which a config names control tokens, in the order in which
// transformers gives ids to those that have none (SPECIAL_TOKENS_ATTRIBUTES).
var roles = []string{"bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"}

// beside is what the files next to a tokenizer say.
type beside struct {
	config, special *tokenNames
	added           []besideToken // from all files, the one that wins first
	json            *besideJSON   // a tokenizer.json next to a tokenizer.model
	legacy          *bool         // a space is put before the text after a control token
	addPrefix       *bool         // a space is put before a text
	addBOS, addEOS  *bool         // a text begins and ends with them
}

// besideToken is an added token of one file.
type besideToken struct {
	hfAdded
	flags bool   // the file says more than the id
	file  string // that names it
}

// tokenNames is what tokenizer_config.json and special_tokens_map.json have in common.
type tokenNames struct {
	file string
	raw  map[string]json.RawMessage
}

// besideJSON is the part of a tokenizer.json that is compared with a tokenizer.model.
type besideJSON struct {
	Added        []hfAdded `json:"added_tokens"`
	Normalizer   *hfStep   `json:"normalizer"`
	PreTokenizer *hfStep   `json:"pre_tokenizer"`
	Model        struct {
		Vocab map[string]int64 `json:"vocab"`
	} `json:"model"`
}

// readBeside reads the files in dir; withJSON includes tokenizer.json.
func readBeside(dir string, withJSON bool) (*beside, error) {
	b := &beside{}
	read := func(name string, to any) (bool, error) {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if err := json.Unmarshal(data, to); err != nil {
			return false, fmt.Errorf("%s beside it cannot be read: %w; mend it, or move it away", filepath.Join(dir, name), err)
		}
		return true, nil
	}
	config, special := map[string]json.RawMessage{}, map[string]json.RawMessage{}
	ok, err := read(configFile, &config)
	if err != nil {
		return nil, err
	}
	if ok {
		b.config = &tokenNames{configFile, config}
		if err := b.readConfig(config); err != nil {
			return nil, err
		}
	}
	ids := map[string]int64{}
	if _, err := read(addedFile, &ids); err != nil {
		return nil, err
	}
	for text, id := range ids {
		b.added = append(b.added, besideToken{hfAdded: hfAdded{ID: id, Content: text, Normalized: true}, file: addedFile})
	}
	if ok, err = read(specialFile, &special); err != nil {
		return nil, err
	} else if ok {
		b.special = &tokenNames{specialFile, special}
	}
	if withJSON {
		b.json = &besideJSON{}
		if ok, err = read(jsonFile, b.json); err != nil {
			return nil, err
		} else if !ok {
			b.json = nil
		} else {
			for _, a := range b.json.Added {
				b.added = append(b.added, besideToken{a, true, jsonFile})
			}
		}
	}
	return b, nil
}

func (b *beside) readConfig(config map[string]json.RawMessage) error {
	for key, to := range map[string]**bool{"legacy": &b.legacy, "add_prefix_space": &b.addPrefix, "add_bos_token": &b.addBOS, "add_eos_token": &b.addEOS} {
		if raw, ok := config[key]; ok {
			if err := json.Unmarshal(raw, to); err != nil {
				return fmt.Errorf("%s: `%s` is %s; it must be true or false", configFile, key, raw)
			}
		}
	}
	raw, ok := config["added_tokens_decoder"]
	if !ok {
		return nil
	}
	list := map[string]hfAdded{}
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("%s: `added_tokens_decoder` cannot be read: %w", configFile, err)
	}
	for key, a := range list {
		id, err := strconv.ParseInt(key, 10, 32)
		if err != nil {
			return fmt.Errorf("%s: `added_tokens_decoder` has %q where an id is due", configFile, key)
		}
		a.ID = id
		b.added = append(b.added, besideToken{a, true, configFile})
	}
	return nil
}

// token reads the token that a file names by a key; ok is false for none.
func (n *tokenNames) token(key string) (a hfAdded, ok bool) {
	if n == nil || n.raw[key] == nil {
		return a, false
	}
	return tokenOf(n.raw[key])
}

func tokenOf(raw json.RawMessage) (a hfAdded, ok bool) {
	if json.Unmarshal(raw, &a.Content) != nil {
		if json.Unmarshal(raw, &a) != nil {
			return a, false
		}
	}
	a.ID, a.Special = -1, true
	return a, a.Content != ""
}

// others are the control tokens without a role.
func (n *tokenNames) others() (list []hfAdded) {
	if n == nil {
		return nil
	}
	var raws []json.RawMessage
	json.Unmarshal(n.raw["additional_special_tokens"], &raws) // another form names none
	extra := map[string]json.RawMessage{}
	if json.Unmarshal(n.raw["extra_special_tokens"], &extra) == nil {
		for _, key := range slices.Sorted(maps.Keys(extra)) {
			raws = append(raws, extra[key])
		}
	}
	for _, raw := range raws {
		if a, ok := tokenOf(raw); ok {
			list = append(list, a)
		}
	}
	return list
}

// named gives the token of a role; two files that name different ones are an error.
func (b *beside) named(role string) (hfAdded, bool, error) {
	one, ok1 := b.config.token(role)
	two, ok2 := b.special.token(role)
	if ok1 && ok2 && one.Content != two.Content {
		return one, true, fmt.Errorf("%s names %q as %s, %s names %q; make them the same, or move one of them away",
			configFile, one.Content, role, specialFile, two.Content)
	}
	if ok1 {
		return one, true, nil
	}
	return two, ok2, nil
}

// merge adds the tokens of the files beside a tokenizer to it, as transformers does.
// Files that contradict each other or the tokenizer are an error.
func (t *Tokenizer) merge(b *beside, file string) error {
	if err := t.sameVocabulary(b.json, file); err != nil {
		return err
	}
	special := map[string]bool{} // texts with a role
	var unnumbered []hfAdded
	roleOf := map[string]string{}
	for _, role := range roles {
		a, ok, err := b.named(role)
		if err != nil {
			return err
		}
		if ok {
			special[a.Content], roleOf[role] = true, a.Content
			unnumbered = append(unnumbered, a)
		}
	}
	for _, a := range slices.Concat(b.config.others(), b.special.others()) {
		special[a.Content] = true
		unnumbered = append(unnumbered, a)
	}
	if err := t.mergeNumbered(b, special, file); err != nil {
		return err
	}
	for _, a := range unnumbered {
		if _, ok := t.idOf(a.Content); ok {
			continue
		}
		a.ID = int64(len(t.pieces)) // as transformers numbers it
		if err := t.addToken(besideToken{a, true, configFile}, file); err != nil {
			return err
		}
	}
	if err := t.settings(b, file); err != nil {
		return err
	}
	t.setPrefix(b)
	t.adds = [2]*bool{b.addBOS, b.addEOS}
	for role, to := range map[string]*int32{"bos_token": &t.bos, "eos_token": &t.eos, "pad_token": &t.pad} {
		if text, ok := roleOf[role]; ok {
			*to, _ = t.idOf(text)
		} else if b.config != nil && string(b.config.raw[role]) == "null" {
			*to = -1
		}
	}
	return nil
}

// mergeNumbered adds the tokens that have ids.
func (t *Tokenizer) mergeNumbered(b *beside, special map[string]bool, file string) error {
	byText, byID := map[string]besideToken{}, map[int64]besideToken{}
	var order []besideToken
	for _, a := range b.added {
		if a.Content == "" {
			return fmt.Errorf("%s: the added token of id %d is empty", a.file, a.ID)
		}
		a.Special = a.Special || special[a.Content]
		if was, ok := byText[a.Content]; ok {
			if was.ID != a.ID {
				return fmt.Errorf("%s gives %q the id %d, %s gives it %d; make them the same, or move one of them away", was.file, a.Content, was.ID, a.file, a.ID)
			}
			if was.flags && a.flags && (was.LStrip != a.LStrip || was.RStrip != a.RStrip || was.SingleWord != a.SingleWord) {
				t.note("%s and %s differ in lstrip, rstrip or single_word of %q; %s is followed", was.file, a.file, a.Content, was.file)
			}
			continue
		}
		if was, ok := byID[a.ID]; ok {
			return fmt.Errorf("%s gives the id %d to %q, %s gives it to %q; make them the same, or move one of them away", was.file, a.ID, was.Content, a.file, a.Content)
		}
		byText[a.Content], byID[a.ID] = a, a
		order = append(order, a)
	}
	slices.SortFunc(order, func(a, b besideToken) int { return int(a.ID - b.ID) })
	base := len(t.pieces)
	for _, a := range order {
		if a.ID < 0 || a.ID >= int64(base+2*len(order)+1<<16) {
			return fmt.Errorf("%s: the id %d of %q is out of range: there are %d pieces", a.file, a.ID, a.Content, base)
		}
		if err := t.addToken(a, file); err != nil {
			return err
		}
	}
	return nil
}

// addToken makes a token one that is read from the text, and gives it its id.
func (t *Tokenizer) addToken(a besideToken, file string) error {
	if id, ok := t.idOf(a.Content); ok && int64(id) != a.ID {
		return fmt.Errorf("%s gives %q the id %d, in %s it has the id %d; make them the same, or move %s away", a.file, a.Content, a.ID, file, id, a.file)
	}
	id := int32(a.ID)
	was := piece{}
	if int(id) < len(t.pieces) {
		was = t.pieces[id]
	} else {
		n := int(id) + 1
		t.pieces = slices.Grow(t.pieces, n-len(t.pieces))[:n]
		t.surface = slices.Grow(t.surface, n-len(t.surface))[:n]
	}
	if was.kind != 0 && was.text != a.Content {
		if was.kind == normal || was.kind == byteValue {
			return fmt.Errorf("%s gives the id %d to %q, in %s it is %q; make them the same, or move %s away", a.file, id, a.Content, file, was.text, a.file)
		}
		t.note("%s renames the piece %q, id %d, to %q", a.file, was.text, id, a.Content)
		t.whole.remove(was.text)
		t.added.remove(was.text)
		delete(t.names, was.text)
		t.rules.forget(was.text)
	}
	if t.listed(a.Content) && was.text == a.Content && !t.fromModel {
		return nil // a tokenizer.json has it, with its own flags
	}
	p := piece{a.Content, userDefined}
	switch {
	case was.kind == unknown || was.kind == byteValue:
		p.kind = was.kind
	case a.Special || was.kind == control:
		p.kind = control
	}
	if was.kind == 0 {
		t.extra = append(t.extra, id)
	}
	t.pieces[id], t.names[a.Content] = p, id
	if p.kind == userDefined {
		t.surface[id] = a.Content
	} else if p.kind == control {
		t.surface[id] = ""
	}
	if t.fromBeside == nil {
		t.fromBeside = map[int32]bool{}
	}
	t.fromBeside[id] = true
	t.whole.remove(a.Content)
	t.added.remove(a.Content)
	t.put(a.hfAdded, !t.fromModel)
	return nil
}

// AddsBOS is what tokenizer_config.json says of whether texts begin with BOS; said is
// false where it says nothing.
func (t *Tokenizer) AddsBOS() (adds, said bool) { return saidOf(t.adds[0]) }

// AddsEOS is AddsBOS for the end of a text and EOS.
func (t *Tokenizer) AddsEOS() (adds, said bool) { return saidOf(t.adds[1]) }

func saidOf(b *bool) (value, said bool) { return b != nil && *b, b != nil }

// listed reports whether a text is read as one token.
func (t *Tokenizer) listed(text string) bool { return t.whole.has(text) || t.added.has(text) }

// idOf finds a piece by its text.
func (t *Tokenizer) idOf(text string) (int32, bool) {
	if t.names == nil {
		t.names = make(map[string]int32)
		for i, p := range t.pieces {
			if p.kind != 0 && p.kind != normal && p.kind != byteValue {
				t.names[p.text] = int32(i)
			}
		}
	}
	if id, ok := t.names[text]; ok {
		return id, true
	}
	if id := t.rules.single(text); id >= 0 {
		return id, true
	}
	return -1, false
}

// setPrefix says whether a space is put before the text after a control token:
// transformers' "legacy", which is the default there and in MindFormers.
func (t *Tokenizer) setPrefix(b *beside) {
	if !t.fromModel {
		return
	}
	legacy := b.legacy == nil || *b.legacy
	var fast *bool
	if b.json != nil {
		every, known := b.json.everySection()
		if known {
			fast = &every
		}
	}
	switch {
	case b.legacy == nil && fast != nil:
		legacy = *fast
	case fast != nil && *fast != legacy:
		t.jsonDiffers = fmt.Sprintf("after a control token, %s (legacy: %v) puts %s before the text, %s puts %s; %s is followed",
			configFile, legacy, map[bool]string{true: "a space", false: "nothing"}[legacy], jsonFile, map[bool]string{true: "a space", false: "nothing"}[*fast], configFile)
	}
	t.norm.everySection = legacy
	if !legacy && b.addPrefix != nil && !*b.addPrefix {
		t.norm.prefix = false
	}
}

// everySection reports whether a tokenizer.json puts a space before the text after
// each control token; known is false if it is of no kind that says so.
func (j *besideJSON) everySection() (every, known bool) {
	for _, s := range j.Normalizer.steps() {
		if s.Type == "Prepend" {
			return true, true
		}
	}
	for _, s := range j.PreTokenizer.steps() {
		if s.Type == "Metaspace" && s.PrependScheme != nil {
			return *s.PrependScheme == "always", true
		}
	}
	return false, false
}

// sameVocabulary compares a tokenizer.json with the pieces of a tokenizer.model.
func (t *Tokenizer) sameVocabulary(j *besideJSON, file string) error {
	if j == nil {
		return nil
	}
	count := 0
	for text, id := range j.Model.Vocab {
		if id < 0 || id >= int64(len(t.pieces)) {
			continue // an added token, compared by its name
		}
		count++
		if was := t.pieces[id]; was.text != text {
			return fmt.Errorf("the id %d is %q in %s and %q in %s beside it: two vocabularies; move the file away that is not the model's", id, was.text, file, text, jsonFile)
		}
	}
	if count > 0 && count < len(t.pieces) {
		return fmt.Errorf("%s has %d pieces, %s beside it has %d of them: two vocabularies; move the file away that is not the model's", file, len(t.pieces), jsonFile, count)
	}
	return nil
}

func (t *Tokenizer) note(format string, args ...any) {
	t.notes = append(t.notes, fmt.Sprintf(format, args...))
}

// Notes are what the files beside the tokenizer changed, for people.
func (t *Tokenizer) Notes() []string {
	var list []string
	if len(t.extra) > 0 {
		var names []string
		for i, id := range t.extra {
			if i == 8 {
				names = append(names, fmt.Sprintf("and %d more", len(t.extra)-i))
				break
			}
			names = append(names, fmt.Sprintf("%s %d", t.pieces[id].text, id))
		}
		list = append(list, fmt.Sprintf("tokens added by the files beside it, with their ids: %s", strings.Join(names, ", ")))
	}
	if t.jsonDiffers != "" {
		list = append(list, t.jsonDiffers)
	}
	return append(list, t.notes...)
}
