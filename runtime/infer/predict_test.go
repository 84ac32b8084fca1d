package infer

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/kernels"
	"lorac/runtime/data/tokenizer"
	"lorac/runtime/exit"
	"lorac/runtime/job"
	"lorac/runtime/microbatch"
)

// letters is a tokenizer of the pieces below; its texts begin with a blank.
func letters(t *testing.T) *tokenizer.Tokenizer {
	t.Helper()
	tok, err := tokenizer.ParseJSON([]byte(`{"added_tokens":[{"id":0,"content":"<unk>","special":true},{"id":1,"content":"<s>","special":true},{"id":2,"content":"</s>","special":true}],
"normalizer":{"type":"Sequence","normalizers":[{"type":"Prepend","prepend":"▁"},{"type":"Replace","pattern":{"String":" "},"content":"▁"}]},
"decoder":{"type":"Sequence","decoders":[{"type":"Replace","pattern":{"String":"▁"},"content":" "},{"type":"Fuse"},{"type":"Strip","content":" ","start":1,"stop":0}]},
"model":{"type":"BPE","unk_token":"<unk>","fuse_unk":true,"vocab":{"<unk>":0,"<s>":1,"</s>":2,"▁":3,"a":4,"b":5,"é":6},"merges":[]}}`), nil)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

// following gives the likeliest id after each id; after others, the end.
func following(next map[int32]int32) Logits {
	return func(b *microbatch.MicroBatch) kernels.Mat {
		x := make([]float32, 7)
		id, ok := next[b.Tokens[len(b.Tokens)-1]]
		if !ok {
			id = 2
		}
		x[id] = 1
		return kernels.MatOf(x, 1, len(x))
	}
}

func writer(t *testing.T) *Generator {
	g := &Generator{Tok: letters(t), Job: &job.Job{Output: t.TempDir(), SeqLength: 16, MaxRows: 16, Vocab: 7, BosID: 1, EosIDs: []int{2},
		Predict: job.Predict{MaxLength: 9, RepetitionPenalty: 1}}}
	g.Use(following(map[int32]int32{4: 5, 5: 6}), nil) // a, b, é, end
	return g
}

// Texts are streamed and written in both of MindFormers' ways.
func TestPredict(t *testing.T) {
	g := writer(t)
	list := filepath.Join(t.TempDir(), "list.txt")
	var out strings.Builder
	if err := g.Predict(&out, []string{"a", "b'"}, &list); err != nil {
		t.Fatal(err)
	}
	read := func(path string) string {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	// The quote is no piece: <unk>, which shows nothing, ends the second text.
	if out.String() != "abé\nb\n" {
		t.Errorf("streamed %q", out.String())
	}
	texts := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if got := read(filepath.Join(g.Job.Output, "text_generation_result.txt")); got != strings.Join(texts, "\n") {
		t.Errorf("texts %q", got)
	}
	if got, want := read(list), "[{'text_generation_text': ['abé']}, {'text_generation_text': ['"+texts[1]+"']}]"; got != want {
		t.Errorf("list %q, want %q", got, want)
	}
	none := ""
	if err := g.Predict(&out, []string{"a"}, &none); err != nil {
		t.Error(err)
	}
	if err := g.Predict(&out, []string{"aaaaaaaaa"}, &none); exit.Code(err) != exit.Input || !strings.Contains(err.Error(), "the prompt has 11 ids with the one that begins a text, the longest text 9") {
		t.Errorf("a prompt that is too long: %v", err)
	}
	g.NoCache, g.Job.MaxRows = true, 2
	if err := g.Predict(&out, []string{"a"}, &none); exit.Code(err) != exit.Input || !strings.Contains(err.Error(), "compiled for micro-batches of at most 2") {
		t.Errorf("a text that does not fit the arena: %v", err)
	}
	g.NoCache, g.Job.MaxRows = false, 16
	g.Job.Output = filepath.Join(list, "below a file")
	if err := g.Predict(&out, []string{"a"}, &none); exit.Code(err) != exit.Failed {
		t.Errorf("an output that cannot be written: %v", err)
	}
	g.Tok = nil
	if err := g.Predict(&out, nil, nil); exit.Code(err) != exit.Input || !strings.Contains(err.Error(), "needs a tokenizer") {
		t.Errorf("without a tokenizer: %v", err)
	}
}

// A single prompt that names a file stands for its lines.
func TestPrompts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "prompts.txt")
	if err := os.WriteFile(file, []byte("one\ntwo\\nlines\r\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		given []string
		want  string
	}{
		{nil, `[""]`},
		{[]string{file}, `["one" "two\nlines"]`},
		{[]string{file, `a\nb`}, fmt.Sprintf("[%q \"a\\nb\"]", file)},
	} {
		got, err := ReadPrompts(c.given)
		if s := fmt.Sprintf("%q", got); err != nil || s != c.want {
			t.Errorf("%q: %s (%v), want %s", c.given, s, err, c.want)
		}
	}
}
