// Package modeltest is a model for tests of what talks to one.
package modeltest

import (
	"bufio"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"lorac/cmd/lorac/talk/model"
	"lorac/runtime/wire"
)

// Parrot is a model that says the last message, word by word, as soon as it may; one
// that asks "wait" waits until it is cancelled.
func Parrot(t *testing.T, adapter bool) *model.Model {
	t.Helper()
	in, asks := io.Pipe()
	says, out := io.Pipe()
	go func() {
		e := json.NewEncoder(out)
		e.Encode(wire.Ready{Name: "bird", Prompt: "plain", Adapter: adapter, SeqLength: 99})
		lines := bufio.NewScanner(in)
		waiting := map[string]bool{}
		for lines.Scan() {
			var q wire.Asked
			json.Unmarshal(lines.Bytes(), &q)
			text := ""
			if q.Prompt != nil {
				text = *q.Prompt
			}
			var list []struct{ Content string }
			if json.Unmarshal(q.Messages, &list) == nil && len(list) > 0 {
				text = list[len(list)-1].Content
			}
			switch {
			case q.Cancel:
				if waiting[q.ID] {
					e.Encode(wire.Said{ID: q.ID, Done: "gone"})
				}
				delete(waiting, q.ID)
			case text == "wait":
				waiting[q.ID] = true
			case text == "long":
				e.Encode(wire.Said{ID: q.ID, Done: "error", Fault: "length", Error: "too long"})
			default:
				if q.Base {
					text = strings.ToUpper(text)
				}
				n := 0
				for _, word := range strings.SplitAfter(text, " ") {
					n++
					e.Encode(wire.Said{ID: q.ID, Text: word, PromptTokens: 7, Tokens: n})
				}
				e.Encode(wire.Said{ID: q.ID, Done: "stop", PromptTokens: 7, Tokens: n})
			}
		}
		out.Close()
	}()
	m, err := model.Connect(asks, says)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(time.Second) })
	return m
}
