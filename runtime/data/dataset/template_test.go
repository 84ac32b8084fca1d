package dataset

import (
	"fmt"
	"strings"
	"testing"

	"lorac/runtime/data/chat"
)

func templated(t testing.TB, name, trainOn string) Options {
	o := options(t)
	o.Prompt, o.Template, o.TrainOn = name, chat.Named(name), trainOn
	o.Tokens = chat.Tokens{BOS: "<bos>", EOS: "<eos>"}
	return o
}

const talks = `{"messages":[{"role":"system","content":"S"},{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"r"},{"role":"assistant","content":"b"}]}
{"conversations":[{"from":"human","value":"q"},{"from":"gpt","value":"a","train":false},{"from":"human","value":"r"},{"from":"gpt","value":"b"}]}
{"instruction":"i","input":"j","output":"o","system":"S"}
{"prompt":"p","completion":"c"}
{"messages":[{"role":"user","content":"q"},{"role":"user","content":"q"},{"role":"assistant","content":"a"}]}
`

// spelled writes rows without the blanks that the tokenizer puts before sections.
func spelled(s *Set) (out []string) {
	for i := range s.Len() {
		out = append(out, strings.ReplaceAll(spell(s.Row(i)), " ", ""))
	}
	return out
}

func wantSpelled(t *testing.T, what string, s *Set, want ...string) {
	t.Helper()
	if got := spelled(s); strings.Join(got, "\x00") != strings.Join(want, "\x00") {
		t.Errorf("%s:\n%q\nwant\n%q", what, got, want)
	}
}

// Rows of all formats are rendered by a chat template; what is learned are the answers
// with what ends them, or as train_on says.
func TestTemplatedRows(t *testing.T) {
	s := open(t, "rows.jsonl", talks, templated(t, "llama2", ""))
	wantSpelled(t, "turns", s,
		"<s>[INST]<<SYS>>\nS\n<</SYS>>\n\nq[/INST][a</s>]<s>[INST]r[/INST][b</s>]",
		"<s>[INST]q[/INST]a</s><s>[INST]r[/INST][b</s>]",
		"<s>[INST]<<SYS>>\nS\n<</SYS>>\n\ni\nj[/INST][o</s>]",
		"<s>[INST]p[/INST][c</s>]")
	wantSkips(t, "turns", s, Skip{Row: 5, Reason: "the chat template refuses it: user and assistant must take turns"})
	s = open(t, "rows.jsonl", talks, templated(t, "llama2", "last"))
	if got := spelled(s)[0]; got != "<s>[INST]<<SYS>>\nS\n<</SYS>>\n\nq[/INST]a</s><s>[INST]r[/INST][b</s>]" {
		t.Errorf("last: %q", got)
	}
	s = open(t, "rows.jsonl", talks, templated(t, "llama3", "all"))
	if got := spelled(s)[2]; got != "<s>[<|start_header_id|>user<|end_header_id|>\n\np<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nc<|eot_id|>]" {
		t.Errorf("all: %q", got)
	}
	wantSkips(t, "all", s, Skip{Row: 2, Reason: "train_on is all"})
	s = open(t, "rows.jsonl", talks, templated(t, "chatml", ""))
	if got := spelled(s)[3]; got != "<s><|im_start|>user\np<|im_end|>\n<|im_start|>assistant\n[c<|im_end|>\n]" {
		t.Errorf("chatml: %q", got)
	}
}

// Tools and their calls have a place where the template looks at them, and are refused
// where it does not.
func TestTemplatedTools(t *testing.T) {
	const rows = `{"tools":"[{\"name\": \"f\"}]","messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"function":{"name":"f","arguments":{"x":1}}}]},{"role":"tool","content":"7"},{"role":"assistant","content":"seven"}]}` + "\n"
	got := spelled(open(t, "rows.jsonl", rows, templated(t, "chatml", "")))[0]
	for _, want := range []string{`<tools>` + "\n" + `{"name":"f"}` + "\n" + `</tools>`, "assistant\n[<tool_call>\n{\"name\":\"f\",\"arguments\":{\"x\":1}}\n</tool_call><|im_end|>\n]", "<tool_response>\n7\n</tool_response>", "assistant\n[seven<|im_end|>\n]"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not in %q", want, got)
		}
	}
	if _, err := Open(file(t, "rows.jsonl", rows), templated(t, "llama3", "")); err == nil || !strings.Contains(err.Error(), "`tools` has no place here") {
		t.Errorf("%v", err)
	}
}

// Rows for OpenAI name each call, by which the answer of its tool is found. A template that
// does not write the name loses nothing; one that writes it has it.
func TestTemplatedCallNames(t *testing.T) {
	const rows = `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":{"x":1}}}]},{"role":"tool","tool_call_id":"c1","content":"7"},{"role":"assistant","content":"seven"}]}` + "\n"
	s := open(t, "rows.jsonl", rows, templated(t, "chatml", ""))
	if got := spelled(s)[0]; !strings.Contains(got, "<tool_response>\n7\n</tool_response>") {
		t.Errorf("%q", got)
	}
	if got := fmt.Sprint(s.Stats.Unread); !strings.Contains(got, "tool_call_id") {
		t.Errorf("not read: %s", got)
	}
	o := templated(t, "chatml", "")
	o.Prompt, o.Template = chat.Own, &chat.Template{Name: chat.Own, Source: "content tool_call_id tool_calls", Render: func(c *chat.Context) {
		for _, m := range chat.List(c.Var("messages")) {
			c.Put("(" + chat.Text(chat.Attr(m, "content")) + " " + chat.Text(chat.Attr(m, "tool_call_id")) + ")")
		}
	}}
	if got := spelled(open(t, "rows.jsonl", rows, o))[0]; !strings.Contains(got, "(7c1)") {
		t.Errorf("%q", got)
	}
}

// A template that drops what earlier answers have shows it in the whole conversation.
func TestTemplatedReasoning(t *testing.T) {
	o := templated(t, "chatml", "")
	o.Template = &chat.Template{Name: chat.Own, Source: "content", Render: func(c *chat.Context) {
		list := chat.List(c.Var("messages"))
		for i, m := range list {
			text := chat.Text(chat.Attr(m, "content"))
			if i+1 < len(list) {
				text = strings.TrimPrefix(text, "think ")
			}
			c.Put("(" + text + ")")
		}
	}}
	o.Prompt = chat.Own
	const rows = `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"think a"},{"role":"user","content":"q"},{"role":"assistant","content":"b"}]}
{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"think a"}]}
`
	s := open(t, "rows.jsonl", rows, o)
	wantSpelled(t, "turns", s, "(q)[(thinka)]")
	wantSkips(t, "turns", s, Skip{Row: 1, Reason: "the template writes the answer of turn 2 in another way"})
	o.TrainOn = "last"
	wantSpelled(t, "last", open(t, "rows.jsonl", rows, o), "(q)(a)(q)[(b)]", "(q)[(thinka)]")
}

// train_on counts for the prompts of MindFormers, too.
func TestTrainOnVicuna(t *testing.T) {
	const rows = `{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"a"},{"role":"user","content":"r"},{"role":"assistant","content":"b"}]}` + "\n"
	o := options(t)
	o.TrainOn = "last"
	if got := spell(open(t, "rows.jsonl", rows, o).Row(0)); strings.Count(got, "[") != 1 || !strings.Contains(got, "ASSISTANT:[ b</s>]") {
		t.Errorf("last: %q", got)
	}
	o.TrainOn = "all"
	if got := spell(open(t, "rows.jsonl", rows, o).Row(0)); !strings.HasPrefix(got, "<s>[ A chat") || strings.Count(got, "[") != 1 {
		t.Errorf("all: %q", got)
	}
	o.TrainOn = "some"
	if _, err := Open(file(t, "rows.jsonl", rows), o); err == nil || !strings.Contains(err.Error(), "train_on is \"some\"") {
		t.Errorf("%v", err)
	}
}
