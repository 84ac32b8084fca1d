package serve

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"lorac/cmd/lorac/talk/model"
	"lorac/cmd/lorac/talk/modeltest"
)

func server1(t *testing.T, f model.Server) (*server, *httptest.Server) {
	t.Helper()
	s := &server{m: modeltest.Parrot(t, true), f: f, local: true, started: time.Now()}
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

var plain = model.Server{Queue: 2, Timeout: time.Minute}

// Answers have OpenAI's form, whole and streamed.
func TestCompletions(t *testing.T) {
	_, h := server1(t, plain)
	const hello = `"messages":[{"role":"user","content":"hello you"}]`
	for _, x := range []struct{ path, body, want string }{
		{"chat/completions", `{"model":"bird",` + hello + `}`, `"choices":[{"index":0,"message":{"role":"assistant","content":"hello you","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":2,"total_tokens":9}`},
		{"chat/completions", `{"model":"base",` + hello + `,"n":2}`, `"content":"HELLO YOU","refusal":null},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":4,"total_tokens":11}`},
		{"chat/completions", `{` + hello + `,"functions":null,"prediction":null,"strange":null,"modalities":["text"],"reasoning_effort":null,"max_tokens":null}`, `"content":"hello you"`},
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
	_, h := server1(t, model.Server{Queue: 2, Timeout: time.Minute, Key: "k"})
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
		{"chat/completions", `{` + hello + `,"modalities":["text","audio"]}`, key, 400, `"param":"modalities"`},
		{"chat/completions", `{"messages":null}`, key, 400, `"param":"messages"`},
		{"chat/completions", `{` + hello + `,"strange":1}`, key, 400, `unknown field \"strange\"`},
		{"chat/completions", `{` + hello + `,"temperature":"hot"}`, key, 400, `"param":"temperature"`},
		{"chat/completions", `{` + hello + `,"n":99}`, key, 400, `"param":"n"`},
		{"chat/completions", `[]`, key, 400, "no JSON object: it is a JSON array"},
		{"completions", `{}`, key, 400, `"param":"prompt"`},
		{"chat/completions", `{"messages":[{"role":"user","content":"long"}]}`, key, 400, `"code":"context_length_exceeded"`},
		{"chat/completions", `{"messages":[{"role":"user","content":"long"}],"stream":true}`, key, 400, `"code":"context_length_exceeded"`},
		{"nothing", `{}`, key, 404, `"code":"unknown_url"`},
		{"../chat/completions", `{}`, key, 404, "begin with /v1/"},
		{"models", `{}`, key, 405, "/v1/models takes GET, not POST"},
	} {
		status, text := post(t, h.URL+"/v1/"+x.path, x.body, x.headers...)
		if status != x.status || !strings.Contains(text, x.want) || !strings.HasPrefix(text, `{"error":{"message":`) {
			t.Errorf("%s: %d\n%s\nwant %d %s", x.body, status, text, x.status, x.want)
		}
	}
}

// Requests that nobody waits for end, the queue is bounded, and so is the time.
func TestBounds(t *testing.T) {
	s, h := server1(t, model.Server{Queue: 0, Timeout: time.Minute})
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
