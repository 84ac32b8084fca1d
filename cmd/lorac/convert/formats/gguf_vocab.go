package formats

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/runtime/data/tokenizer"
	"lorac/runtime/sys/protowire"
	"lorac/runtime/weights/gguf"
	"lorac/runtime/weights/modeldir"
)

// Kinds of tokens in GGUF. SentencePiece's have the same numbers.
const (
	tokenNormal  = 1
	tokenUnknown = 2
	tokenControl = 3
	tokenUser    = 4
	tokenUnused  = 5
	tokenByte    = 6
)

// vocabulary is a tokenizer on its way into a GGUF file.
type vocabulary struct {
	model, pre string // tokenizer.ggml.model and .pre
	tokens     []string
	scores     []float32 // of model llama
	merges     []string  // of model gpt2
	types      []int32
	addBOS     *bool
	addEOS     *bool
	noPrefix   bool           // no space is put before a text
	lost       []string       // what llama.cpp does with text in another way
	ids        map[string]int // bos, eos, unknown, padding
}

// specials are the roles of tokens: in GGUF, in tokenizer_config.json, in config.json.
var specials = []struct{ gguf, name, id string }{
	{"bos", "bos_token", "bos_token_id"}, {"eos", "eos_token", "eos_token_id"},
	{"unknown", "unk_token", ""}, {"padding", "pad_token", "pad_token_id"},
}

// GGUFTokenizer is the tokenizer and the chat template beside a base as llama.cpp
// has them (its convert_hf_to_gguf.py and gguf-py's SpecialVocab): from a GGUF file
// as they are, else from tokenizer.model or tokenizer.json and the files that add
// tokens to it. size is the number of rows of the embedding. note says what is
// missing; llama.cpp loads a file without a tokenizer, and cannot read text with it.
func GGUFTokenizer(path string, size int) (list []gguf.KV, note string, err error) {
	if f, err := gguf.Open(ggufIn(path)); err == nil {
		defer f.Close()
		return copyTokenizerKeys(f), "", nil
	}
	dir := modeldir.Of(path)
	v, note, err := readVocabulary(dir, size)
	if err != nil || v == nil {
		return nil, note, err
	}
	if err := v.add(dir, size); err != nil {
		return nil, "", err
	}
	list, note = v.keys(), v.differs()
	template, err := modeldir.ChatTemplate(dir)
	if template != "" {
		list = append(list, gguf.KV{Key: "tokenizer.chat_template", Value: template})
	}
	return list, note, err
}

// differs is what llama.cpp does with text in another way than the tokenizer, "" for nothing.
func (v *vocabulary) differs() string {
	lost := v.lost
	if v.model == "llama" && !slices.Contains(v.types, tokenByte) {
		lost = append(lost, "there are no pieces of bytes, and llama.cpp fails on a character without a piece")
	}
	if len(lost) == 0 {
		return ""
	}
	return "llama.cpp reads text otherwise than this tokenizer: " + strings.Join(lost, "; ")
}

// ggufIn is the GGUF file of a path.
func ggufIn(path string) string {
	if files, _ := filepath.Glob(filepath.Join(globEscape(path), "*.gguf")); len(files) == 1 {
		return files[0]
	}
	return path
}

// copyTokenizerKeys copies the tokenizer of a GGUF file.
func copyTokenizerKeys(f *gguf.File) (list []gguf.KV) {
	keys := []string{}
	for key := range f.Meta {
		if strings.HasPrefix(key, "tokenizer.") {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		value := f.Meta[key]
		switch x := value.(type) {
		case int64:
			value = uint32(x)
		case uint64:
			value = uint32(x)
		case float64:
			value = float32(x)
		case []any:
			var ints []int32
			var floats []float32
			for _, e := range x {
				switch e := e.(type) {
				case int64:
					ints = append(ints, int32(e))
				case float64:
					floats = append(floats, float32(e))
				}
			}
			if len(ints) == len(x) {
				value = ints
			} else {
				value = floats
			}
		}
		list = append(list, gguf.KV{Key: key, Value: value})
	}
	return list
}

func readVocabulary(dir string, size int) (v *vocabulary, note string, err error) {
	data, err := os.ReadFile(filepath.Join(dir, "tokenizer.model"))
	if err == nil {
		if ranks, err := tokenizer.OfRanks(data); err != nil || ranks != nil {
			if err != nil {
				return nil, "", fmt.Errorf("%s: %w", filepath.Join(dir, "tokenizer.model"), err)
			}
			v, err := ofRanks(filepath.Join(dir, "tokenizer.model"), ranks, size)
			return v, "", err
		}
		v, err = ofSentencePiece(filepath.Join(dir, "tokenizer.model"), data, size)
		return v, "", err
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	path := filepath.Join(dir, "tokenizer.json")
	if data, err = os.ReadFile(path); err == nil {
		return ofTokenizerJSON(path, data, size)
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, "", err
	}
	return nil, "no tokenizer.model and no tokenizer.json are beside the base: the file has no tokenizer", nil
}

// ofRanks takes Llama 3's tokenizer.model.
func ofRanks(path string, r *tokenizer.Ranks, size int) (*vocabulary, error) {
	if n := len(r.Pieces) + len(r.Controls); n > size {
		return nil, fmt.Errorf("%s has %d tokens, the model a vocabulary of %d", path, n, size)
	}
	yes, no := true, false
	v := &vocabulary{model: "gpt2", pre: r.Pre, merges: r.Merges, addBOS: &yes, addEOS: &no, ids: map[string]int{"bos": r.BOS, "eos": r.EOS}}
	for _, p := range r.Pieces {
		v.tokens, v.types = append(v.tokens, p), append(v.types, tokenNormal)
	}
	for _, c := range r.Controls {
		v.tokens, v.types = append(v.tokens, c), append(v.types, tokenControl)
	}
	v.scores = make([]float32, len(v.tokens))
	return v, nil
}

// ofSentencePiece reads a tokenizer.model.
func ofSentencePiece(path string, data []byte, size int) (*vocabulary, error) {
	v := &vocabulary{model: "llama", pre: "default", ids: map[string]int{}}
	ids := map[int]string{40: "unknown", 41: "bos", 42: "eos"} // fields of TrainerSpec
	normalises, joins := false, true                           // SentencePiece's defaults
	err := protowire.Each(data, func(field int, _ uint64, message []byte) error {
		switch field {
		case 1: // SentencePiece{piece, score, type}
			token, score, kind := "", float32(0), int32(tokenNormal)
			err := protowire.Each(message, func(field int, v uint64, b []byte) error {
				switch field {
				case 1:
					token = string(b)
				case 2:
					score = math.Float32frombits(uint32(v))
				case 3:
					kind = int32(v)
				}
				return nil
			})
			v.tokens, v.scores, v.types = append(v.tokens, token), append(v.scores, score), append(v.types, kind)
			return err
		case 2:
			return protowire.Each(message, func(field int, n uint64, _ []byte) error {
				if role := ids[field]; role != "" {
					v.ids[role] = int(int32(n))
				}
				return nil
			})
		case 3: // NormalizerSpec{name, precompiled_charsmap, add_dummy_prefix, remove_extra_whitespaces}
			return protowire.Each(message, func(field int, n uint64, b []byte) error {
				switch field {
				case 2:
					normalises = len(b) > 0
				case 3:
					v.noPrefix = n == 0
				case 4:
					joins = n != 0
				}
				return nil
			})
		}
		return nil
	})
	if normalises {
		v.lost = append(v.lost, "it does not normalise it")
	}
	if joins {
		v.lost = append(v.lost, "it keeps blanks in a row, which are one here, and those at the ends, which are none")
	}
	if err != nil {
		return nil, fmt.Errorf("%s is no SentencePiece model: %w", path, err)
	}
	if len(v.tokens) > size {
		return nil, fmt.Errorf("%s has %d pieces, the model a vocabulary of %d", path, len(v.tokens), size)
	}
	for role, id := range map[string]int{"unknown": 0, "bos": 1, "eos": 2} {
		if _, there := v.ids[role]; !there {
			v.ids[role] = id
		}
	}
	yes := true
	v.addBOS = &yes
	return v, nil
}

// llamaPatterns are the patterns that cut words, by llama.cpp's names for them.
var llamaPatterns = map[string]string{
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`: "llama-bpe",
	`(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`:      "qwen2",
}

type jsonStep struct {
	Type          string
	PreTokenizers []jsonStep
	Normalizers   []jsonStep
	Processors    []jsonStep
	Pattern       struct{ Regex string }
	Individual    bool `json:"individual_digits"`
	UseRegex      *bool
	Prepend       string
	Scheme        string `json:"prepend_scheme"`
	Single        []map[string]json.RawMessage
}

func (s *jsonStep) steps(list []jsonStep) []jsonStep {
	if s.Type == "Sequence" {
		return list
	}
	if s.Type == "" {
		return nil
	}
	return []jsonStep{*s}
}

// ofTokenizerJSON reads a tokenizer.json with byte-pair encoding.
func ofTokenizerJSON(path string, data []byte, size int) (*vocabulary, string, error) {
	var file struct {
		Added []struct {
			ID      int
			Content string
			Special bool
			LStrip  bool
			RStrip  bool
			Single  bool `json:"single_word"`
		} `json:"added_tokens"`
		Pre   jsonStep `json:"pre_tokenizer"`
		Norm  jsonStep `json:"normalizer"`
		Post  jsonStep `json:"post_processor"`
		Model struct {
			Type     string
			Vocab    map[string]int
			Merges   []json.RawMessage
			Unk      *string `json:"unk_token"`
			Fallback bool    `json:"byte_fallback"`
		}
	}
	if err := json.Unmarshal(data, &file); err != nil {
		return nil, "", fmt.Errorf("%s is no tokenizer.json: %w", path, err)
	}
	v := &vocabulary{ids: map[string]int{}}
	pre := file.Pre.steps(file.Pre.PreTokenizers)
	switch {
	case len(file.Model.Merges) == 0:
		return nil, fmt.Sprintf("%s is no byte-pair encoding: the file has no tokenizer", path), nil
	case file.Model.Fallback:
		v.model, v.pre = "llama", "default"
	case len(pre) == 1 && pre[0].Type == "ByteLevel":
		v.model, v.pre = "gpt2", "gpt-2"
	case len(pre) == 2 && pre[0].Type == "Digits" && pre[0].Individual && pre[1].Type == "ByteLevel":
		v.model, v.pre = "gpt2", "smollm"
	case len(pre) == 2 && pre[0].Type == "Split" && pre[1].Type == "ByteLevel" && llamaPatterns[pre[0].Pattern.Regex] != "":
		v.model, v.pre = "gpt2", llamaPatterns[pre[0].Pattern.Regex]
	default:
		return nil, fmt.Sprintf("%s cuts words in a way for which no name of llama.cpp is known here: the file has no tokenizer", path), nil
	}
	put := func(id int, text string, kind int32) error {
		if id < 0 || id >= size {
			return fmt.Errorf("%s gives %q the id %d, the embedding has %d rows", path, text, id, size)
		}
		for len(v.tokens) <= id {
			v.pad()
		}
		v.tokens[id], v.types[id] = text, kind
		return nil
	}
	for text, id := range file.Model.Vocab {
		kind := int32(tokenNormal)
		if file.Model.Fallback && len(text) == 6 && strings.HasPrefix(text, "<0x") && text[5] == '>' {
			kind = tokenByte
		}
		if err := put(id, text, kind); err != nil {
			return nil, "", err
		}
	}
	var flagged []string
	for _, a := range file.Added {
		kind := int32(tokenUser)
		if a.Special {
			kind = tokenControl
		}
		if id, ok := file.Model.Vocab[a.Content]; ok && v.types[id] == tokenByte { // it is both
			kind = tokenByte
		}
		if a.LStrip || a.RStrip || a.Single {
			flagged = append(flagged, fmt.Sprintf("%q", a.Content))
		}
		if err := put(a.ID, a.Content, kind); err != nil {
			return nil, "", err
		}
	}
	if len(flagged) > 0 {
		v.lost = append(v.lost, fmt.Sprintf("it knows no lstrip, rstrip and single_word of %s", some(flagged)))
	}
	v.prefix(file.Norm.steps(file.Norm.Normalizers), pre)
	if u := file.Model.Unk; u != nil {
		if id, ok := file.Model.Vocab[*u]; ok {
			v.ids["unknown"] = id
			if v.model == "llama" {
				v.types[id] = tokenUnknown
			}
		}
	}
	for i, raw := range file.Model.Merges {
		var pair []string
		var text string
		if json.Unmarshal(raw, &pair) == nil && len(pair) == 2 {
			text = pair[0] + " " + pair[1]
		} else if err := json.Unmarshal(raw, &text); err != nil {
			return nil, "", fmt.Errorf("%s: merge %d is no pair", path, i+1)
		}
		v.merges = append(v.merges, text)
	}
	if v.model == "llama" { // a piece scores by the first merge that makes it
		for i := len(v.merges) - 1; i >= 0; i-- {
			left, right, _ := strings.Cut(v.merges[i], " ")
			if id, ok := file.Model.Vocab[left+right]; ok {
				v.scores[id] = -float32(i)
			}
		}
		v.merges = nil
	}
	var begins, ends bool
	for _, p := range file.Post.steps(file.Post.Processors) {
		if n := len(p.Single); n > 0 {
			begins, ends = p.Single[0]["SpecialToken"] != nil, n > 1 && p.Single[n-1]["SpecialToken"] != nil
		}
	}
	v.addBOS, v.addEOS = &begins, &ends
	return v, "", nil
}

// prefix finds out whether a tokenizer.json puts a space before a text, and how else it
// changes it.
func (v *vocabulary) prefix(norm, pre []jsonStep) {
	v.noPrefix = v.model == "llama"
	for _, s := range norm {
		switch s.Type {
		case "Prepend":
			v.noPrefix = false
		case "Replace": // blanks by their sign
		default:
			v.lost = append(v.lost, "it does not normalise it ("+s.Type+")")
		}
	}
	for _, s := range pre {
		if s.Type != "Metaspace" {
			continue
		}
		if v.noPrefix = s.Scheme == "never"; !v.noPrefix {
			v.lost = append(v.lost, "it puts a space before one that begins with a space, too")
		}
	}
}

// pad adds a row of the embedding that no token uses.
func (v *vocabulary) pad() {
	v.tokens = append(v.tokens, fmt.Sprintf("[PAD%d]", len(v.tokens)))
	v.scores, v.types = append(v.scores, -1000), append(v.types, tokenUnused)
}

// add takes in added_tokens.json, tokenizer_config.json, special_tokens_map.json and
// config.json, and fills the vocabulary up to the size of the embedding.
func (v *vocabulary) add(dir string, size int) error {
	read := func(name string, to any) error {
		path := filepath.Join(dir, name)
		text, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			err = json.Unmarshal(text, to)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		return nil
	}
	added, config, names, model := map[string]int{}, map[string]json.RawMessage{}, map[string]json.RawMessage{}, map[string]any{}
	if err := errors.Join(read("added_tokens.json", &added), read("tokenizer_config.json", &config), read("special_tokens_map.json", &names), read("config.json", &model)); err != nil {
		return err
	}
	put := func(file string, id int, text string, kind int32) error {
		if id < 0 || id >= size {
			return fmt.Errorf("%s gives %q the id %d, the embedding has %d rows", filepath.Join(dir, file), text, id, size)
		}
		for len(v.tokens) <= id {
			v.pad()
		}
		if v.tokens[id] != text || v.types[id] == tokenUnused {
			v.tokens[id], v.types[id], v.scores[id] = text, kind, -1000
		}
		return nil
	}
	for text, id := range added {
		if err := put("added_tokens.json", id, text, tokenUser); err != nil {
			return err
		}
	}
	var decoder map[int]struct {
		Content string
		Special bool
	}
	if raw := config["added_tokens_decoder"]; raw != nil {
		if err := json.Unmarshal(raw, &decoder); err != nil {
			return fmt.Errorf("%s: added_tokens_decoder: %w", filepath.Join(dir, "tokenizer_config.json"), err)
		}
	}
	for id, token := range decoder {
		kind := int32(tokenUser)
		if token.Special {
			kind = tokenControl
		}
		if err := put("tokenizer_config.json", id, token.Content, kind); err != nil {
			return err
		}
		if v.types[id] == tokenUser && token.Special {
			v.types[id] = tokenControl
		}
	}
	for len(v.tokens) < size {
		v.pad()
	}
	for _, s := range specials {
		name := textOf(config[s.name])
		if name == "" {
			name = textOf(names[s.name])
		}
		if id := slices.Index(v.tokens, name); name != "" && id >= 0 {
			v.ids[s.gguf] = id
			if v.types[id] == tokenUser {
				v.types[id] = tokenControl
			}
		} else if id := firstInt(model[s.id]); id >= 0 && id < size {
			v.ids[s.gguf] = id
		}
	}
	for key, to := range map[string]**bool{"add_bos_token": &v.addBOS, "add_eos_token": &v.addEOS} {
		var yes *bool
		if raw := config[key]; raw != nil && json.Unmarshal(raw, &yes) == nil && yes != nil {
			*to = yes
		}
	}
	return nil
}

// textOf is a token: a string, or an object with its content.
func textOf(raw json.RawMessage) string {
	var text string
	if raw == nil || json.Unmarshal(raw, &text) == nil {
		return text
	}
	var token struct{ Content string }
	if json.Unmarshal(raw, &token) != nil {
		return ""
	}
	return token.Content
}

func (v *vocabulary) keys() []gguf.KV {
	list := []gguf.KV{
		{Key: "tokenizer.ggml.model", Value: v.model}, {Key: "tokenizer.ggml.pre", Value: v.pre},
		{Key: "tokenizer.ggml.tokens", Value: v.tokens},
	}
	if v.model == "llama" {
		list = append(list, gguf.KV{Key: "tokenizer.ggml.scores", Value: v.scores})
	}
	list = append(list, gguf.KV{Key: "tokenizer.ggml.token_type", Value: v.types})
	if v.merges != nil {
		list = append(list, gguf.KV{Key: "tokenizer.ggml.merges", Value: v.merges})
	}
	for _, s := range specials {
		if id, ok := v.ids[s.gguf]; ok && id >= 0 {
			list = append(list, gguf.KV{Key: "tokenizer.ggml." + s.gguf + "_token_id", Value: uint32(id)})
		}
	}
	if v.noPrefix {
		list = append(list, gguf.KV{Key: "tokenizer.ggml.add_space_prefix", Value: false})
	}
	if v.addBOS != nil {
		list = append(list, gguf.KV{Key: "tokenizer.ggml.add_bos_token", Value: *v.addBOS})
	}
	if v.addEOS != nil {
		list = append(list, gguf.KV{Key: "tokenizer.ggml.add_eos_token", Value: *v.addEOS})
	}
	return list
}
