package rt

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/runtime/data/chat"
	"lorac/runtime/exit"
	"lorac/runtime/train"
	"lorac/runtime/wire"
)

// asking runs a job that serves and gives it lines; it returns the lines that it answers.
func asking(t *testing.T, j *Job, body func(*Run) error, args []string, lines ...string) (ready wire.Ready, said map[string][]wire.Said) {
	t.Helper()
	var out strings.Builder
	p := process{args: append([]string{"--run_mode", "predict", "--serve", "True"}, args...), out: train.NewReporter(io.Discard), stop: newStop(), world: one(),
		in: strings.NewReader(strings.Join(lines, "\n") + "\n"), answers: &out}
	if err := p.run(j, body); err != nil {
		t.Fatal(err)
	}
	said = map[string][]wire.Said{}
	first := true
	for s := bufio.NewScanner(strings.NewReader(out.String())); s.Scan(); first = false {
		if first {
			if err := json.Unmarshal(s.Bytes(), &ready); err != nil {
				t.Fatal(err)
			}
			continue
		}
		var x wire.Said
		if err := json.Unmarshal(s.Bytes(), &x); err != nil {
			t.Fatal(err)
		}
		said[x.ID] = append(said[x.ID], x)
	}
	return ready, said
}

// spoken is the text of an answer and how it ended.
func spoken(list []wire.Said) string {
	text := ""
	for _, s := range list {
		text += s.Text
	}
	if len(list) == 0 {
		return "nothing"
	}
	last := list[len(list)-1]
	return fmt.Sprintf("%s|%s|%s|%d+%d", text, last.Done, last.Fault, last.PromptTokens, last.Tokens)
}

// A run that serves answers texts and conversations, each with its own settings, and
// refuses what it cannot do.
func TestServes(t *testing.T) {
	j := adaptedJob(t)
	spelt(t, j, "")
	j.BosID, j.SeqLength, j.Predict = 1, 300, Predict{MaxLength: 300, RepetitionPenalty: 1}
	var asked []string
	model := shapeOf{look: func(r *Run, _ *adapted) { following(r, map[int32]int32{4: 5, 5: 6, 6: 7}, &asked) }}
	ready, said := asking(t, j, model.body, []string{"--prompt", "plain", "--predict_batch_size", "1"},
		`{"id":"1","prompt":"a"}`,
		`{"id":"2","prompt":"a","max_tokens":1}`,
		`{"id":"3","messages":[{"role":"user","content":"a"}]}`,
		`{"id":"4","messages":[{"role":"user","content":[{"type":"text","text":"a"}]}],"tools":[{}]}`,
		`{"id":"5","messages":[]}`,
		`{"id":"6","messages":[{"role":"user","content":7}]}`,
		`no JSON`,
		`{"id":"7","prompt":"`+strings.Repeat("a", 400)+`"}`,
		`{"id":"8","prompt":"a","stop":["c"]}`)
	if ready.Prompt != "plain" || ready.SeqLength != 300 || ready.Adapter {
		t.Errorf("%+v", ready)
	}
	for id, want := range map[string]string{
		"1": "bcd|stop||3+3", "2": "b|length||3+1", "3": "|stop||4+0", "5": "|error|request|0+0", "4": "|error|request|0+0", "6": "|error|request|0+0", "": "|error|request|0+0",
		"7": "|error|length|0+0", "8": "b|stop||3+2",
	} {
		if got := spoken(said[id]); got != want {
			t.Errorf("request %s: %s, want %s: %+v", id, got, want, said[id])
		}
	}
}

// The tokenizer's template must be the one that is compiled in; without it, the run says
// how to get it.
func TestTemplateCompiledIn(t *testing.T) {
	j := adaptedJob(t)
	spelt(t, j, "")
	j.BosID, j.SeqLength, j.Predict = 1, 300, Predict{MaxLength: 300, RepetitionPenalty: 1}
	var asked []string
	model := shapeOf{look: func(r *Run, _ *adapted) { following(r, map[int32]int32{4: 5}, &asked) }}
	predict := []string{"--run_mode", "predict", "--save_file=", "--prompt", "tokenizer", "--predict_data", "a"}
	refused(t, j, model.body, exit.Input, "compiled without the tokenizer's chat template", predict...)
	j.ChatTemplate = "{{ messages[0].content }}"
	j.Chat = func(c *chat.Context) { c.Out(chat.Attr(chat.At(c.Var("messages"), 0), "content")) }
	wordsIn(t, must(t, j, model.body, predict...), "questions are rendered by the prompt tokenizer", "writes nothing after an answer", "\nab\n")
	beside := filepath.Join(filepath.Dir(j.LoadCheckpoint), "chat_template.jinja")
	if err := os.WriteFile(beside, []byte(j.ChatTemplate+"!"), 0o666); err != nil {
		t.Fatal(err)
	}
	refused(t, j, model.body, exit.Input, "is not the one that this trainer was compiled with", predict...)
	rows := filepath.Join(t.TempDir(), "rows.jsonl")
	if err := os.WriteFile(rows, []byte(`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}`+"\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	refused(t, j, model.body, exit.Input, "is not the one that this trainer was compiled with", "--train_dataset_dir", rows, "--prompt", "tokenizer")
}
