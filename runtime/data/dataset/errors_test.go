package dataset

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestBrokenFiles(t *testing.T) {
	long := strings.Repeat("{\"text\":\"x\"}\n", 5000) // more than the reader buffers
	for _, c := range []struct{ name, content, words string }{
		{"d.json", "", "d.json is empty"},
		{"d.json", " \n", "d.json is empty"},
		{"d.json", "hello", `d.json:1: it begins with "h"`},
		{"d.jsonl", "\n\n3", "d.jsonl:3: it begins"},
		{"d.json", "[", "d.json:1: row 1 is not valid JSON: the file is truncated"},
		{"d.json", "[\n{\"text\":\"a\"},\n{\"text\":\n", "d.json:4: row 2 is not valid JSON: the file is truncated"},
		{"d.json", "[\n{\"text\":\"a\"},\n{\"text\":\n 'b'}]", "d.json:4: row 2 is not valid JSON: invalid character '\\''"},
		{"d.jsonl", "{\"text\":\"a\"}\n{\"text\":\"b\"}\n{\"text\" \"c\"}\n", "d.jsonl:3: row 3 is not valid JSON"},
		{"d.jsonl", long + "{\"text\":\"b\"\n}\n{\"text\" \"c\"}\n" + long, "d.jsonl:5003: row 5002 is not valid JSON"},
		{"d.json", "[{\"text\":\"a\"}\n{\"text\":\"b\"}]", "d.json:2: row 2 is not valid JSON"},
		{"d.json", "[{\"text\":\"a\"}]\n{}", "d.json:2: data after the rows"},
		{"d.jsonl", "{\"text\":\"a\"}\n[1]", "d.jsonl:2: row 2: not a JSON object"},
		{"d.jsonl", "{\"text\":\"a\"}\n\n{\"text\":7}", "d.jsonl:3: row 2: `text` is a number, want text"},
		{"d.jsonl", "{\"text\":[]}", "`text` is a list, want text"},
		{"d.jsonl", `{"input_ids":[1,2.5]}`, "`input_ids` is 2.5, want a whole number"},
		{"d.jsonl", `{"input_ids":"1 2"}`, "`input_ids` is text, want a list"},
		{"d.jsonl", `{"messages":[{"role":"user","content":[{"type":"text"}]}]}`, "`messages[].content[0]` is of the type \"text\" and has no `text`"},
		{"d.jsonl", "{\"text\":\"\xff\"}", "d.jsonl:1: not valid UTF-8: the byte 0xff ('ÿ' in Latin-1)"},
		{"d.jsonl", long + strings.Repeat(" ", headSize) + "{\"text\":\"\xe9\"}", "d.jsonl:5001: row 5001: not valid UTF-8"},
		{"d.jsonl", `{"input_ids":[1,131]}`, "`input_ids[1]` is 131; ids go from 0 to 130"},
		{"d.jsonl", `{"input_ids":[-1,1]}`, "`input_ids[0]` is -1"},
		{"d.jsonl", `{"input_ids":[1,2],"labels":[1]}`, "`labels` has 1 numbers, `input_ids` has 2"},
		{"d.jsonl", `{"input_ids":[1,2],"labels":[1,131]}`, "`labels[1]` is 131"},
		{"d.jsonl", `{"input_ids":[1,2],"labels":[1,-1]}`, "`labels[1]` is -1"},
		{"d.jsonl", `{"input_ids":[1,2],"attention_mask":[1]}`, "`attention_mask` has 1"},
		{"d.jsonl", `{"input_ids":[0,1,2],"attention_mask":[0,1,1]}`, "on the right"},
		{"d.jsonl", `{"label":1,"sentence":"x"}`, "its keys are label, sentence; wanted: input_ids, or conversations"},
		{"d.jsonl", `{}`, "its keys are none"},
		{"d.jsonl", `{"text":null}`, "row 1: `text` is null"},
		{"d.jsonl", `{"text":"a","text":"b"}`, "row 1: the key `text` is there twice"},
		{"d.txt", "", "has no row to train on"},
		{"d.txt", "a\nb\xc3", "d.txt:2: not valid UTF-8"},
		{"d.csv", "a", "d.csv:1: its keys are a; wanted"},
		{"d.csv", "", "d.csv is empty"},
		{"d.csv", "text,text\na,b", "d.csv:1: two columns are named text"},
		{"d.csv", "text,x\na,b\n\"c\nd\",e\nf", "d.csv:5: row 3 has another number of cells"},
		{"d.csv", "text\n\"a", "row 1 is not valid CSV"},
		{"d.doc", "a", "unknown data set format; supported are .json, .jsonl, .ndjson, .csv"},
		{"d.txt", "a\x00b", "d.txt is no text: its byte 2 is 0"},
		{"d.jsonl", "\xff\xfe{\x00", "d.jsonl is text in UTF-16"},
		{"d.jsonl", "{\x00\"\x00t\x00e\x00x\x00t\x00\"\x00", "d.jsonl is text in UTF-16LE"},
		{"d.txt", "\x00a\x00b\x00c\x00d", "d.txt is text in UTF-16BE"},
		{"d.txt", "\xff\xfe\x00\x00a\x00\x00\x00", "d.txt is text in UTF-32"},
		{"d.csv", "text\ncaf\xe9\n", "d.csv:2: not valid UTF-8: the byte 0xe9 ('é' in Latin-1)"},
		{"d.jsonl", "{\"text\":\"\xc4\xe3\xba\xc3\xca\xc0\xbd\xe7\"}", "d.jsonl:1: not valid UTF-8: the byte 0xc4; it is valid as GB18030 (Chinese)\n  = help: `iconv -f GB18030 -t UTF-8"},
		{"d.txt", "\xd2\xbb\xd0\xa9\n\xc4\xe3\x81\x30\x81\x30", "d.txt:2: not valid UTF-8: the byte 0xc4; it is valid as GB18030"},
		{"d.txt", "d\xe9j\xe0 vu, No\xebl", "d.txt:1: not valid UTF-8: the byte 0xe9 ('é' in Latin-1)"},
		{"d.txt", "\xabd\xe9j\xe0\xbb \xe9t\xe9", "in Latin-1)"},
		{"d.jsonl", "version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"},
		{"d.json", "<!DOCTYPE html>", "an HTML page"},
		{"d.jsonl", "PK\x03\x04", "a ZIP archive"},
		{"d.parquet", "", "d.parquet is empty; is the download complete?"},
		{"d.parquet", "no rows", `d.parquet is not Parquet, though it is named so: it begins with "no r" in place of PAR1; is the download complete?`},
		{"d.parquet", "\x00\x01\x02\x03\x04", `it begins with "\x00\x01\x02\x03" in place of PAR1`},
		{"d.parquet", "version https://git-lfs.github.com/spec/v1\n", "d.parquet is a Git LFS pointer"},
		{"d.parquet", "<html>", "d.parquet is an HTML page"},
		{"d.jsonl", `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"x"}}]},{"role":"assistant","content":"b"}]}`,
			"row 1: turn 1: `messages[].content[1]` is of the type \"image_url\"; only text is trained on"},
		{"d.jsonl", `{"messages":[{"role":"user","content":[{"text":"a"}]}]}`, "`messages[].content[0]` has no `type`; its keys are text"},
		{"d.jsonl", `{"messages":[{"role":"user","content":[{"type":"text","text":null}]}]}`, "and has no `text`"},
		{"d.jsonl", `{"messages":[{"role":"user","content":[{"type":"text","text":"a","weight":0}]}]}`, "`messages[].content[0]` has the key `weight`, which has no place here"},
		{"d.jsonl", `{"messages":[{"role":"user","content":[7]}]}`, "`messages[].content[0]` is a number, want text"},
		{"d.jsonl", "PAR1", "lorac convert rows --data_path"},
		{"d.jsonl.gz", "\x1f\x8b\x08\x00", "cannot read"},
		{"d.jsonl", strings.Repeat(" ", 2*headSize) + "{}", "nothing but white space in its first 64 KiB"},
		{"d.jsonl", `{"text":"` + strings.Repeat("a", maxRow+headSize+100) + `"}`, "d.jsonl:1: row 1: it is longer than 16 MiB"},
		{"d.csv", "text\n\"" + strings.Repeat("a", maxRow+headSize+100), "row 1: it is longer than 16 MiB"},
		{"d.mindrecord", "a", "as MindRecord: it has fewer than 8 bytes"},
		{"d.jsonl", `{"text":""}`, "d.jsonl row 1: the text is empty"},
	} {
		_, err := Open(file(t, c.name, c.content), options(t))
		if err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%.60q: error %v, want %q in it", c.content, err, c.words)
		}
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	var text strings.Builder
	for i := range 30 {
		fmt.Fprintf(&text, "{\"text\":%d}\n{\"text\":\"fine\"}\n{\"a%c\":\"\"}\n", i, 'a'+i%26)
	}
	_, err := Open(file(t, "d.jsonl", text.String()), options(t))
	for _, words := range []string{"d.jsonl:1: row 1: `text` is a number, want text (the same in 29 more rows)", "d.jsonl:3: row 3: its keys are aa; ", " (the same in 1 more row)\n  = help: ", "and 19 more rows"} {
		if err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("error %v, want %q in it", err, words)
		}
	}
	if n := strings.Count(err.Error(), "d.jsonl:"); n != enough {
		t.Errorf("%d problems in %v", n, err)
	}
}

func TestNothingLeft(t *testing.T) {
	_, err := Open(file(t, "d.jsonl", strings.Repeat("{\"text\":\"\"}\n", 9)), options(t))
	if err == nil || !strings.HasSuffix(err.Error(), "row 1: the text is empty (the same in 8 more rows)") {
		t.Errorf("error %v", err)
	}
}

func TestOptions(t *testing.T) {
	path := file(t, "d.jsonl", `{"text":"abc"}`)
	for _, c := range []struct {
		change func(*Options)
		words  string
	}{
		{func(o *Options) { o.Format = "csv" }, "known are auto, alpaca"},
		{func(o *Options) { o.Format = "alpaca" }, "wanted for the format alpaca: instruction+output"},
		{func(o *Options) { o.Prompt = "llama1" }, "known are vicuna, alpaca, plain, llama2"},
		{func(o *Options) { o.SeqLength = 0 }, "seq_length is 0"},
		{func(o *Options) { o.Tokenizer = nil }, "vocabulary"},
		{func(o *Options) { o.Tokenizer, o.Vocab = nil, 131 }, "needs a tokenizer"},
		{func(o *Options) { o.Vocab = 100 }, "the model's vocab_size is 100"},
	} {
		o := options(t)
		c.change(&o)
		if _, err := Open(path, o); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("error %v, want %q in it", err, c.words)
		}
	}
	o := options(t)
	o.Tokenizer, o.Vocab = nil, 131
	if _, err := Open(file(t, "d.txt", "abc"), o); err == nil || !strings.Contains(err.Error(), "needs a tokenizer") {
		t.Errorf("text without a tokenizer: %v", err)
	}
	wantRows(t, "ids need no tokenizer", open(t, "d.jsonl", `{"input_ids":[1,70]}`, o), "<s>[C]")
	o = options(t)
	o.BOS, o.EOS = -1, -1
	wantRows(t, "no control pieces", open(t, "d.jsonl", `{"text":"abc"}`, o), " [abc]")
}

func TestFind(t *testing.T) {
	dir := t.TempDir()
	put := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	if _, err := Open(dir, options(t)); err == nil || !strings.Contains(err.Error(), "holds no data file") {
		t.Errorf("an empty directory: %v", err)
	}
	bad := put("old/train.mindrecord0", "")
	if _, err := Open(dir, options(t)); err == nil || !strings.Contains(err.Error(), "as MindRecord") {
		t.Errorf("a directory of MindRecord: %v", err)
	}
	os.Remove(bad)
	b := put("b.txt", "b")
	put("a/z.jsonl", `{"text":"a"}`)
	put("c.json", `[{"text":"c"}]`)
	put("README.md", "no data")
	put(".hidden/x.txt", "x")
	put(".x.json", "x")
	s, err := Open(dir, options(t))
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, "directory", s, "<s>[ a</s>]", "<s>[ b</s>]", "<s>[ c</s>]")
	if len(s.Stats.Files) != 3 || s.Stats.Format != "mixed" {
		t.Errorf("stats %+v", s.Stats)
	}
	comma := put("d,e.txt", "d")
	s, err = Open(b+", "+put("f.txt", "f"), options(t))
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, "list", s, "<s>[ b</s>]", "<s>[ f</s>]")
	if s, err = Open(comma, options(t)); err != nil {
		t.Fatal(err)
	}
	wantRows(t, "a comma in the name", s, "<s>[ d</s>]")
	if _, err := Open(b+","+filepath.Join(dir, "missing.txt"), options(t)); err == nil || !strings.Contains(err.Error(), "missing.txt") {
		t.Errorf("a missing file: %v", err)
	}
}

func FuzzDataset(f *testing.F) {
	for _, text := range []string{
		`{"text":"a"}`, `[{"prompt":"a","completion":"b"}]`, `{"input_ids":[1,2,3],"labels":[1,-100,3]}`, `[{"instruction":"a","output":"b"},`,
		`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`, "\xef\xbb\xbf[]", `{"input_ids":[1,0,0],"attention_mask":[1,1,0]}`,
	} {
		f.Add([]byte(text), true)
	}
	f.Add([]byte("a<|endoftext|>b"), false)
	o := options(f)
	o.SeqLength = 20
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte, isJSON bool) {
		path := filepath.Join(dir, map[bool]string{true: "d.json", false: "d.txt"}[isJSON])
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path, o)
		if err != nil {
			return
		}
		tokens, supervised := 0, 0
		for i := range s.Len() {
			r := s.Row(i)
			n := len(r.Tokens)
			if n < 2 || n > o.SeqLength+1 || len(r.Labels) != n || r.Labels[0] != Ignore || r.Labels[n-1] == Ignore {
				t.Fatalf("row %d: %v %v", i, r.Tokens, r.Labels)
			}
			tokens += n
			for j, id := range r.Tokens {
				if id < 0 || int(id) >= o.Tokenizer.Size() {
					t.Fatalf("id %d", id)
				}
				if r.Labels[j] != Ignore {
					supervised++
				}
			}
		}
		if s.Stats.Rows != s.Len() || s.Stats.Tokens != tokens || s.Stats.Supervised != supervised {
			t.Fatalf("stats %+v; %d rows, %d tokens, %d supervised", s.Stats, s.Len(), tokens, supervised)
		}
	})
}
