package dataset

import (
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// talkOf writes a conversation of two rounds, with keys for its first answer, its row and
// in place of its first turns.
func talkOf(answer, row, first string) string {
	if first == "" {
		first = `{"role":"user","content":"a"}`
	}
	return `{"messages":[` + first + `,{"role":"assistant","content":"b"` + answer + `},{"role":"user","content":"c"},{"role":"assistant","content":"d"}]` + row + `}`
}

// Keys that change what is learned do so.
func TestKeysThatCount(t *testing.T) {
	both := "<s> " + system + " USER: a ASSISTANT:[ b</s>] USER: c ASSISTANT:[ d</s>]"
	second := "<s> " + system + " USER: a ASSISTANT: b</s> USER: c ASSISTANT:[ d</s>]"
	first := "<s> " + system + " USER: a ASSISTANT:[ b</s>]"
	own := "<s> Be. USER: a ASSISTANT:[ b</s>] USER: c ASSISTANT:[ d</s>]"
	for _, c := range []struct{ name, row, want string }{
		{"weight 0", talkOf(`,"weight":0`, "", ""), second},
		{"weight 0.0", talkOf(`,"weight":0.0`, "", ""), second},
		{"weight 1", talkOf(`,"weight":1`, `,"weight":1`, ""), both},
		{"weight null", talkOf(`,"weight":null`, `,"weight":null`, ""), both},
		{"train false", talkOf(`,"train":false`, "", ""), second},
		{"training false", talkOf(`,"training":false`, "", ""), second},
		{"loss false", talkOf(`,"loss":false`, "", ""), second},
		{"loss_mask 0", talkOf(`,"loss_mask":0`, "", ""), second},
		{"supervise false", talkOf(`,"supervise":false`, "", ""), second},
		{"ignore true", talkOf(`,"ignore":true`, "", ""), second},
		{"ignore false", talkOf(`,"ignore":false`, `,"ignore":0`, ""), both},
		{"the same turns twice", talkOf("", `,"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"},{"from":"human","value":"c"},{"from":"gpt","value":"d"}]`, ""), both},
		{"a row that KTO learns", `{"prompt":"a","completion":"b","label":true}`, "<s> a[b</s>]"},
		{"labels and their mask", `{"input_ids":[1,70,71,72],"labels":[-100,-100,71,72],"loss_mask":[1,0,1,1]}`, "<s>C[DE]"},
		{"labels of all and a mask", `{"input_ids":[1,70,71,72],"labels":[1,70,71,72],"loss_mask":[0,0,1,1]}`, "<s>C[DE]"},
		{"a mask over the turns", talkOf("", `,"loss_mask":[0,1,0,0]`, ""), first},
		{"a user's weight 0", talkOf("", "", `{"role":"user","content":"a","weight":0}`), both},
		{"system", talkOf("", "", `{"role":"system","content":"Be."},{"role":"user","content":"a"}`), own},
		{"developer", talkOf("", "", `{"role":"developer","content":"Be."},{"role":"user","content":"a"}`), own},
		{"system beside", talkOf("", `,"system":"Be."`, ""), own},
		{"system twice the same", talkOf("", `,"system":"Be."`, `{"role":"system","content":"Be."},{"role":"user","content":"a"}`), own},
		{"empty tools", talkOf(`,"tool_calls":[],"reasoning_content":null`, `,"tools":[]`, ""), both},
		{"upper case", strings.Replace(talkOf("", "", `{"role":"User","content":"a"}`), "messages", "Messages", 1), both},
		{"role and content under conversations", strings.Replace(talkOf("", "", ""), "messages", "conversations", 1), both},
		{"from and value under messages", strings.NewReplacer("role", "from", "content", "value").Replace(talkOf("", "", "")), both},
		{"both pairs of keys", talkOf("", "", `{"role":"user","from":"user","content":"a","value":"a"}`), both},
		{"history", `{"instruction":"Add.","output":"d","history":[["a","b"]]}`,
			"<s> " + system + " USER: a ASSISTANT:[ b</s>] USER: " + noInput + " ASSISTANT:[ d</s>]"},
		{"empty history", `{"instruction":"Add.","output":"d","history":[],"system":null}`, "<s> " + system + " USER: " + noInput + " ASSISTANT:[ d</s>]"},
		{"alpaca's system", `{"instruction":"Add.","output":"d","system":"Be."}`, "<s> Be. USER: " + noInput + " ASSISTANT:[ d</s>]"},
		{"ids with a mask", `{"input_ids":[1,70,71,72],"loss_mask":[0,1,0,1]}`, "<s>[C]D[E]"},
		{"ids with positions", `{"input_ids":[1,70],"position_ids":[0,1]}`, "<s>[C]"},
		{"null beside a whole format", `{"messages":null,"prompt":"a","completion":"b"}`, "<s> a[b</s>]"},
	} {
		wantRows(t, c.name, open(t, "d.jsonl", c.row, options(t)), c.want)
	}
	s := open(t, "d.jsonl", talkOf("", "", `{"role":"assistant","content":"x"},{"role":"user","content":"a"}`), options(t))
	if wantRows(t, "a leading answer", s, both); s.Stats.Led != 1 {
		t.Errorf("%d leading answers are counted", s.Stats.Led)
	}
}

// What has no place is refused by its name.
func TestKeysWithoutPlace(t *testing.T) {
	for _, c := range []struct{ row, words string }{
		{talkOf(`,"weight":0.5`, "", ""), "turn 2: `weight` is 0.5; only 0 and 1"},
		{talkOf(`,"weight":1,"train":false`, "", ""), "turn 2: `weight` and `train` contradict"},
		{talkOf(`,"weight":1`, `,"loss_mask":[0,0,0,1]`, ""), "turn 2 and `loss_mask[1]` contradict"},
		{talkOf("", `,"loss_mask":[1,1,0,1]`, ""), "`loss_mask[0]` is 1, but turn 1 is no answer"},
		{talkOf("", `,"loss_mask":[1,1]`, ""), "`loss_mask` has 2 numbers, `messages` has 4 turns"},
		{talkOf("", `,"weight":2`, ""), "row 1: `weight` is 2"},
		{talkOf("", "", `{"role":"user","content":"a","train":true}`), "turn 1: `train` is on, but it is from \"user\""},
		{talkOf(`,"reasoning_content":"x"`, "", ""), "turn 2: `reasoning_content` has no place"},
		{talkOf(`,"tool_calls":[{"id":"x"}]`, "", ""), "turn 2: `tool_calls` has no place"},
		{`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null,"tool_calls":[{"id":"x"}]}]}`, "turn 2: `tool_calls` has no place"},
		{`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null}]}`, "turn 2: `content` is null"},
		{talkOf("", `,"tools":[{"name":"x"}]`, ""), "`tools` has no place"},
		{talkOf("", `,"history":[["a","b"]]`, ""), "`history` has no place here in rows of messages"},
		{talkOf("", "", `{"role":"tool","content":"a"}`), "turn 1: it is from \"tool\""},
		{talkOf("", "", `{"role":"observer","content":"a"}`), "turn 1: it is from \"observer\"; known are"},
		{talkOf("", "", `{"speaker":"user","content":"a"}`), "turn 1: it has neither `role` nor `from`; its keys are content, speaker"},
		{talkOf("", "", `{"role":"user","from":"gpt","content":"a"}`), "turn 1: `role` and `from` contradict"},
		{talkOf("", "", `{"role":"user","content":"a"},{"role":"system","content":"Be."}`), "turn 2 is the system's"},
		{talkOf("", `,"system":"Be."`, `{"role":"system","content":"Do."},{"role":"user","content":"a"}`), "turn 1 is another text of the system"},
		{`{"messages":["a"]}`, "`messages[0]` is not an object"},
		{`{"messages":"a"}`, "`messages` is text, want a list"},
		{`{"instruction":"a","output":"b","history":["a"]}`, "`history[0]` is not a pair"},
		{`{"instruction":"a","output":"b","history":"a"}`, "`history` is text, want a list"},
		{`{"instruction":"a","output":"b","loss_mask":[1]}`, "`loss_mask` is a list"},
		{`{"prompt":"a","completion":"b","system":"Be."}`, "for which the prompt plain has no place"},
		{`{"text":"a","system":"Be."}`, "`system` has no place"},
		{`{"text":"a","sample_weight":0.5}`, "`sample_weight` has no place"},
		{`{"input_ids":[1,2],"position_ids":[0,0]}`, "`position_ids[1]` is 0"},
		{talkOf(`,"ignore":true,"train":true`, "", ""), "turn 2: `train` and `ignore` contradict"},
		{talkOf(`,"train_detail":[{"begin_offset":0,"end_offset":1,"train":false}]`, "", ""), "turn 2: `train_detail` has no place"},
		{talkOf(`,"mask":0`, "", ""), "turn 2: `mask` is 0, which some trainers read as learned"},
		{`{"instruction":"a","output":"b","mask":true}`, "row 1: `mask` is true"},
		{`{"prompt":"a","completion":"b","label":false}`, "row 1: `label` is false: its answer is one not to be learned"},
		{`{"text":"a","loss_weights":[1,2]}`, "`loss_weights` has no place"},
		{`{"input_ids":[1,2],"assistant_masks":[0,1]}`, "`assistant_masks` has no place here, though it changes what is learned; switch"},
		{`{"input_ids":[1,2],"segment_ids":[0,1]}`, "each sequence as a row of its own"},
		{talkOf("", `,"conversations":[{"from":"human","value":"x"},{"from":"gpt","value":"z"}]`, ""), "`conversations` and `messages` have different turns"},
		{`{"input_ids":[1,5,6,7],"labels":[-100,-100,6,7],"loss_mask":[0,1,1,1]}`, "`labels[1]` is -100 and `loss_mask[1]` is 1"},
		{`{"input_ids":[1,5,6,7],"labels":[-100,-100,6,7],"loss_mask":[0,0,0,1]}`, "`labels[2]` is 6 and `loss_mask[2]` is 0"},
		{`{"input_ids":[1,5,6],"attention_mask":[1,1,2]}`, "`attention_mask[2]` is 2; only 0 and 1 are known"},
		{`{"input_ids":[1,2],"loss_mask":[1]}`, "`loss_mask` has 1 numbers"},
		{`{"input_ids":[1,2],"loss_mask":[1,2]}`, "`loss_mask[1]` is 2"},
	} {
		if _, err := Open(file(t, "d.jsonl", c.row), options(t)); err == nil || !strings.Contains(err.Error(), c.words) {
			t.Errorf("%s: error %v, want %q in it", c.row, err, c.words)
		}
	}
	o := options(t)
	o.Prompt = "alpaca"
	for _, row := range []string{`{"instruction":"a","output":"b","system":"Be."}`, `{"instruction":"a","output":"b","history":[["a","b"]]}`,
		`{"messages":[{"role":"system","content":"Be."},{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`} {
		if _, err := Open(file(t, "d.jsonl", row), o); err == nil || !strings.Contains(err.Error(), "has no place; use vicuna") {
			t.Errorf("%s: %v", row, err)
		}
	}
}

// A row that is left out lists no keys as unread; halves of surrogates are counted.
func TestLeftOutAndHalves(t *testing.T) {
	s := open(t, "d.jsonl", `{"instruction":null,"output":"x","input":"y"}
{"instruction":"a","output":"b","history":[["a",null]]}
{"text":"a\ud800b"}
{"text":"\ud83d\ude00 \\ud800"}
{"text":"\ude00","id":1}
{"prompt":"a","completion":"b","ignore":true}
{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":null}]}
`, options(t))
	wantSkips(t, "null", s, Skip{Row: 1, Reason: "`instruction` is null"}, Skip{Row: 2, Reason: "`history[0][1]` is null"}, Skip{Row: 6, Reason: "`ignore` switches its loss off"}, Skip{Row: 7, Reason: "turn 2: `content` is null"})
	if !slices.Equal(s.Stats.Unread, []Column{{"id", 1}}) {
		t.Errorf("unread %v", s.Stats.Unread)
	}
	if s.Stats.Halves != 2 || !strings.HasPrefix(s.Stats.FirstHalf, "row 3 of ") {
		t.Errorf("%d rows with halves, %s", s.Stats.Halves, s.Stats.FirstHalf)
	}
}

// Keys that nothing reads are counted, those of turns once a row.
func TestUnread(t *testing.T) {
	s := open(t, "d.jsonl", `{"text":"a","id":1,"note":null}
{"instruction":"a","output":"b","text":"c","id":2}
{"messages":[{"role":"user","content":"a","name":"x"},{"role":"assistant","content":"b","name":"y"}]}
`, options(t))
	want := []Column{{"id", 2}, {"text", 1}, {"messages[].name", 1}}
	if !slices.Equal(s.Stats.Unread, want) {
		t.Errorf("unread %v, want %v", s.Stats.Unread, want)
	}
	var many strings.Builder
	for i := range 3 * mostColumns {
		fmt.Fprintf(&many, "{\"text\":\"a\",\"k%d\":1}\n", i)
	}
	if s := open(t, "d.jsonl", many.String(), options(t)); len(s.Stats.Unread) != mostColumns {
		t.Errorf("%d keys are listed", len(s.Stats.Unread))
	}
}

// Rows that are left out are counted by their reason, in bounded memory.
func TestReasons(t *testing.T) {
	var many strings.Builder
	many.WriteString("{\"text\":\"a\"}\n")
	for i := range 500 {
		fmt.Fprintf(&many, "{\"text\":\"\"}\n{\"messages\":[{\"role\":\"user\",\"content\":\"a\"},{\"role\":\"assistant\",\"content\":\"b\"},{\"role\":\"user\",\"content\":\"x\"}%s]}\n",
			strings.Repeat(`,{"role":"user","content":"a"}`, 1+i%5))
	}
	st := open(t, "d.jsonl", many.String(), options(t)).Stats
	if st.Left != 1000 || len(st.Skipped) != mostReasons || len(st.LeftOut) != 2 || st.LeftOut[0].Rows != 500 || st.LeftOut[1].Rows != 500 || st.LeftOut[1].Row != 3 {
		t.Errorf("%d left out, %d remembered, reasons %v", st.Left, len(st.Skipped), st.LeftOut)
	}
}

func TestHandlerKeys(t *testing.T) {
	o := options(t)
	o.Keys = Keys{Instruction: "query", Output: "response"}
	want := "<s> " + system + " USER: " + andInput + " ASSISTANT:[ 3</s>]"
	wantRows(t, "keys", open(t, "d.jsonl", `{"query":"Add.","input":"1 2","response":"3"}`, o), want)
	wantRows(t, "keys in CSV", open(t, "d.csv", "query;input;response\nAdd.;1 2;3\n", o), want)
	o.Keys.Input = "context"
	s := open(t, "d.jsonl", `{"query":"Add.","context":"1 2","response":"3","input":"x","instruction":"y"}`, o)
	wantRows(t, "all keys", s, want)
	if !slices.Equal(s.Stats.Unread, []Column{{"input", 1}, {"instruction", 1}}) {
		t.Errorf("unread %v", s.Stats.Unread)
	}
	if _, err := Open(file(t, "d.jsonl", `{"instruction":"a","output":"b"}`), o); err == nil || !strings.Contains(err.Error(), "wanted by the handler's keys in the config: query+response") {
		t.Error(err)
	}
	o.Format = "text"
	if _, err := Open(file(t, "d.jsonl", `{"text":"a"}`), o); err == nil || !strings.Contains(err.Error(), "names columns of alpaca rows") {
		t.Error(err)
	}
}

func TestCSV(t *testing.T) {
	row := "<s> " + system + " USER: " + noInput + " ASSISTANT:[ 3</s>]"
	long := "<s> " + system + " USER: " + andInput + " ASSISTANT:[ a\n\"b\"</s>]"
	for name, text := range map[string]string{
		"d.csv":  "\ufeffinstruction,input,output\r\nAdd.,,3\r\nAdd.,1 2,\"a\n\"\"b\"\"\"\n",
		"d2.CSV": "instruction;input;output\nAdd.;;3\nAdd.;1 2;\"a\n\"\"b\"\"\"\n",
		"d.tsv":  "output\tinput\tinstruction\n3\t\tAdd.\n\"a\n\"\"b\"\"\"\t1 2\tAdd.\n",
	} {
		wantRows(t, name, open(t, name, text, options(t)), row, long)
	}
	s := open(t, "d.csv", "text,weight,train,id\na,1,,7\nb,0,,8\nc,,True,\n", options(t))
	if wantRows(t, "switches", s, "<s>[ a</s>]", "<s>[ c</s>]"); len(s.Stats.Skipped) != 1 {
		t.Errorf("left out %v", s.Stats.Skipped)
	}
}

func TestKinds(t *testing.T) {
	for _, name := range []string{"D.JSONL", "d.ndjson", "d", "d.data", "d.JSON"} {
		wantRows(t, name, open(t, name, "{\"text\":\"a\"}\n", options(t)), "<s>[ a</s>]")
	}
	zip := func(name, text string) string {
		path := file(t, name, "")
		f, err := os.Create(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z := gzip.NewWriter(f)
		io.WriteString(z, text)
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, text := range map[string]string{"d.jsonl.gz": `{"text":"a"}`, "d.json.GZ": `[{"text":"a"}]`, "d.csv.gz": "text\na\n", "d.txt.gz": "a", "d.jsonl": `{"text":"a"}`} {
		s, err := Open(zip(name, text), options(t))
		if err != nil {
			t.Fatal(err)
		}
		if name == "d.txt.gz" {
			wantRows(t, name, s, "<s>[ a</s>]")
			continue
		}
		wantRows(t, name, s, "<s>[ a</s>]")
	}
	cut := zip("d.jsonl.gz", strings.Repeat("{\"text\":\"a\"}\n", 1<<16))
	if err := os.Truncate(cut, 300); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(cut, options(t)); err == nil || !strings.Contains(err.Error(), "is the download complete?") {
		t.Error(err)
	}
	if s := open(t, "d.txt", `{"text":"a"}`, options(t)); len(s.Stats.Notes) != 1 || !strings.Contains(s.Stats.Notes[0], "read as plain text") {
		t.Errorf("notes %v", s.Stats.Notes)
	}
}

func TestSplits(t *testing.T) {
	train, valid, test, other := "<s>[ train</s>]", "<s>[ valid</s>]", "<s>[ test</s>]", "<s>[ other</s>]"
	for _, c := range []struct {
		files       string // split:name …
		train, eval []string
	}{
		{"train:train.jsonl valid:valid.jsonl test:test.jsonl", []string{train}, []string{valid}},
		{"train:train-00000-of-00002.jsonl train:train-00001-of-00002.jsonl test:test-00000-of-00001.jsonl", []string{train, train}, []string{test}},
		{"train:train/a.jsonl valid:validation/a.jsonl", []string{train}, []string{valid}},
		{"train:alpaca_train.json valid:alpaca_dev.json", []string{train}, []string{valid}},
		{"other:a.jsonl other:b.jsonl", []string{other, other}, []string{other, other}},
		{"train:train.jsonl other:more.jsonl", []string{other, train}, []string{other}},
		{"other:a.jsonl valid:eval.jsonl", []string{other}, []string{valid}},
		{"train:train.jsonl", []string{train}, nil},
		{"valid:valid.jsonl test:test.jsonl", nil, []string{valid}},
		{"train:Train.CSV valid:VAL.csv", []string{train}, []string{valid}},
	} {
		dir := t.TempDir()
		for f := range strings.FieldsSeq(c.files) {
			split, name, _ := strings.Cut(f, ":")
			path := filepath.Join(dir, name)
			text := `{"text":"` + split + `"}`
			if strings.EqualFold(filepath.Ext(name), ".csv") {
				text = "text\n" + split + "\n"
			}
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		for _, eval := range []bool{false, true} {
			o, want := options(t), c.train
			if o.Eval = eval; eval {
				want = c.eval
			}
			s, err := Open(dir, o)
			if want == nil {
				if err == nil || !strings.Contains(err.Error(), "holds nothing for") {
					t.Errorf("%s, evaluation %v: %v", c.files, eval, err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, evaluation %v: %v", c.files, eval, err)
				continue
			}
			wantRows(t, fmt.Sprintf("%s, evaluation %v", c.files, eval), s, want...)
			if all := strings.Count(c.files, ":"); (len(s.Stats.Notes) > 0) != (s.Len() < all) {
				t.Errorf("%s, evaluation %v: notes %v", c.files, eval, s.Stats.Notes)
			}
		}
		o := options(t)
		o.Split = "test"
		if s, err := Open(dir, o); strings.Contains(c.files, "test:") {
			if err != nil {
				t.Error(err)
			} else {
				wantRows(t, "the split that is asked for", s, test)
			}
		} else if !strings.HasPrefix(c.files, "other:a.jsonl other") && (err == nil || !strings.Contains(err.Error(), "holds nothing for the split test")) {
			t.Errorf("%s: %v", c.files, err)
		}
		if got, want := EvalSplit(dir), c.eval != nil && c.train != nil && !slices.Equal(c.train, c.eval) && !strings.Contains(c.files, "more"); got != want {
			t.Errorf("%s: a split for evaluation: %v", c.files, got)
		}
	}
}

// Files that describe data or models are no rows.
func TestMetadata(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"a.jsonl": `{"text":"a"}`, "one.json": `{"text":"b"}`, "dataset_info.json": `{"features":{}}`, "state.json": `{}`,
		"my_info.json": ` {"description":"x","splits":{}}`, "README.txt": "x", "tokenizer.json": `{"text":"x"}`, "model.safetensors.index.json": `{"weight_map":{}}`,
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s, err := Open(dir, options(t))
	if err != nil {
		t.Fatal(err)
	}
	wantRows(t, "metadata", s, "<s>[ a</s>]", "<s>[ b</s>]")
	if len(s.Stats.Notes) != 1 || strings.Count(s.Stats.Notes[0], dir) != 6 {
		t.Errorf("notes %q", s.Stats.Notes)
	}
}

// Parts of a content are read as one text.
func TestContentParts(t *testing.T) {
	const row = `{"messages":[{"role":"user","content":%s},{"role":"assistant","content":%s}]}` + "\n"
	s := open(t, "d.jsonl", fmt.Sprintf(row, `"a b"`, `"c"`)+
		fmt.Sprintf(row, `[{"type":"text","text":"a "},{"type":"text","text":"b","cache_control":{}}]`, `[{"type":"output_text","text":"c","annotations":[]}]`)+
		fmt.Sprintf(row, `["a b"]`, `["c"]`), options(t))
	if s.Len() != 3 || spell(s.Row(0)) != spell(s.Row(1)) || spell(s.Row(0)) != spell(s.Row(2)) {
		t.Errorf("%d rows: %s, %s", s.Len(), spell(s.Row(0)), spell(s.Row(1)))
	}
}
