package dataset

import (
	"strings"
	"testing"
)

const (
	system   = "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, and polite answers to the user's questions."
	noInput  = "Below is an instruction that describes a task. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Response:"
	andInput = "Below is an instruction that describes a task, paired with an input that provides further context. Write a response that appropriately completes the request.\n\n### Instruction:\nAdd.\n\n### Input:\n1 2\n\n### Response:"
)

func TestRendering(t *testing.T) {
	for _, c := range []struct{ name, prompt, row, want string }{
		// Every text begins with the blank that encoding puts there.
		{"alpaca", "", `{"instruction":"Add.","input":"1 2","output":"3"}`,
			"<s> " + system + " USER: " + andInput + " ASSISTANT:[ 3</s>]"},
		{"alpaca without input", "vicuna", `{"instruction":"Add.","input":"","output":"3","text":"x"}`,
			"<s> " + system + " USER: " + noInput + " ASSISTANT:[ 3</s>]"},
		{"alpaca with a missing input", "", `{"instruction":"Add.","output":"3"}`,
			"<s> " + system + " USER: " + noInput + " ASSISTANT:[ 3</s>]"},
		{"alpaca bare", "alpaca", `{"instruction":"Add.","input":"1 2","output":"3"}`, "<s> " + andInput + "[3</s>]"},
		{"alpaca plain", "plain", `{"instruction":"Add.","input":"1 2","output":"3"}`, "<s> Add.\n1 2\n[3</s>]"},
		{"completion", "", `{"prompt":"a: ","completion":"b"}`, "<s> a:[ b</s>]"},
		{"completion without a prompt", "", `{"prompt":"","completion":"b"}`, "<s>[ b</s>]"},
		{"completion in vicuna", "vicuna", `{"prompt":"a","completion":"b"}`, "<s> " + system + " USER: a ASSISTANT:[ b</s>]"},
		{"completion in alpaca", "alpaca", `{"prompt":"Add.","completion":"b"}`, "<s> " + noInput + "[b</s>]"},
		{"question", "", `{"question":"1+2?","answer":"3"}`, "<s> 1+2?\n[3</s>]"},
		{"text", "", `{"text":"a b"}`, "<s>[ a b</s>]"},
		{"two rounds", "", `{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b c"},{"from":"human","value":"d"},{"from":"gpt","value":"e"}]}`,
			"<s> " + system + " USER: a ASSISTANT:[ b c</s>] USER: d ASSISTANT:[ e</s>]"},
		{"a first turn that is not the user's", "", `{"conversations":[{"from":"gpt","value":"x"},{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}`,
			"<s> " + system + " USER: a ASSISTANT:[ b</s>]"},
		{"own system text", "", `{"system":"Be.","conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"}]}`, "<s> Be. USER: a ASSISTANT:[ b</s>]"},
		{"messages", "", `{"messages":[{"role":"system","content":"Be."},{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`, "<s> Be. USER: a ASSISTANT:[ b</s>]"},
		{"messages plain", "plain", `{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`, "<s> a\n[b</s>]"},
		{"messages bare", "alpaca", `{"messages":[{"role":"user","content":"Add."},{"role":"assistant","content":"b"}]}`, "<s> " + noInput + "[b</s>]"},
		{"ids", "", `{"input_ids":[1,70,71,2],"labels":[-100,-100,71,2]}`, "<s>C[D</s>]"},
		{"ids without labels", "", `{"input_ids":[1,70,71]}`, "<s>[CD]"},
		{"ids with other labels", "", `{"input_ids":[1,70,71],"labels":[1,72,-100]}`, "<s>[{70→72}]"},
	} {
		o := options(t)
		o.Prompt = c.prompt
		wantRows(t, c.name, open(t, "d.jsonl", c.row+"\n", o), c.want)
		wantRows(t, c.name+" in an array", open(t, "d.json", "\ufeff [ "+c.row+"\n,\n"+c.row+" ] ", o), c.want, c.want)
	}
}

func TestPadding(t *testing.T) {
	for _, c := range []struct{ name, row, want string }{
		{"after the last label", `{"input_ids":[1,70,71,0,0],"labels":[-100,70,71,-100,-100]}`, "<s>[CD]"},
		{"after an unsupervised end", `{"input_ids":[1,70,71,72,0],"labels":[-100,70,-100,-100,-100]}`, "<s>[C]"},
		// Without labels the last real token learns one pad, as in MindFormers.
		{"without labels", `{"input_ids":[1,70,71,0,0,0]}`, "<s>[CD{0}]"},
		{"by attention_mask", `{"input_ids":[1,70,71,0,0],"attention_mask":[1,1,1,0,0]}`, "<s>[CD]"},
		{"labels are believed", `{"input_ids":[1,70,0,0],"labels":[1,70,0,0]}`, "<s>[C{0}{0}]"},
		{"inside", `{"input_ids":[1,0,70],"labels":[1,0,70]}`, "<s>[{0}C]"},
	} {
		s := open(t, "d.jsonl", c.row, options(t))
		wantRows(t, c.name, s, c.want)
		inner := strings.Contains(c.want, "{0}C") || strings.Contains(c.want, "{0}{0}")
		if inner != (s.Stats.InnerPad == 1) {
			t.Errorf("%s: %d rows with inner padding", c.name, s.Stats.InnerPad)
		}
	}
	for mask, live := range map[string]bool{"": false, `,"attention_mask":[1,1,1,1]`: true} {
		s := open(t, "d.jsonl", `{"input_ids":[1,70,0,71],"labels":[-100,70,-100,-100]}
{"input_ids":[1,70,0,71,72],"labels":[-100,70,71,-100,72]`+strings.Replace(mask, "]", ",1]", 1)+`}
{"input_ids":[1,0,70,71],"labels":[-100,70,-100,71]`+mask+"}", options(t))
		if r := s.Row(1); !r.Live(2) != (mask == "") || !r.Live(1) {
			t.Errorf("%q: token 1 is live: %v, token 2: %v", mask, r.Live(1), r.Live(2))
		}
		if r := s.Row(2); r.Live(1) != live {
			t.Errorf("%q: a pad that predicts nothing is live: %v", mask, r.Live(1))
		}
		if n := s.Stats.Hidden; n != map[bool]int{false: 2, true: 0}[live] {
			t.Errorf("%q: %d tokens are said to be hidden", mask, n)
		}
	}
	o := options(t)
	o.PadID = -1
	wantRows(t, "no pad id", open(t, "d.jsonl", `{"input_ids":[1,70,0,0]}`, o), "<s>[C{0}{0}]")
	o.IgnoreID = 5
	wantRows(t, "own ignore id", open(t, "d.jsonl", `{"input_ids":[1,70,71],"labels":[5,5,71]}`, o), "<s>C[D]")
}

func TestCutting(t *testing.T) {
	o := options(t)
	o.SeqLength = 4 // rows of at most 5 ids
	s := open(t, "d.jsonl", `{"prompt":"ab","completion":"cdefg"}
{"prompt":"a","completion":"b"}
{"prompt":"abcdef","completion":"g"}
{"prompt":"abc","completion":"d"}
{"input_ids":[1]}
{"input_ids":[]}
{"input_ids":[1,70],"labels":[1,-100]}
`, o)
	// <s> ␠ a b | c: one of the answer's five is left. The third has none left.
	wantRows(t, "cut", s, "<s> ab[c]", "<s> a[b</s>]")
	wantSkips(t, "cut", s, Skip{Row: 3, Reason: "after seq_length 4 (the row has 10 tokens)"}, Skip{Row: 4, Reason: "after seq_length 4"},
		Skip{Row: 5, Reason: "fewer than 2"}, Skip{Row: 6, Reason: "fewer than 2"}, Skip{Row: 7, Reason: "no token is supervised"})
	if s.Stats.Truncated != 1 || s.Stats.Rows != 2 || s.Stats.Tokens != 10 || s.Stats.Supervised != 3 {
		t.Errorf("stats %+v", s.Stats)
	}
	if path, row := s.Source(1); row != 2 || !strings.HasSuffix(path, "d.jsonl") {
		t.Errorf("row 2 comes from %s, %d", path, row)
	}
}

func TestLeftOut(t *testing.T) {
	o := options(t)
	rows := []struct{ row, reason string }{
		{`{"text":"good"}`, ""},
		{`{"instruction":"a","output":""}`, "an answer is empty"},
		{`{"instruction":"a ASSISTANT: b","output":"c"}`, "ASSISTANT:"},
		{`{"instruction":"a","output":"b</s>c"}`, "</s>"},
		{`{"instruction":"é","output":"b"}`, "pad_token_id"}, // unknown here, and so id 0
		{`{"prompt":"a","completion":" \n"}`, "the answer is empty"},
		{`{"text":" "}`, "the text is empty"},
		{`{"conversations":[]}`, "no answer"},
		{`{"conversations":[{"from":"human","value":"a"}]}`, "no answer"},
		{`{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"b"},{"from":"human","value":"c"}]}`, "without an answer"},
		{`{"conversations":[{"from":"human","value":"a"},{"from":"human","value":"b"}]}`, `turn 2 is from "human"`},
		{`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b","weight":0}]}`, "loss of all its answers"},
		{`{"instruction":"a","output":"b","weight":0}`, "`weight` switches its loss off"},
		{`{"text":"a","train":false}`, "`train` switches its loss off"},
		{`{"instruction":"a","output":null}`, "`output` is null"},
		{`{"instruction":null,"output":"a"}`, "`instruction` is null"},
		{`{"messages":null}`, "`messages` is null"},
	}
	var text strings.Builder
	var want []Skip
	for i, r := range rows {
		text.WriteString(r.row + "\n")
		if r.reason != "" {
			want = append(want, Skip{Row: i + 1, Reason: r.reason})
		}
	}
	s := open(t, "d.jsonl", text.String(), o)
	wantRows(t, "left out", s, "<s>[ good</s>]")
	wantSkips(t, "left out", s, want...)

	o.Prompt = "plain"
	s = open(t, "d.jsonl", `{"text":"good"}
{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"},{"role":"user","content":"c"},{"role":"assistant","content":"d"}]}`, o)
	wantSkips(t, "four turns", s, Skip{Row: 2, Reason: "use vicuna"})
}

// A row that is full before the round that cannot be masked keeps what it has.
func TestFullBeforeBrokenRound(t *testing.T) {
	o := options(t)
	o.SeqLength = len(" "+system+" USER: a ASSISTANT: bc") + 1
	row := `{"conversations":[{"from":"human","value":"a"},{"from":"gpt","value":"bcd"},{"from":"human","value":"x"},{"from":"gpt","value":""}]}`
	wantRows(t, "full", open(t, "d.jsonl", row, o), "<s> "+system+" USER: a ASSISTANT:[ bcd]")
	o.SeqLength += 20
	if _, err := Open(file(t, "d.jsonl", row), o); err == nil || !strings.Contains(err.Error(), "an answer is empty") {
		t.Errorf("not full: %v", err)
	}
}

func TestPlainText(t *testing.T) {
	o := options(t)
	o.SeqLength = 3
	// <s> ␠ a b c d e </s> in fours.
	wantRows(t, "one document", open(t, "d.txt", "abcde", o), "<s>[ ab]", "c[de</s>]")
	// A last piece of one id has no target.
	wantRows(t, "rest of one", open(t, "d.txt", "abcdef", o), "<s>[ ab]", "c[def]")
	wantRows(t, "rest of two", open(t, "d.txt", "abcdefg", o), "<s>[ ab]", "c[def]", "g[</s>]")
	wantRows(t, "documents", open(t, "d.txt", "\na\n<|endoftext|>\n\n<|endoftext|>b c<|endoftext|>", o), "<s>[ a</s>]", "<s>[ b ]", "c[</s>]")
	s := open(t, "d.txt", "a\n", o)
	wantRows(t, "space stays", s, "<s>[ a\n]")
	if s.Stats.Format != "plain text" || s.Stats.Tokens != 4 || s.Stats.Supervised != 3 {
		t.Errorf("stats %+v", s.Stats)
	}
}

func TestExample(t *testing.T) {
	s := open(t, "d.jsonl", `{"prompt":"a b","completion":"c"}`, options(t))
	if want := "⟨1 <bos>⟩a b⟦c⟨2 <eos>⟩⟧"; s.Stats.Example != want {
		t.Errorf("example %q, want %q", s.Stats.Example, want)
	}
	s = open(t, "d.jsonl", `{"text":"a b"}`, options(t))
	if want := "⟨1 <bos>⟩⟦a b⟨2 <eos>⟩⟧"; s.Stats.Example != want {
		t.Errorf("example %q, want %q", s.Stats.Example, want)
	}
}

func TestFormatStat(t *testing.T) {
	o := options(t)
	s := open(t, "d.jsonl", `{"text":"a"}{"text":"b"}`, o)
	if s.Stats.Format != "text" {
		t.Errorf("format %q", s.Stats.Format)
	}
	s = open(t, "d.jsonl", `{"text":"a"}{"prompt":"b","completion":"c"}`, o)
	if s.Stats.Format != "mixed" {
		t.Errorf("format %q", s.Stats.Format)
	}
	o.Format = "text"
	wantRows(t, "format that is asked for", open(t, "d.jsonl", `{"instruction":"a","output":"b","text":"c"}`, o), "<s>[ c</s>]")
}
