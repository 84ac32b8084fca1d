// Package serve answers requests over HTTP as OpenAI's servers do, by a model that is a
// process of its own. lorac-serve alone links it: net/http and TLS would be a
// sixth of what a first build of lorac costs.
package serve

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/subtle"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"time"

	"lorac/cmd/lorac/talk/model"
	"lorac/runtime/sys/signals"
	"lorac/runtime/wire"
)

// server answers HTTP requests by a model.
type server struct {
	m       *model.Model
	f       model.Server
	local   bool         // it listens for this machine alone
	inside  atomic.Int32 // requests that are answered or wait
	closing atomic.Bool
	started time.Time
}

// page tries base against adapter.
//
//go:embed page.html
var page []byte

// Bases is the name of the model without its adapter.
const Bases = "base"

// name is the name of the model that answers unless another is asked for.
func (s *server) name() string {
	if s.m.Ready.Adapter {
		return s.m.Ready.Name
	}
	return Bases
}

// models lists those that may be asked for.
func (s *server) models() []string {
	if s.m.Ready.Adapter {
		return []string{s.m.Ready.Name, Bases}
	}
	return []string{Bases}
}

// Handler answers requests as OpenAI's servers do.
func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'")
		w.Write(page) //nolint:errcheck // who asked has gone
	})
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]any{"status": "ok", "waiting": s.inside.Load()})
	})
	mux.HandleFunc("GET /v1/models", func(w http.ResponseWriter, _ *http.Request) {
		list := []any{}
		for _, name := range s.models() {
			list = append(list, s.model(name))
		}
		writeJSON(w, http.StatusOK, map[string]any{"object": "list", "data": list})
	})
	mux.HandleFunc("GET /v1/models/{name}", func(w http.ResponseWriter, r *http.Request) {
		if _, err := s.base(r.PathValue("name")); err != nil {
			refuse(w, err)
			return
		}
		writeJSON(w, http.StatusOK, s.model(r.PathValue("name")))
	})
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) { s.complete(w, r, true) })
	mux.HandleFunc("POST /v1/completions", func(w http.ResponseWriter, r *http.Request) { s.complete(w, r, false) })
	for path, method := range map[string]string{"/v1/chat/completions": "POST", "/v1/completions": "POST", "/v1/models": "GET"} {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Allow", method)
			refuse(w, faultOf(http.StatusMethodNotAllowed, "invalid_request_error", "method_not_supported", fmt.Sprintf("%s takes %s, not %s", path, method, r.Method)))
		})
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		text := fmt.Sprintf("Unknown request URL: %s %s", r.Method, r.URL.Path)
		if !strings.HasPrefix(r.URL.Path, "/v1/") {
			text += "; those of OpenAI begin with /v1/"
		}
		refuse(w, faultOf(http.StatusNotFound, "invalid_request_error", "unknown_url", text))
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.admit(r); err != nil {
			refuse(w, err)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *server) model(name string) map[string]any {
	return map[string]any{"id": name, "object": "model", "created": s.started.Unix(), "owned_by": "lorac", "max_model_len": s.m.Ready.SeqLength, "template": s.m.Ready.Prompt}
}

// admit refuses requests that a page of another site has this machine's browser send, and
// those without the key.
func (s *server) admit(r *http.Request) error {
	if s.local {
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		ip := net.ParseIP(strings.Trim(host, "[]"))
		if host != "localhost" && (ip == nil || !ip.IsLoopback()) {
			return faultOf(http.StatusForbidden, "invalid_request_error", "", fmt.Sprintf("the host %q is not this machine; --host listens for others", host))
		}
	}
	if r.Method == http.MethodPost {
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
			return faultOf(http.StatusUnsupportedMediaType, "invalid_request_error", "", "the Content-Type must be application/json")
		}
	}
	if s.f.Key != "" && strings.HasPrefix(r.URL.Path, "/v1/") {
		key := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(key), []byte(s.f.Key)) != 1 {
			return faultOf(http.StatusUnauthorized, "invalid_request_error", "invalid_api_key", "Incorrect API key provided")
		}
	}
	return nil
}

// base reports whether a name is that of the model without its adapter.
func (s *server) base(name string) (bool, error) {
	switch {
	case name == "" || name == s.name():
		return !s.m.Ready.Adapter, nil
	case name == Bases:
		return true, nil
	}
	return false, faultOf(http.StatusNotFound, "invalid_request_error", "model_not_found", fmt.Sprintf("The model `%s` does not exist; there are %s", name, strings.Join(s.models(), ", ")))
}

// complete answers a request for texts.
func (s *server) complete(w http.ResponseWriter, r *http.Request, chat bool) {
	if s.closing.Load() {
		refuse(w, faultOf(http.StatusServiceUnavailable, "server_error", "", "the server is shutting down"))
		return
	}
	text, err := readAll(w, r)
	if err != nil {
		refuse(w, err)
		return
	}
	b, err := readBody(text, chat)
	if err != nil {
		refuse(w, err)
		return
	}
	base, err := s.base(b.Model)
	if err != nil {
		refuse(w, err)
		return
	}
	list, err := b.asked(base)
	if err != nil {
		refuse(w, err)
		return
	}
	n := int32(len(list))
	if int(s.inside.Add(n)) > s.f.Queue+most {
		s.inside.Add(-n)
		refuse(w, faultOf(http.StatusTooManyRequests, "rate_limit_error", "queue_full", fmt.Sprintf("%d requests wait already; try again later", s.f.Queue)))
		return
	}
	defer s.inside.Add(-n)
	ctx, cancel := context.WithTimeout(r.Context(), s.f.Timeout)
	defer cancel()
	var answers []*model.Answer
	for _, q := range list {
		a, err := s.m.Ask(q)
		if err != nil {
			refuse(w, faultOf(http.StatusServiceUnavailable, "server_error", "", err.Error()))
			return
		}
		answers = append(answers, a)
	}
	x := &exchange{w: w, chat: chat, answers: answers, usage: make([]usage, len(answers)), body: b}
	x.reply = reply{ID: "cmpl-" + rand.Text(), Object: "text_completion", Created: time.Now().Unix(), Model: b.Model}
	if x.reply.Model == "" {
		x.reply.Model = s.name()
	}
	if chat {
		x.reply.ID, x.reply.Object = "chat"+x.reply.ID, "chat.completion"
	}
	if b.Stream {
		x.stream(ctx)
		return
	}
	x.whole(ctx)
}

// exchange is one request that is answered.
type exchange struct {
	w       http.ResponseWriter
	chat    bool
	body    *body
	answers []*model.Answer
	usage   []usage
	reply   reply
}

// count keeps the numbers of tokens that a part tells.
func (x *exchange) count(i int, s wire.Said) {
	x.usage[i] = usage{s.PromptTokens, s.Tokens, s.PromptTokens + s.Tokens}
}

func (x *exchange) total() *usage {
	sum := &usage{}
	prompts := len(x.answers)
	if n := x.body.N; n != nil { // choices of one prompt share it
		prompts /= *n
	}
	for i, u := range x.usage {
		sum.Completion += u.Completion
		if i%max(len(x.answers)/max(prompts, 1), 1) == 0 {
			sum.Prompt += u.Prompt
		}
	}
	sum.Total = sum.Prompt + sum.Completion
	return sum
}

// give up has the model stop.
func (x *exchange) giveUp() {
	for _, a := range x.answers {
		a.Cancel()
	}
}

func ended(err error) *fault {
	if errors.Is(err, context.DeadlineExceeded) {
		return faultOf(http.StatusGatewayTimeout, "timeout", "", "the request took longer than --request_timeout allows")
	}
	return faultOf(499, "server_error", "", "the client has gone")
}

// whole answers when all is there.
func (x *exchange) whole(ctx context.Context) {
	for i, a := range x.answers {
		var b strings.Builder
		for {
			s, err := a.Next(ctx)
			if err != nil {
				x.giveUp()
				refuse(x.w, ended(err))
				return
			}
			if s.Done == "error" {
				x.giveUp()
				refuse(x.w, faultOfSaid(s))
				return
			}
			b.WriteString(s.Text)
			x.count(i, s)
			if s.Done != "" {
				c := part(x.chat, false, i, b.String())
				c.Finish = &s.Done
				x.reply.Choices = append(x.reply.Choices, c)
				break
			}
		}
	}
	x.reply.Usage = x.total()
	writeJSON(x.w, http.StatusOK, x.reply)
}

// slowest is the longest that a client may take to receive a pawire.
const slowest = 30 * time.Second

// stream answers by server-sent events, as the texts come.
func (x *exchange) stream(ctx context.Context) {
	type of struct {
		i   int
		s   wire.Said
		err error
	}
	parts := make(chan of)
	ctx, cancel := context.WithCancel(ctx)
	quit := make(chan struct{})
	defer func() { close(quit); cancel() }()
	for i, a := range x.answers {
		go func() {
			for {
				s, err := a.Next(ctx)
				select {
				case parts <- of{i, s, err}:
				case <-quit:
					a.Cancel()
					return
				}
				if err != nil || s.Done != "" {
					return
				}
			}
		}()
	}
	begun, control := false, http.NewResponseController(x.w)
	send := func(v any) bool {
		text, err := json.Marshal(v)
		if err != nil {
			panic("BUG: serve: an answer that is no JSON: " + err.Error())
		}
		control.SetWriteDeadline(time.Now().Add(slowest)) //nolint:errcheck // tests have a writer without
		if _, err := fmt.Fprintf(x.w, "data: %s\n\n", text); err != nil {
			return false
		}
		return control.Flush() == nil
	}
	chunk := func(c ...choice) bool {
		r := x.reply
		if r.Choices = c; c == nil {
			r.Choices = []choice{}
		}
		if x.chat {
			r.Object = "chat.completion.chunk"
		}
		return send(r)
	}
	begin := func() bool {
		begun = true
		x.w.Header().Set("Content-Type", "text/event-stream")
		x.w.Header().Set("Cache-Control", "no-cache")
		for i := range x.answers {
			if x.chat {
				empty := ""
				if !chunk(choice{Index: i, Delta: &delta{Role: "assistant", Content: &empty}}) {
					return false
				}
			}
		}
		return true
	}
	for left := len(x.answers); left > 0; {
		p := <-parts
		f := (*fault)(nil)
		switch {
		case p.err != nil:
			f = ended(p.err)
		case p.s.Done == "error":
			f = faultOfSaid(p.s)
		}
		if f != nil && !begun {
			refuse(x.w, f)
			return
		}
		if f != nil {
			send(map[string]any{"error": f})
			return
		}
		if !begun && !begin() {
			return
		}
		x.count(p.i, p.s)
		if p.s.Text != "" && !chunk(part(x.chat, true, p.i, p.s.Text)) {
			return
		}
		if p.s.Done == "" {
			continue
		}
		left--
		c := choice{Index: p.i, Finish: &p.s.Done, Delta: &delta{}}
		if !x.chat {
			empty := ""
			c.Delta, c.Text = nil, &empty
		}
		if !chunk(c) {
			return
		}
	}
	if o := x.body.StreamOptions; o != nil && o.Usage {
		x.reply.Usage = x.total()
		if !chunk() {
			return
		}
	}
	fmt.Fprint(x.w, "data: [DONE]\n\n") //nolint:errcheck // who asked has gone
	control.Flush()                     //nolint:errcheck // the same
}

// grace is what requests have to end in when the server is asked to.
const grace = 10 * time.Second

// Run starts a model and answers by it, until it is asked to end or the model ends. A
// port that is taken is said before the model reads its weights.
func Run(f model.Server, bin string, args []string) error {
	l, err := f.Listen()
	if err != nil {
		return err
	}
	defer l.Close()
	m, err := model.Start(bin, args)
	if err != nil {
		return err
	}
	err = answer(m, f, l)
	return cmp.Or(err, m.Close(0))
}

// answer answers what comes to a listener.
func answer(m *model.Model, f model.Server, l net.Listener) error {
	s := &server{m: m, f: f, started: time.Now()}
	if at, ok := l.Addr().(*net.TCPAddr); ok {
		s.local = at.IP.IsLoopback()
	}
	h := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10}
	came := make(chan os.Signal, 2)
	signal.Notify(came, signals.Ends()...)
	defer signal.Stop(came)
	failed := make(chan error, 1)
	go func() { failed <- h.Serve(l) }()
	fmt.Fprintf(os.Stderr, "%s at http://%s/v1, template %s; a page to try it at http://%s/\n", strings.Join(s.models(), " and "), l.Addr(), m.Ready.Prompt, l.Addr())
	if !s.local && f.Key == "" {
		fmt.Fprintln(os.Stderr, "warning: whoever reaches this address may use the model; --api_key KEY asks for a key")
	}
	select {
	case err := <-failed:
		return err
	case <-m.Gone():
		h.Close()
		if err := m.Err(); err != nil {
			return fmt.Errorf("the model has ended: %w", err)
		}
		return errors.New("the model has ended")
	case <-came:
	}
	fmt.Fprintln(os.Stderr, "ending: requests have ten seconds")
	s.closing.Store(true)
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	go func() {
		select {
		case <-came:
			cancel()
		case <-ctx.Done():
		}
	}()
	if h.Shutdown(ctx) != nil {
		h.Close()
	}
	return m.Close(grace)
}
