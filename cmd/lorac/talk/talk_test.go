package talk

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	rt "lorac/runtime"
)

// parrot is a model that says the last message, word by word, as soon as it may; one
// that asks "wait" waits until it is cancelled.
func parrot(t *testing.T, adapter bool) *Model {
	t.Helper()
	in, asks := io.Pipe()
	says, out := io.Pipe()
	go func() {
		e := json.NewEncoder(out)
		e.Encode(rt.Ready{Name: "bird", Prompt: "plain", Adapter: adapter, SeqLength: 99})
		lines := bufio.NewScanner(in)
		waiting := map[string]bool{}
		for lines.Scan() {
			var q rt.Asked
			json.Unmarshal(lines.Bytes(), &q)
			text := ""
			if q.Prompt != nil {
				text = *q.Prompt
			}
			var list []message
			if json.Unmarshal(q.Messages, &list) == nil && len(list) > 0 {
				text = list[len(list)-1].Content
			}
			switch {
			case q.Cancel:
				if waiting[q.ID] {
					e.Encode(rt.Said{ID: q.ID, Done: "gone"})
				}
				delete(waiting, q.ID)
			case text == "wait":
				waiting[q.ID] = true
			case text == "long":
				e.Encode(rt.Said{ID: q.ID, Done: "error", Fault: "length", Error: "too long"})
			default:
				if q.Base {
					text = strings.ToUpper(text)
				}
				n := 0
				for _, word := range strings.SplitAfter(text, " ") {
					n++
					e.Encode(rt.Said{ID: q.ID, Text: word, PromptTokens: 7, Tokens: n})
				}
				e.Encode(rt.Said{ID: q.ID, Done: "stop", PromptTokens: 7, Tokens: n})
			}
		}
		out.Close()
	}()
	m, err := Connect(asks, says)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close(time.Second) })
	return m
}

func server1(t *testing.T, f Flags) (*server, *httptest.Server) {
	t.Helper()
	s := &server{m: parrot(t, true), f: f, local: true, started: time.Now()}
	h := httptest.NewServer(s.handler())
	t.Cleanup(h.Close)
	return s, h
}

func post(t *testing.T, url, body string, headers ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	text, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(text)
}

var plain = Flags{Queue: 2, Timeout: time.Minute}

// Answers have OpenAI's form, whole and streamed.
func TestCompletions(t *testing.T) {
	_, h := server1(t, plain)
	const hello = `"messages":[{"role":"user","content":"hello you"}]`
	for _, x := range []struct{ path, body, want string }{
		{"chat/completions", `{"model":"bird",` + hello + `}`, `"choices":[{"index":0,"message":{"role":"assistant","content":"hello you","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}`},
		{"chat/completions", `{"model":"base",` + hello + `,"n":2}`, `"content":"HELLO YOU","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":4,"total_tokens":11}`},
		{"completions", `{"prompt":["a","b c"]}`, `"choices":[{"index":0,"text":"a","logprobs":null,"finish_reason":"stop"},{"index":1,"text":"b c","logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":14,"completion_tokens":3,"total_tokens":17}`},
		{"chat/completions", `{` + hello + `,"stream":true,"stream_options":{"include_usage":true}}`, `"delta":{"content":"hello "},"logprobs":null,"finish_reason":null}]}`},
		{"chat/completions", `{` + hello + `,"stream":true,"stream_options":{"include_usage":true}}`, `"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}}` + "\n\ndata: [DONE]\n\n"},
		{"completions", `{"prompt":"a b","stream":true}`, `"choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}]}` + "\n\ndata: [DONE]\n\n"},
	} {
		status, text := post(t, h.URL+"/v1/"+x.path, x.body)
		if status != 200 || !strings.Contains(text, x.want) {
			t.Errorf("%s: %d\n%s\nwant %s", x.body, status, text, x.want)
		}
	}
}

// What cannot be done is refused in OpenAI's form.
func TestRefusals(t *testing.T) {
	_, h := server1(t, Flags{Queue: 2, Timeout: time.Minute, Key: "k"})
	const hello = `"messages":[{"role":"user","content":"a"}]`
	key := []string{"Authorization", "Bearer k"}
	for _, x := range []struct {
		path, body string
		headers    []string
		status     int
		want       string
	}{
		{"chat/completions", `{` + hello + `}`, nil, 401, `"code":"invalid_api_key"`},
		{"chat/completions", `{` + hello + `}`, append([]string{"Host", "evil.example"}, key...), 403, "is not this machine"},
		{"chat/completions", `{` + hello + `}`, append([]string{"Content-Type", "text/plain"}, key...), 415, "application/json"},
		{"chat/completions", `{` + hello + `,"model":"x"}`, key, 404, `"code":"model_not_found"`},
		{"chat/completions", `{` + hello + `,"logprobs":true}`, key, 400, `"param":"logprobs"`},
		{"chat/completions", `{` + hello + `,"strange":1}`, key, 400, `unknown field \"strange\"`},
		{"chat/completions", `{` + hello + `,"temperature":"hot"}`, key, 400, `"param":"temperature"`},
		{"chat/completions", `{` + hello + `,"n":99}`, key, 400, `"param":"n"`},
		{"chat/completions", `[]`, key, 400, "no JSON object"},
		{"completions", `{}`, key, 400, `"param":"prompt"`},
		{"chat/completions", `{"messages":[{"role":"user","content":"long"}]}`, key, 400, `"code":"context_length_exceeded"`},
		{"chat/completions", `{"messages":[{"role":"user","content":"long"}],"stream":true}`, key, 400, `"code":"context_length_exceeded"`},
		{"nothing", `{}`, key, 404, `"code":"unknown_url"`},
	} {
		status, text := post(t, h.URL+"/v1/"+x.path, x.body, x.headers...)
		if status != x.status || !strings.Contains(text, x.want) || !strings.HasPrefix(text, `{"error":{"message":`) {
			t.Errorf("%s: %d\n%s\nwant %d %s", x.body, status, text, x.status, x.want)
		}
	}
}

// Requests that nobody waits for end, the queue is bounded, and so is the time.
func TestBounds(t *testing.T) {
	s, h := server1(t, Flags{Queue: 0, Timeout: time.Minute})
	const wait = `{"messages":[{"role":"user","content":"wait"}]}`
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for range most {
		all.Go(func() {
			r, _ := http.NewRequestWithContext(ctx, "POST", h.URL+"/v1/chat/completions", strings.NewReader(wait))
			r.Header.Set("Content-Type", "application/json")
			if a, err := http.DefaultClient.Do(r); err == nil {
				a.Body.Close()
			}
		})
	}
	until(t, func() bool { return s.inside.Load() == most })
	if status, text := post(t, h.URL+"/v1/chat/completions", wait); status != 429 || !strings.Contains(text, `"code":"queue_full"`) {
		t.Errorf("%d %s", status, text)
	}
	cancel()
	all.Wait()
	until(t, func() bool { return s.inside.Load() == 0 })
	s.f.Timeout = time.Millisecond
	for _, body := range []string{wait, strings.Replace(wait, "{", `{"stream":true,`, 1)} {
		if status, text := post(t, h.URL+"/v1/chat/completions", body); status != 504 || !strings.Contains(text, `"type":"timeout"`) {
			t.Errorf("%d %s", status, text)
		}
	}
	s.closing.Store(true)
	if status, _ := post(t, h.URL+"/v1/chat/completions", wait); status != 503 {
		t.Errorf("a server that ends answers %d", status)
	}
}

func until(t *testing.T, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it does not come to that")
		}
	}
}

// A model that ends ends what it was asked for.
func TestModelEnds(t *testing.T) {
	in, asks := io.Pipe()
	says, out := io.Pipe()
	go func() {
		fmt.Fprintln(out, `{"name":"x"}`)
		bufio.NewScanner(in).Scan()
		out.Close()
	}()
	m, err := Connect(asks, says)
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.Ask(rt.Asked{})
	if err != nil {
		t.Fatal(err)
	}
	if s, err := a.Next(t.Context()); err != nil || s.Done != "error" || s.Fault != "run" {
		t.Errorf("%+v, %v", s, err)
	}
	<-m.Gone()
	in.Close()
	if _, err := m.Ask(rt.Asked{}); err != ErrGone {
		t.Errorf("%v", err)
	}
}

// A conversation on a terminal: history, commands, base against adapter.
func TestChat(t *testing.T) {
	m := parrot(t, true)
	var out, notes strings.Builder
	lines := "one two\\\nthree\n\n/compare\na\n/base\nb\n/adapter\n/what\nlong\nc\n/exit\nd\n"
	if err := Chat(m, Flags{System: "s"}, strings.NewReader(lines), &out, &notes, false); err != nil {
		t.Fatal(err)
	}
	if want := "one two\nthree\n[base] A\n[adapter] a\nB\nc\n"; out.String() != want {
		t.Errorf("it says %q, want %q", out.String(), want)
	}
	if want := "/what is no command; /help lists them\ntoo long\n/reset forgets the conversation\n"; notes.String() != want {
		t.Errorf("it notes %q, want %q", notes.String(), want)
	}
	if err := Chat(parrot(t, false), Flags{Compare: true}, strings.NewReader("a\n"), &out, &notes, false); err == nil {
		t.Error("there is no adapter to compare with")
	}
}

// Flags of chat and serve are told from those of the trainer.
func TestFlags(t *testing.T) {
	f, rest, err := ServeFlags([]string{"a.yaml", "--port", "9", "--threads", "2", "--host=::1", "--request_timeout", "5s"})
	if err != nil || f.Port != 9 || f.Host != "::1" || f.Timeout != 5*time.Second || strings.Join(rest, " ") != "a.yaml --threads 2" {
		t.Errorf("%+v, %q, %v", f, rest, err)
	}
	for _, wrong := range [][]string{{"--port", "x"}, {"--port"}, {"--request_timeout", "-1s"}} {
		if _, _, err := ServeFlags(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
	if f, rest, err := ChatFlags([]string{"--stop", "a", "--stop=b", "--compare", "True", "--port", "1"}); err != nil || len(f.Stop) != 2 || !f.Compare || len(rest) != 2 {
		t.Errorf("%+v, %q, %v", f, rest, err)
	}
}
