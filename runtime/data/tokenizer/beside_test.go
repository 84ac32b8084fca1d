package tokenizer

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// directory writes a small tokenizer.model and the files given by name and content.
func directory(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	pieces := append(append([]testPiece{}, controls...), byteTable()...)
	pieces = append(pieces, testPiece{"▁", -1, normal}, testPiece{"a", -2, normal}, testPiece{"▁a", -3, normal}, testPiece{"<spare>", 0, unused})
	files = append(files, "tokenizer.model", string(model(pieces, protobuf(35, 1), protobuf(4, 0))))
	for i := 0; i < len(files); i += 2 {
		if err := os.WriteFile(filepath.Join(dir, files[i]), []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

const (
	bBlank = 259 + iota
	bA
	bBlankA
	bSpare
	bFirst // id of the first added token
)

func TestFilesBeside(t *testing.T) {
	const decoder = `"added_tokens_decoder":{"263":{"content":"<|im_end|>","special":true}}`
	for _, c := range []struct {
		name  string
		files []string
		text  string
		ids   []int32
	}{
		{"added_tokens.json", []string{addedFile, `{"<|im_end|>":263}`}, "a<|im_end|>a", []int32{bBlankA, bFirst, bBlankA}},
		{"added_tokens_decoder", []string{configFile, `{` + decoder + `}`}, "a<|im_end|>a", []int32{bBlankA, bFirst, bBlankA}},
		{"both, which agree", []string{addedFile, `{"<|im_end|>":263}`, configFile, `{` + decoder + `}`}, "<|im_end|>", []int32{bFirst}},
		{"not legacy: no space after a control token", []string{configFile, `{"legacy":false,` + decoder + `}`}, "a<|im_end|>a", []int32{bBlankA, bFirst, bA}},
		{"a space is part of the token", []string{configFile, `{"added_tokens_decoder":{"263":{"content":"[X]","lstrip":true,"rstrip":true}}}`},
			"a [X] a", []int32{bBlankA, bFirst, bBlankA}},
		{"tokenizer.json", []string{jsonFile, `{"added_tokens":[{"id":263,"content":"[INST]","special":true}]}`}, "[INST]a", []int32{bFirst, bBlankA}},
		{"a role without an id gets the next", []string{specialFile, `{"pad_token":"[PAD]"}`}, "[PAD]", []int32{bFirst}},
		{"further tokens without ids", []string{configFile, `{"additional_special_tokens":["[X]",{"content":"[Y]"}]}`}, "[Y][X]", []int32{bFirst + 1, bFirst}},
		{"an unused piece is renamed", []string{addedFile, `{"[X]":262}`}, "[X]", []int32{bSpare}},
	} {
		tok, err := Load(directory(t, c.files...))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got := tok.Encode(c.text); !slices.Equal(got, c.ids) {
			t.Errorf("%s: %q is %v, want %v", c.name, c.text, got, c.ids)
		}
	}
}

func TestFilesBesideName(t *testing.T) {
	tok, err := Load(directory(t, configFile, `{"eos_token":"<|im_end|>","bos_token":null}`, addedFile, `{"<|im_end|>":263}`))
	if err != nil {
		t.Fatal(err)
	}
	if tok.EOS() != bFirst || tok.BOS() != -1 || tok.BaseSize() != bFirst || tok.Size() != bFirst+1 {
		t.Errorf("EOS %d, BOS %d, %d of %d pieces are the model's", tok.EOS(), tok.BOS(), tok.BaseSize(), tok.Size())
	}
	if notes := strings.Join(tok.Notes(), "\n"); !strings.Contains(notes, "<|im_end|> 263") {
		t.Errorf("notes: %q", notes)
	}
	text := tok.SpecialAsText()
	if got := text.Encode("<|im_end|></s>"); len(got) != 15 || text.Special(got[1]) {
		t.Errorf("as text: %v", got)
	}
	if got := text.Encode("a<|im_end|>"); slices.Contains(got, bFirst) {
		t.Errorf("an added token that no file calls special stays one: %v", got)
	}
	if !tok.Special(1) || !tok.Special(bFirst) || tok.Special(bA) || tok.Special(5) {
		t.Error("control tokens are not told from others")
	}
}

func TestFilesBesideContradict(t *testing.T) {
	for _, c := range []struct {
		files []string
		words []string
	}{
		{[]string{addedFile, `{"[X]":263}`, configFile, `{"added_tokens_decoder":{"264":{"content":"[X]"}}}`}, []string{addedFile, configFile, "263", "264"}},
		{[]string{addedFile, `{"[X]":263}`, configFile, `{"added_tokens_decoder":{"263":{"content":"[Y]"}}}`}, []string{addedFile, configFile, "[X]", "[Y]"}},
		{[]string{addedFile, `{"[X]":260}`}, []string{addedFile, `"a"`, "tokenizer.model"}},
		{[]string{addedFile, `{"<s>":263}`}, []string{addedFile, "<s>", "263", "tokenizer.model"}},
		{[]string{addedFile, `{"[X]":900000000}`}, []string{addedFile, "out of range"}},
		{[]string{addedFile, `{"":263}`}, []string{addedFile, "empty"}},
		{[]string{addedFile, `["[X]"]`}, []string{addedFile}},
		{[]string{configFile, `{`}, []string{configFile}},
		{[]string{configFile, `{"eos_token":"</s>"}`, specialFile, `{"eos_token":"<s>"}`}, []string{configFile, specialFile, "eos_token"}},
		{[]string{jsonFile, `{"model":{"vocab":{"b":260}}}`}, []string{jsonFile, "tokenizer.model", "two vocabularies"}},
	} {
		_, err := Load(directory(t, c.files...))
		if err == nil {
			t.Errorf("%v is accepted", c.files)
			continue
		}
		for _, w := range c.words {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("%v: error %q, want %q in it", c.files, err, w)
			}
		}
	}
}

// Settings that make other ids are obeyed, refused or noted.
func TestSettings(t *testing.T) {
	for text, want := range map[string]string{
		`{"split_special_tokens":true}`:                 "splits",
		`{"split_special_tokens":false}`:                "",
		`{"do_lower_case":true}`:                        "`do_lower_case` of tokenizer_config.json is not obeyed",
		`{"sp_model_kwargs":{"enable_sampling":true}}`:  "error: `sp_model_kwargs.enable_sampling` is true",
		`{"sp_model_kwargs":{"enable_sampling":false}}`: "",
		`{"tokenizer_class":"GPT2Tokenizer"}`:           "error: the tokenizer_class GPT2Tokenizer, which reads no SentencePiece model as tokenizer.model is",
		`{"tokenizer_class":"Qwen2TokenizerFast"}`:      "error: two tokenizers",
		`{"tokenizer_class":"GemmaTokenizer"}`:          "tokenizer.model is read as LlamaTokenizer reads it",
		`{"tokenizer_class":"LlamaTokenizerFast"}`:      "",
		`{"sp_model_kwargs":{},"tokenizer_class":null}`: "",
	} {
		tok, err := Load(directory(t, configFile, text))
		wanted, refused := strings.CutPrefix(want, "error: ")
		switch {
		case refused:
			if err == nil || !strings.Contains(err.Error(), wanted) {
				t.Errorf("%s: %v", text, err)
			}
			continue
		case err != nil:
			t.Errorf("%s: %v", text, err)
			continue
		}
		got := strings.Join(tok.Notes(), "\n")
		if tok.SplitsSpecial() {
			got = "splits"
		}
		if !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestJSONBesideDiffers(t *testing.T) {
	tok, err := Load(directory(t, configFile, `{"legacy":false}`, jsonFile, `{"normalizer":{"type":"Prepend","prepend":"▁"}}`))
	if err != nil {
		t.Fatal(err)
	}
	if notes := strings.Join(tok.Notes(), "\n"); !strings.Contains(notes, "tokenizer_config.json is followed") {
		t.Errorf("notes: %q", notes)
	}
	if got := tok.PrefixEachSection().Encode("<s>a"); !slices.Equal(got, []int32{1, bBlankA}) {
		t.Errorf("with a space after each control token: %v", got)
	}
}

// Whether a text begins and ends with control tokens is what tokenizer_config.json says.
func TestAddsEnds(t *testing.T) {
	for text, want := range map[string][4]bool{
		`{}`: {},
		`{"add_bos_token":false,"add_eos_token":true}`: {false, true, true, true},
		`{"add_bos_token":true,"add_eos_token":null}`:  {true, true, false, false},
	} {
		tok, err := Load(directory(t, configFile, text))
		if err != nil {
			t.Fatal(err)
		}
		bos, saidBOS := tok.AddsBOS()
		eos, saidEOS := tok.AddsEOS()
		if got := [4]bool{bos, saidBOS, eos, saidEOS}; got != want {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	if _, err := Load(directory(t, configFile, `{"add_bos_token":"no"}`)); err == nil || !strings.Contains(err.Error(), "`add_bos_token` is \"no\"; it must be true or false") {
		t.Error(err)
	}
}

// A surface of the unknown piece in octal digits is the text that they stand for.
func TestOctalSurface(t *testing.T) {
	for surface, want := range map[string]string{
		` \342\201\207 `: " \u2047 ", " \u2047 ": " \u2047 ", `\377`: `\377`, `a\b`: `a\b`, `\x41`: `\x41`, `\101\102`: "AB",
	} {
		tok, err := Parse(model(append(append([]testPiece{}, controls...), byteTable()...), protobuf(35, 1, 44, surface), ""))
		if err != nil {
			t.Fatal(err)
		}
		if got := tok.Piece(tok.UNK()); got != want {
			t.Errorf("%q: %q, want %q", surface, got, want)
		}
	}
}
