package tokenizer

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// Added is a control token that is added to a tokenizer.
type Added struct {
	Text string
	ID   int32
}

// Add adds control tokens, as transformers' add_special_tokens does: each gets the next
// id. One that is there already keeps its own.
func (t *Tokenizer) Add(texts []string) ([]Added, error) {
	var out []Added
	for _, text := range texts {
		if text == "" {
			return nil, errors.New("an added token is empty")
		}
		if _, ok := t.idOf(text); ok {
			continue
		}
		a := Added{text, int32(len(t.pieces))}
		if err := t.addToken(besideToken{hfAdded{ID: int64(a.ID), Content: text, Special: true}, true, "added_tokens"}, "the tokenizer"); err != nil {
			return nil, err
		}
		t.extra = slices.DeleteFunc(t.extra, func(id int32) bool { return id == a.ID }) // no file does
		out = append(out, a)
	}
	return out, nil
}

// Record writes added tokens into the files of a tokenizer in a directory, where
// transformers and Load find them: a tokenizer.json, else added_tokens.json; and what
// tokenizer_config.json says of them. write replaces a file.
func Record(dir string, added []Added, write func(path string, text []byte) error) error {
	if len(added) == 0 {
		return nil
	}
	edit := func(name string, change func(text []byte) ([]byte, error)) error {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			text, err = nil, nil
		}
		if err == nil {
			text, err = change(text)
		}
		if err == nil && text != nil {
			err = write(path, text)
		}
		if err != nil {
			return fmt.Errorf("cannot add tokens to %s: %w", path, err)
		}
		return nil
	}
	inJSON := false
	if err := edit(jsonFile, func(text []byte) ([]byte, error) {
		if text == nil {
			return nil, nil
		}
		inJSON = true
		return appended(text, added)
	}); err != nil {
		return err
	}
	_, err := os.Stat(filepath.Join(dir, addedFile))
	if err == nil || !inJSON {
		if err := edit(addedFile, func(text []byte) ([]byte, error) { return numbered(text, added) }); err != nil {
			return err
		}
	}
	return edit(configFile, func(text []byte) ([]byte, error) { return configured(text, added) })
}

// flags are those of an added token in the files.
func (a Added) flags(id bool) map[string]any {
	keys := map[string]any{"content": a.Text, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}
	if id {
		keys["id"] = a.ID
	}
	return keys
}

// appended is a tokenizer.json with more added_tokens, the rest to the byte.
func appended(text []byte, added []Added) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	if token, err := dec.Token(); err != nil || token != json.Delim('{') {
		return nil, errors.New("it is no JSON object")
	}
	for dec.More() {
		key, err := dec.Token()
		if err != nil {
			return nil, err
		}
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return nil, err
		}
		if key != "added_tokens" {
			continue
		}
		var list []json.RawMessage
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, err
		}
		for _, a := range added {
			one, err := marshal(a.flags(true))
			if err != nil {
				return nil, err
			}
			list = append(list, one)
		}
		all, err := marshal(list)
		if err != nil {
			return nil, err
		}
		end := int(dec.InputOffset())
		return slices.Concat(text[:end-len(raw)], all, text[end:]), nil
	}
	return nil, errors.New("it has no `added_tokens`")
}

// numbered is added_tokens.json with more.
func numbered(text []byte, added []Added) ([]byte, error) {
	ids := map[string]int64{}
	if text != nil {
		if err := json.Unmarshal(text, &ids); err != nil {
			return nil, err
		}
	}
	for _, a := range added {
		ids[a.Text] = int64(a.ID)
	}
	return indented(ids)
}

// configured is tokenizer_config.json that names added tokens as control tokens.
func configured(text []byte, added []Added) ([]byte, error) {
	keys := map[string]json.RawMessage{}
	if text != nil {
		if err := json.Unmarshal(text, &keys); err != nil {
			return nil, err
		}
	}
	set := func(key string, v any) (err error) {
		keys[key], err = marshal(v)
		return err
	}
	if raw, ok := keys["added_tokens_decoder"]; ok {
		list := map[string]json.RawMessage{}
		if err := json.Unmarshal(raw, &list); err != nil {
			return nil, err
		}
		for _, a := range added {
			one, err := marshal(a.flags(false))
			if err != nil {
				return nil, err
			}
			list[fmt.Sprint(a.ID)] = one
		}
		if err := set("added_tokens_decoder", list); err != nil {
			return nil, err
		}
	}
	var names []json.RawMessage
	if raw, ok := keys["additional_special_tokens"]; ok && string(raw) != "null" {
		if err := json.Unmarshal(raw, &names); err != nil {
			return nil, err
		}
	}
	for _, a := range added {
		one, err := marshal(a.Text)
		if err != nil {
			return nil, err
		}
		names = append(names, one)
	}
	if err := set("additional_special_tokens", names); err != nil {
		return nil, err
	}
	return indented(keys)
}

func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}

func indented(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	err := enc.Encode(v)
	return b.Bytes(), err
}
