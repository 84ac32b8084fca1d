package dataset

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/runtime/data/mindrecord"
)

// TestQA: rows as the script packs them, by hand.
func TestQA(t *testing.T) {
	tok := letters(t)
	text := vicunaText("", []turn{{From: "human", Value: "hi"}, {From: "gpt", Value: "yo"}})
	prompt, whole := tok.Encode(strings.TrimSuffix(text, " yo"+vicunaStop)), tok.Encode(strings.TrimSuffix(text, vicunaStop))
	conv := Conversation{"1", []Spoken{{"human", "hi"}, {"gpt", "yo"}}}
	n := 1 + len(whole) + 1
	for _, seq := range []int{n + 5, n - 1, n - 3} { // padded, full, cut
		p, err := QA(conv, tok, seq, testPad)
		if err != nil {
			t.Fatal(err)
		}
		ids := append(append([]int32{testBOS}, whole...), testEOS)
		labels := slices.Clone(ids)
		for i := range 1 + len(prompt) {
			labels[i] = Ignore
		}
		for len(ids) <= seq {
			ids, labels = append(ids, testPad), append(labels, Ignore)
		}
		if !slices.Equal(p.IDs, ids[:seq+1]) || !slices.Equal(p.Labels, labels[:seq+1]) || p.Masked != "" || p.Truncated != (seq < n-1) {
			t.Errorf("seq_length %d: %+v, want %v and %v", seq, p, ids[:seq+1], labels[:seq+1])
		}
	}
	for _, c := range []struct {
		turns []Spoken
		seq   int
		want  string
	}{
		{[]Spoken{{"human", "hi"}}, 400, "its last turn is the user's"},
		{[]Spoken{{"human", "a"}, {"gpt", "b ASSISTANT: c"}}, 400, "ASSISTANT:"},
		{[]Spoken{{"human", "é"}, {"gpt", "b"}}, 400, "which is pad_token_id"}, // é is unknown, id 0
		{[]Spoken{{"human", "hi"}, {"gpt", "yo"}}, 20, "its prompt alone"},
	} {
		p, err := QA(Conversation{"1", c.turns}, tok, c.seq, testPad)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(p.Masked, c.want) || slices.ContainsFunc(p.Labels, func(l int32) bool { return l != Ignore }) || len(p.IDs) != c.seq+1 || len(p.Labels) != c.seq+1 {
			t.Errorf("%v: %q, want %q", c.turns, p.Masked, c.want)
		}
	}
	for _, turns := range [][]Spoken{{{"human", "a"}, {"human", "b"}}, {}, {{"gpt", "a"}}} {
		if p, err := QA(Conversation{"7", turns}, tok, 40, 0); err == nil || !strings.Contains(err.Error(), "conversation 7") {
			t.Errorf("%v gives %v, %v", turns, p, err)
		}
	}
}

// TestPaddedEqualsOnline: alpaca rows that went through the scripts and
// MindRecord are the rows that are read from the JSON itself.
func TestPaddedEqualsOnline(t *testing.T) {
	o := options(t)
	o.SeqLength = 700
	text := `[{"instruction":"Say hi.","input":"","output":"hi"},{"instruction":"Add.","input":"1 2","output":"3"},
		{"instruction":"Long.","input":"","output":"` + strings.Repeat("word ", 150) + `"}]`
	want := open(t, "a.json", text, o)
	convs, err := Alpaca(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := json.Marshal(convs)
	if convs, err = Conversations(strings.NewReader(string(raw))); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "a.mindrecord")
	column := mindrecord.Field{Shape: []int{-1}, Type: "int32"}
	w, err := mindrecord.Create(path, map[string]mindrecord.Field{"input_ids": column, "labels": column}, mindrecord.Options{HeaderSize: 1 << 14, PageSize: 1 << 15})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range convs {
		p, err := QA(c, o.Tokenizer, o.SeqLength, testPad)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Write(mindrecord.Row{"input_ids": p.IDs, "labels": p.Labels}); err != nil {
			t.Fatal(err)
		}
	}
	// A row that is masked as a whole keeps its place.
	empty := make([]int32, o.SeqLength+1)
	for i := range empty {
		empty[i] = Ignore
	}
	if err := w.Write(mindrecord.Row{"input_ids": make([]int32, o.SeqLength+1), "labels": empty}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(0); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{path, filepath.Dir(path)} {
		got, err := Open(from, o)
		if err != nil {
			t.Fatal(err)
		}
		if got.Len() != want.Len()+1 || got.Stats.Empty != 1 || got.Stats.Truncated != 0 || len(got.Row(3).Tokens) != 1 {
			t.Fatalf("%d rows, %+v", got.Len(), got.Stats)
		}
		for i := range want.Len() {
			if a, b := want.Row(i), got.Row(i); !slices.Equal(a.Tokens, b.Tokens) || !slices.Equal(a.Labels, b.Labels) {
				t.Errorf("row %d is\n%s\nfrom JSON\n%s", i, spell(b), spell(a))
			}
		}
	}
	if os.Rename(path, path+"9") == nil {
		if _, err := Open(path+"9", o); err == nil || !strings.Contains(err.Error(), "was renamed") {
			t.Errorf("a renamed file: %v", err)
		}
	}
}

// TestMindRecordMasks: without labels the ids are the targets; a position
// whose input is padding does not count, wherever it stands; by target, one whose
// target is.
func TestMindRecordMasks(t *testing.T) {
	column, rows := mindrecord.Field{Shape: []int{-1}, Type: "int32"}, [][]int32{{1, 70, 71, 2, 0, 0, 0}, {1, 70, 0, 71, 72}}
	for name, fields := range map[string]map[string]mindrecord.Field{"alone": {"input_ids": column}, "labelled": {"input_ids": column, "labels": column}} {
		path := filepath.Join(t.TempDir(), "a.mindrecord")
		w, err := mindrecord.Create(path, fields, mindrecord.Options{HeaderSize: 1 << 14, PageSize: 1 << 15})
		if err != nil {
			t.Fatal(err)
		}
		for _, ids := range rows {
			row := mindrecord.Row{"input_ids": ids}
			if len(fields) == 2 {
				row["labels"] = append(slices.Repeat([]int32{Ignore}, len(ids)-1), 71)
			}
			if err := w.Write(row); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(0); err != nil {
			t.Fatal(err)
		}
		for _, noLabels := range []bool{true, len(fields) == 1} { // labels that are not read are as good as none
			o := options(t)
			o.NoLabels = noLabels
			s, err := Open(path, o)
			if err != nil {
				t.Fatal(err)
			}
			if !noLabels {
				wantRows(t, name, s, "<s>", "<s>C{0}D[{72→71}]")
				continue
			}
			wantRows(t, name, s, "<s>[CD</s>{0}]", "<s>[C{0}]D[E]")
			o.ByTarget = true
			if s, err = Open(path, o); err != nil {
				t.Fatal(err)
			}
			wantRows(t, name+", by target", s, "<s>[CD</s>]", "<s>[C]{0}[DE]")
		}
	}
}

// Rows of ids that CommonDataLoader reads are masked as those of a MindRecord, and all count.
func TestPaddedRows(t *testing.T) {
	path := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(path, []byte(`{"input_ids": [1, 70, 71, 2, 0, 0], "labels": [-100, 70, 71, 2, 0, 0]}
{"input_ids": [1, 70, 0, 71, 72], "labels": [-100, -100, -100, -100, -100]}
`), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		padded, noLabels bool
		want             []string
	}{{false, false, []string{"<s>[CD</s>{0}{0}]"}}, {true, false, []string{"<s>[CD</s>{0}]", "<s>"}}, {true, true, []string{"<s>[CD</s>{0}]", "<s>[C{0}]D[E]"}}} {
		o := options(t)
		o.Padded, o.NoLabels = c.padded, c.noLabels
		s, err := Open(path, o)
		if err != nil {
			t.Fatal(err)
		}
		wantRows(t, fmt.Sprint(c), s, c.want...)
	}
}

func TestWiki(t *testing.T) {
	if got, want := cleanWikiText("a @-@ b , c ( d ) \" e \" 1 @,@ 000 s ' x 's"), `a-b, c (d) "e" 1,000 s'x's`; got != want {
		t.Errorf("cleaned: %q, want %q", got, want)
	}
	tok := letters(t)
	rows, left := Wiki(" \n\n = Title = \n\nabc\n\n== no ==\n\nde", tok, 4, 2, nil)
	// <s>▁abc</s><s>▁de</s>, twice: 22 ids, four rows of five.
	var ids []int32
	for _, r := range rows {
		if len(r) != 5 {
			t.Errorf("a row of %d ids", len(r))
		}
		ids = append(ids, r...)
	}
	once := slices.Concat([]int32{testBOS}, tok.Encode("abc"), []int32{testEOS, testBOS}, tok.Encode("de"), []int32{testEOS})
	if all := slices.Concat(once, once); left != len(all)-20 || !slices.Equal(ids, all[:20]) {
		t.Errorf("%v and %d left, want %v", ids, left, all)
	}
}
