package tokenizer

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// sharedData is the directory of real files next to the repository, if present.
const sharedData = "../../../../shared/data"

func loadReal(t testing.TB, name string) *Tokenizer {
	t.Helper()
	path := filepath.Join(sharedData, name)
	if _, err := os.Stat(path); err != nil {
		t.Skip("the real tokenizers are not here:", err)
	}
	tok, err := Load(path)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

const (
	stories    = "models/stories260K/tok512.model"
	llama2     = "tokenizer/llama2/tokenizer.model"
	llama2JSON = "tokenizer/llama2/tokenizer.json"
)

func TestGoldens(t *testing.T) {
	for _, c := range []struct{ model, goldens string }{
		{stories, "tokenizer/stories260K_tok512_goldens.jsonl"},
		{llama2, "tokenizer/llama2_goldens/ggml_llama_spm_even.jsonl"},
		{llama2, "tokenizer/llama2_goldens/sentencepiece_0.1.97_on_shared_text.jsonl"},
		{llama2JSON, "tokenizer/llama2_goldens/ggml_llama_spm_even.jsonl"},
		{llama2JSON, "tokenizer/llama2_goldens/sentencepiece_0.1.97_on_shared_text.jsonl"},
	} {
		tok := loadReal(t, c.model)
		if c.model == llama2 {
			tok = tok.SpecialAsText() // SentencePiece alone reads no control pieces
		}
		file, err := os.Open(filepath.Join(sharedData, c.goldens))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		lines := bufio.NewScanner(file)
		lines.Buffer(nil, 1<<24)
		n := 0
		for ; lines.Scan(); n++ {
			var g struct {
				Text string
				IDs  []int32
			}
			if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
				t.Fatal(err)
			}
			if strings.Contains(g.Text, "<unk>") && c.model == llama2JSON {
				continue // read as the control piece there, as the tokenizers library does
			}
			if got := tok.Encode(g.Text); !slices.Equal(got, g.IDs) {
				t.Errorf("%s, %s line %d: %q\n got %v\nwant %v", c.model, c.goldens, n+1, g.Text, got, g.IDs)
			}
			if got := tok.Decode(g.IDs); got != g.Text && !tok.norm.squeeze {
				t.Errorf("%s: %q comes back as %q", c.model, g.Text, got)
			}
		}
		if n < 20 {
			t.Errorf("%s has %d lines", c.goldens, n)
		}
	}
}

// The published texts of stories260K come out byte for byte when their ids are
// printed piece by piece, as llama2.c does: the space before the first piece
// after BOS is left out.
func TestPrintedTexts(t *testing.T) {
	tok := loadReal(t, stories)
	for _, name := range []string{"expected_greedy_200_steps.txt", "expected_greedy_256_steps.txt"} {
		want, err := os.ReadFile(filepath.Join(sharedData, "models/stories260K", name))
		if err != nil {
			t.Fatal(err)
		}
		text := string(want)
		var printed strings.Builder
		ids := append([]int32{tok.BOS()}, tok.Encode(strings.TrimRight(text, "\n"))...)
		for _, id := range ids {
			printed.WriteString(tok.Piece(id))
		}
		if got := strings.TrimPrefix(printed.String(), " ") + text[len(strings.TrimRight(text, "\n")):]; got != text {
			t.Errorf("%s: printed %q", name, got)
		}
	}
}

func TestUnigramIsRefused(t *testing.T) {
	for _, name := range []string{"sentencepiece_test_model.model", "torchtune_m.model"} {
		path := filepath.Join(sharedData, "tokenizer/other", name)
		if _, err := os.Stat(path); err != nil {
			t.Skip("the real tokenizers are not here:", err)
		}
		if _, err := Load(path); err == nil || !strings.Contains(err.Error(), "unigram") || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Time is proportional to the text, also where it is one long word.
func TestSpeed(t *testing.T) {
	tok := loadReal(t, llama2)
	text, err := os.ReadFile(filepath.Join(sharedData, "datasets/text/wiki_demo.txt"))
	if err != nil {
		t.Skip(err)
	}
	for name, s := range map[string]string{
		"1 MB of text": string(text), "1 MB of one letter": strings.Repeat("a", 1<<20), "1 MB of blanks": strings.Repeat(" ", 1<<20),
	} {
		start := time.Now()
		n := len(tok.Encode(s))
		spent := time.Since(start)
		t.Logf("%s: %d ids in %v", name, n, spent.Round(time.Millisecond))
		if spent > 20*time.Second { // many times what it takes: only growth worse than linear reaches it
			t.Errorf("%s took %v", name, spent)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	tok := loadReal(b, llama2)
	text, err := os.ReadFile(filepath.Join(sharedData, "datasets/text/wiki_demo.txt"))
	if err != nil {
		b.Skip(err)
	}
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		tok.Encode(string(text))
	}
}
