package dataset

import (
	"strings"
	"testing"
)

// Texts that spell the control tokens get no second one at their beginning and end; those
// inside are counted.
func TestSpelledControls(t *testing.T) {
	s := open(t, "d.jsonl", `{"text":"<bos>a<eos>"}
{"text":"a<bos>b"}
{"text":"a<eos>b"}
{"prompt":"<bos>a","completion":"b<eos>"}
`, options(t))
	wantRows(t, "rows", s, "<s>[ a</s>]", "<s>[ a<s> b</s>]", "<s>[ a</s> b</s>]", "<s> a[b</s>]")
	if s.Stats.Spelled != (Spelled{BOS: 1, EOS: 1}) {
		t.Errorf("counted %+v", s.Stats.Spelled)
	}
	o := options(t)
	o.Tokenizer = o.Tokenizer.SpecialAsText()
	s = open(t, "d.jsonl", `{"text":"<bos>a"}`, o)
	if s.Stats.Spelled != (Spelled{}) || strings.Count(spell(s.Row(0)), "<s>") != 1 || len(s.Row(0).Tokens) < 5 {
		t.Errorf("as text: %s, counted %+v", spell(s.Row(0)), s.Stats.Spelled)
	}
}

func TestSpelledControlsInPlainText(t *testing.T) {
	s := open(t, "d.txt", "<bos>a<eos>", options(t))
	wantRows(t, "both ends", s, "<s>[ a</s>]")
	s = open(t, "d.txt", "a<bos>b<eos>c", options(t))
	wantRows(t, "inside", s, "<s>[ a<s> b</s> c</s>]")
	if s.Stats.Spelled != (Spelled{BOS: 1, EOS: 1}) {
		t.Errorf("counted %+v", s.Stats.Spelled)
	}
}

// Where pad_token_id is eos_token_id, conversations still train.
func TestPadIsEOS(t *testing.T) {
	o := options(t)
	o.PadID = o.EOS
	const row = `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":"d"}]}`
	s := open(t, "d.jsonl", row, o)
	if s.Len() != 1 || strings.Count(spell(s.Row(0)), "</s>]") != 2 {
		t.Errorf("%d rows, %v", s.Len(), s.Stats.Skipped)
	}
}

// An answer that spells its end gets no other, and what follows it is not lost.
func TestSpelledInConversation(t *testing.T) {
	const row = `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b%s"},{"role":"user","content":"c"},{"role":"assistant","content":"d"}]}` + "\n"
	s := open(t, "d.jsonl", strings.ReplaceAll(row, "%s", "")+strings.ReplaceAll(row, "%s", "</s>"), options(t))
	if s.Len() != 2 || spell(s.Row(0)) != spell(s.Row(1)) {
		t.Errorf("%d rows, %v", s.Len(), s.Stats.Skipped)
	}
	s = open(t, "d.jsonl", strings.ReplaceAll(row, "%s", "")+strings.ReplaceAll(row, "%s", "</s>e"), options(t))
	wantSkips(t, "inside", s, Skip{Row: 2, Reason: "</s>"})
	s = open(t, "d.jsonl", `{"input_ids":[1,1,5,6]}`, options(t))
	if s.Stats.Spelled.BOS != 1 {
		t.Errorf("ids that begin twice: %+v", s.Stats.Spelled)
	}
}

func TestPreview(t *testing.T) {
	s := open(t, "d.jsonl", `{"text":"a<eos>\u001b[2Jb"}`, options(t))
	if want := `⟨1 <bos>⟩⟦a⟨2 <eos>⟩ \x1b[2Jb⟨2 <eos>⟩⟧`; s.Stats.Example != want {
		t.Errorf("%q, want %q", s.Stats.Example, want)
	}
	if !strings.HasPrefix(s.Stats.ExampleIDs, "1 ") {
		t.Errorf("ids %q", s.Stats.ExampleIDs)
	}
	o := options(t)
	s = open(t, "d.jsonl", `{"text":"`+strings.Repeat("a", 100)+`"}`, o)
	if !strings.HasSuffix(s.Stats.ExampleIDs, "… (103 in all)") || s.Stats.ExampleCut != 0 {
		t.Errorf("ids %q", s.Stats.ExampleIDs)
	}
	o.SeqLength = 50
	s = open(t, "d.jsonl", `{"text":"`+strings.Repeat("a", 100)+`"}`, o)
	if s.Stats.ExampleCut != 103 {
		t.Errorf("the row had %d ids", s.Stats.ExampleCut)
	}
}

func TestQuestion(t *testing.T) {
	for _, c := range []struct {
		format, prompt, want string
	}{
		{"alpaca", "alpaca", stanford("q", "")},
		{"messages", "", vicunaSystem + " USER: q ASSISTANT:"},
		{"alpaca", "", vicunaSystem + " USER: " + stanford("q", "") + " ASSISTANT:"},
		{"completion", "", "q"},
		{"alpaca", "plain", "q\n"},
		{"text", "vicuna", "q"},
	} {
		r := RenderingOf(c.format, c.prompt)
		got := r.Question("q")
		if got != c.want {
			t.Errorf("%s, %s: %q, want %q", c.format, c.prompt, got, c.want)
		}
		if r.Rendered("q") || (r.Prompt == "alpaca" || r.Prompt == "vicuna") != r.Rendered(got) {
			t.Errorf("%s, %s: rendered %v", c.format, c.prompt, r.Rendered(got))
		}
	}
	// A question is encoded as the beginning of a row.
	o := options(t)
	for _, prompt := range untemplated {
		o.Prompt = prompt
		s := open(t, "d.jsonl", `{"instruction":"a b","output":"c"}`, o)
		ids := append([]int32{testBOS}, o.Tokenizer.Encode(RenderingOf("alpaca", prompt).Question("a b"))...)
		row := s.Row(0)
		for i, id := range ids {
			if row.Tokens[i] != id || row.Labels[i] != Ignore {
				t.Errorf("%s: id %d of the question is not that of the row", prompt, i)
				break
			}
		}
		if row.Labels[len(ids)] == Ignore {
			t.Errorf("%s: the row has more before its answer", prompt)
		}
	}
}
