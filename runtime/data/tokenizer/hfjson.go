package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// hfTokenizer is a tokenizer.json of the tokenizers library, as far as a
// Llama's goes.
type hfTokenizer struct {
	Added        []hfAdded   `json:"added_tokens"`
	Normalizer   *hfStep     `json:"normalizer"`
	PreTokenizer *hfStep     `json:"pre_tokenizer"`
	Decoder      *hfStep     `json:"decoder"`
	Model        hfModelPart `json:"model"`
}

type hfAdded struct {
	ID         int64  `json:"id"`
	Content    string `json:"content"`
	SingleWord bool   `json:"single_word"`
	LStrip     bool   `json:"lstrip"`
	RStrip     bool   `json:"rstrip"`
	Normalized bool   `json:"normalized"`
	Special    bool   `json:"special"`
}

type hfModelPart struct {
	Type         string           `json:"type"`
	Vocab        map[string]int64 `json:"vocab"`
	Merges       []hfMerge        `json:"merges"`
	UnkToken     *string          `json:"unk_token"`
	FuseUnk      bool             `json:"fuse_unk"`
	ByteFallback bool             `json:"byte_fallback"`
	IgnoreMerges bool             `json:"ignore_merges"`
	Dropout      *float64         `json:"dropout"`
	Prefix       *string          `json:"continuing_subword_prefix"`
	Suffix       *string          `json:"end_of_word_suffix"`
}

// hfStep is a normalizer, a pre-tokenizer or a decoder.
type hfStep struct {
	Type          string          `json:"type"`
	Normalizers   []hfStep        `json:"normalizers"`
	PreTokenizers []hfStep        `json:"pretokenizers"`
	Decoders      []hfStep        `json:"decoders"`
	Prepend       string          `json:"prepend"`
	Content       string          `json:"content"`
	Pattern       json.RawMessage `json:"pattern"`
	Start         int             `json:"start"`

	Replacement    string  `json:"replacement"` // Metaspace
	PrependScheme  *string `json:"prepend_scheme"`
	AddPrefixSpace *bool   `json:"add_prefix_space"`
	Split          *bool   `json:"split"`

	UseRegex   *bool  `json:"use_regex"` // ByteLevel
	Behavior   string `json:"behavior"`  // Split
	Invert     bool   `json:"invert"`
	Individual bool   `json:"individual_digits"` // Digits
}

// steps takes a sequence of steps apart.
func (s *hfStep) steps() []hfStep {
	if s == nil {
		return nil
	}
	if s.Type == "Sequence" {
		return slices.Concat(s.Normalizers, s.PreTokenizers, s.Decoders)
	}
	return []hfStep{*s}
}

// hfMerge is one pair, written "a b" or ["a", "b"].
type hfMerge [2]string

func (m *hfMerge) UnmarshalJSON(data []byte) error {
	if data[0] == '[' {
		var list []string
		if err := json.Unmarshal(data, &list); err != nil {
			return err
		}
		if len(list) != 2 {
			return fmt.Errorf("a merge joins %d pieces", len(list))
		}
		*m = hfMerge(list)
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return err
	}
	left, right, ok := strings.Cut(text, " ")
	if !ok || strings.Contains(right, " ") {
		return fmt.Errorf("the merge %q is not a pair", text)
	}
	*m = hfMerge{left, right}
	return nil
}

// ParseJSON reads a tokenizer.json from memory: byte-pair encoding over blanks
// written as U+2581, as Llama 2 uses it, or over bytes, as GPT-2 and Llama 3 do.
// Other models are refused by name. config is the tokenizer_config.json
// beside it, or nil; it names the control pieces.
func ParseJSON(data, config []byte) (*Tokenizer, error) {
	var file hfTokenizer
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, fmt.Errorf("not a tokenizer.json: %w", err)
	}
	t := &Tokenizer{unk: -1, bos: -1, eos: -1, pad: -1}
	if err := file.Model.supported(); err != nil {
		return nil, err
	}
	if err := t.setSteps(&file); err != nil {
		return nil, err
	}
	if err := t.setPieces(&file); err != nil {
		return nil, err
	}
	if err := t.setMerges(&file.Model); err != nil {
		return nil, err
	}
	if err := t.finish(); err != nil {
		return nil, err
	}
	t.setAdded(file.Added)
	return t, t.setControls(config)
}

func (m *hfModelPart) supported() error {
	switch {
	case m.Type != "BPE" && !(m.Type == "" && len(m.Merges) > 0):
		return fmt.Errorf("the model is %q; only BPE is supported", m.Type)
	case len(m.Vocab) == 0:
		return errors.New("its model has no vocabulary")
	case m.Dropout != nil && *m.Dropout > 0:
		return errors.New("it drops merges at random (model.dropout), which is not supported")
	case m.Prefix != nil && *m.Prefix != "" || m.Suffix != nil && *m.Suffix != "":
		return errors.New("it marks the parts of words (continuing_subword_prefix, end_of_word_suffix), which is not supported")
	}
	return nil
}

// setSteps recognises the three ways in which Llama tokenizers turn spaces to
// blanks and back.
func (t *Tokenizer) setSteps(file *hfTokenizer) error {
	t.norm.keepSpaces = true
	for _, s := range file.Normalizer.steps() {
		switch {
		case (s.Type == "NFC" || s.Type == "NFD") && t.norm.keepSpaces && !t.norm.prefix:
			t.norm.form = form(s.Type)
		case s.Type == "Prepend" && s.Prepend == blank && t.norm.keepSpaces:
			t.norm.prefix, t.norm.everySection = true, true
		case s.Type == "Replace" && s.Content == blank && isSpace(s.Pattern):
			t.norm.keepSpaces = false
		default:
			return fmt.Errorf("its normalizer %q is not supported; known are NFC, NFD, Prepend, and Replace of spaces by %s", s.Type, blank)
		}
	}
	if steps := file.PreTokenizer.steps(); len(steps) > 0 && steps[len(steps)-1].Type == "ByteLevel" {
		if !t.norm.keepSpaces || t.norm.prefix {
			return errors.New("it is byte-level, and its normalizer writes spaces as blanks; one of the two can be")
		}
		if err := t.setByteLevel(steps); err != nil {
			return err
		}
		for _, s := range file.Decoder.steps() {
			if s.Type != "ByteLevel" {
				return fmt.Errorf("its decoder %q is not supported in a byte-level tokenizer", s.Type)
			}
		}
		return nil
	}
	for _, s := range file.PreTokenizer.steps() {
		if s.Type != "Metaspace" || s.Replacement != blank {
			return fmt.Errorf("its pre-tokenizer %q is not supported; known are Metaspace with %s, and ByteLevel", s.Type, blank)
		}
		scheme := "always"
		if s.AddPrefixSpace != nil && !*s.AddPrefixSpace {
			scheme = "never"
		}
		if s.PrependScheme != nil {
			scheme = *s.PrependScheme
		}
		t.norm.keepSpaces, t.norm.unlessBlank = false, true
		t.norm.prefix, t.norm.everySection = scheme != "never", scheme == "always"
		t.splitBlanks = s.Split == nil || *s.Split
	}
	for _, s := range file.Decoder.steps() {
		switch s.Type {
		case "Replace", "Fuse":
		case "ByteFallback":
			t.unkOut.bytesPrint = true
		case "Strip":
			t.stripText = t.stripText || s.Start > 0
		case "Metaspace":
			t.stripFirst = t.norm.prefix
		default:
			return fmt.Errorf("its decoder %q is not supported", s.Type)
		}
	}
	return nil
}

// isSpace recognises the pattern {"String": " "}.
func isSpace(pattern json.RawMessage) bool {
	var p struct{ String string }
	return json.Unmarshal(pattern, &p) == nil && p.String == " "
}
