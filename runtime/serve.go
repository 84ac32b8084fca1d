package rt

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"lorac/runtime/data/chat"
	"lorac/runtime/exit"
	"lorac/runtime/infer"
	"lorac/runtime/wire"
)

// serving reports whether arguments ask for a run that serves, before they are read.
func serving(args []string) bool {
	for i, a := range args {
		name, value, has := strings.Cut(strings.TrimLeft(a, "-"), "=")
		if !has && i+1 < len(args) {
			value = args[i+1]
		}
		if name == "serve" && strings.EqualFold(value, "true") {
			return true
		}
	}
	return false
}

// server answers requests.
type server struct {
	r    *Run
	talk *talk
	stop []string // texts that end an answer of the template

	mu      sync.Mutex
	come    sync.Cond
	waiting []*infer.Request
	asked   map[string]*atomic.Bool // requests that are not answered, and whether they are gone
	ended   bool                    // no more will come
	number  int

	out   sync.Mutex
	w     io.Writer
	wrong error // of writing
}

// serve answers requests until standard input ends.
func (r *Run) serve(in io.Reader, out io.Writer) error {
	if r.data.tok == nil {
		return exit.Inputf("answers are texts, which need a tokenizer; give --tokenizer tokenizer.model")
	}
	if r.world.size() > 1 {
		return exit.Usagef("--serve True is for one process; there are %d", r.world.size())
	}
	prompt, err := r.chatPrompt()
	if err != nil {
		return err
	}
	t, err := r.talkBy(prompt)
	if err != nil {
		return err
	}
	s := &server{r: r, talk: t, asked: map[string]*atomic.Bool{}, w: out}
	s.come.L = &s.mu
	if id, text := endOf(t.template, t.tokens, t.tok); id < 0 && text != "" {
		s.stop = []string{text}
	}
	adapter := r.opts.LoadAdapter != "" || r.Loader.adapted()
	change := func(int) {}
	if adapter {
		change = r.Loader.adapterSwitch()
	}
	adapter = adapter && change != nil
	if change == nil {
		change = func(int) {}
	}
	s.write(wire.Ready{Name: r.job.Name, Prompt: prompt, Adapter: adapter, SeqLength: r.job.SeqLength, Threads: r.k.Threads()})
	go s.read(in, adapter)
	err = r.gen.Serve(s.next, change)
	if err == nil {
		err = s.wrong
	}
	return err
}

// chatPrompt is the template by which a run talks: as --prompt says, else as its adapter
// was trained, else the tokenizer's own where that is compiled in, else vicuna, as
// conversations are trained on by default.
func (r *Run) chatPrompt() (string, error) {
	was, ok, err := r.adapterRendering()
	if err != nil {
		return "", err
	}
	asked := r.job.TrainData.Prompt
	switch {
	case asked != "":
		if ok {
			r.compareRendering(was, asked)
		}
	case ok && was.Prompt != "":
		asked = was.Prompt
		r.out.Say("conversations are rendered by the prompt %s, as the adapter was trained", asked)
	case r.job.Chat != nil:
		asked = chat.Own
	default:
		asked = "vicuna"
		r.out.Say("note: nothing says how conversations are rendered; vicuna is taken, --prompt names another")
	}
	if asked == "plain" && was.Format == "completion" {
		asked = "completion"
	}
	return asked, nil
}

func (s *server) write(v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: rt: an answer that is no JSON: " + err.Error())
	}
	s.out.Lock()
	defer s.out.Unlock()
	if _, err := s.w.Write(append(text, '\n')); err != nil && s.wrong == nil {
		s.wrong = exit.Failedf("cannot write to standard output: %w", err)
		s.close()
	}
}

// close has the run end: what is asked for is gone.
func (s *server) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	for _, gone := range s.asked {
		gone.Store(true)
	}
	s.come.Broadcast()
}

// longestLine bounds a request, in bytes.
const longestLine = 64 << 20

// read takes requests.
func (s *server) read(in io.Reader, adapter bool) {
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), longestLine)
	for lines.Scan() {
		var q wire.Asked
		if err := json.Unmarshal(lines.Bytes(), &q); err != nil {
			s.refuse(q.ID, "request", fmt.Errorf("a request is no JSON object: %w", err))
			continue
		}
		if q.Cancel {
			s.mu.Lock()
			if gone := s.asked[q.ID]; gone != nil {
				gone.Store(true)
			}
			s.mu.Unlock()
			continue
		}
		s.take(&q, adapter)
	}
	s.mu.Lock()
	s.ended = true
	s.come.Broadcast()
	s.mu.Unlock()
}

func (s *server) refuse(id, fault string, err error) {
	s.write(wire.Said{ID: id, Done: "error", Fault: fault, Error: err.Error()})
}

// take queues a request, or refuses it.
func (s *server) take(q *wire.Asked, adapter bool) {
	ids, err := s.prompt(q)
	if err != nil {
		s.refuse(q.ID, "request", err)
		return
	}
	j := s.r.job
	if len(ids) >= j.SeqLength {
		s.refuse(q.ID, "length", fmt.Errorf("the prompt has %d ids, the longest text %d with the answer", len(ids), j.SeqLength))
		return
	}
	limit := max(infer.Longest(j, len(ids))-len(ids), 1)
	if q.MaxTokens > 0 {
		limit = q.MaxTokens
	}
	gone := &atomic.Bool{}
	speaker := &infer.Speaker{Stops: slices.Concat(s.stop, q.Stop)}
	begun, n := q.Prompt != nil, 0
	said := func(text string) wire.Said {
		if !begun && text != "" { // the space that a first word begins with
			text, begun = strings.TrimPrefix(text, " "), true
		}
		return wire.Said{ID: q.ID, Text: text, PromptTokens: len(ids), Tokens: n}
	}
	r := &infer.Request{Prompt: ids, Predict: s.predict(q), Limit: min(limit, j.SeqLength-len(ids)), Gone: gone.Load}
	if adapter && !q.Base {
		r.Kind = 1
	}
	r.Emit = func(id int32) bool {
		n++
		text, ended := speaker.Add(s.talk.tok.Piece(id))
		if part := said(text); part.Text != "" {
			s.write(part)
		}
		return ended
	}
	r.Done = func(why string, err error) {
		s.mu.Lock()
		delete(s.asked, q.ID)
		s.mu.Unlock()
		if err != nil {
			if errors.Is(err, infer.ErrNotFinite) {
				err = s.r.Loader.notFinite(err.Error())
			}
			s.refuse(q.ID, "run", err)
			return
		}
		last := said("")
		if why != "gone" && !speaker.Ended {
			last = said(speaker.Rest())
		}
		last.Done = why
		s.write(last)
	}
	if q.ID == "" {
		s.refuse(q.ID, "request", errors.New("a request needs an id"))
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Seed = j.Seed + s.number
	if q.Seed != nil {
		r.Seed = *q.Seed
	}
	s.number++
	s.asked[q.ID] = gone
	s.waiting = append(s.waiting, r)
	s.come.Broadcast()
}

// predict is how the ids of a request are picked: as the job says, but for what the
// request says. One that gives a temperature is sampled, at 0 not.
func (s *server) predict(q *wire.Asked) Predict {
	p := s.r.job.Predict
	p.MinLength, p.MinNew = 0, 0
	if q.Temperature != nil {
		p.DoSample, p.TopK = *q.Temperature > 0, 0
		if p.DoSample {
			p.Temperature = *q.Temperature
		}
	}
	if q.TopP != nil {
		p.TopP = *q.TopP
	}
	if q.TopK != nil {
		p.TopK = *q.TopK
	}
	if q.RepetitionPenalty != nil {
		p.RepetitionPenalty = *q.RepetitionPenalty
	}
	return p
}

// prompt is what a request is rendered to.
func (s *server) prompt(q *wire.Asked) ([]int32, error) {
	j := s.r.job
	if q.Prompt != nil {
		ids := s.r.data.tok.Encode(*q.Prompt)
		if len(ids) == 0 || j.Begin() >= 0 && ids[0] != int32(j.BosID) {
			ids = append([]int32{int32(j.BosID)}, ids...)
		}
		return ids, nil
	}
	messages, err := listOf("messages", q.Messages)
	if err != nil {
		return nil, err
	}
	if len(messages) == 0 {
		return nil, errors.New("there are neither messages nor a prompt")
	}
	tools, err := listOf("tools", q.Tools)
	if err != nil {
		return nil, err
	}
	for i, m := range messages {
		if err := checkMessage(m); err != nil {
			return nil, fmt.Errorf("messages[%d]: %w", i, err)
		}
	}
	text, err := s.talk.text(messages, tools)
	if err != nil {
		return nil, err
	}
	return s.talk.tok.Encode(text), nil
}

func listOf(key string, raw json.RawMessage) ([]any, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	v, err := chat.JSON(raw)
	list, ok := v.([]any)
	if err != nil || !ok {
		return nil, fmt.Errorf("`%s` is no list", key)
	}
	return list, nil
}

// checkMessage brings a message of OpenAI's form into the one that templates read: parts
// of text are one text, arguments of calls are values.
func checkMessage(v any) error {
	m, ok := v.(*chat.Map)
	if !ok {
		return errors.New("it is no object")
	}
	if role, _ := m.Get("role"); role == nil || chat.Text(role) == "" {
		return errors.New("it has no role")
	}
	content, has := m.Get("content")
	calls, _ := m.Get("tool_calls")
	switch c := content.(type) {
	case string:
	case []any:
		var text strings.Builder
		for _, part := range c {
			p, ok := part.(*chat.Map)
			if !ok {
				return errors.New("a part of `content` is no object")
			}
			t, ok := chat.Attr(p, "text").(string)
			if !ok {
				return fmt.Errorf("a part of `content` is of the type %q; only text is read", chat.Text(chat.Attr(p, "type")))
			}
			text.WriteString(t)
		}
		m.Set("content", text.String())
	default:
		if content != nil || !chat.True(calls) {
			return fmt.Errorf("`content` is no text")
		}
		if !has {
			m.Set("content", nil)
		}
	}
	list, _ := calls.([]any)
	for _, call := range list {
		c, ok := call.(*chat.Map)
		if !ok {
			continue
		}
		f, ok := chat.Attr(c, "function").(*chat.Map)
		if !ok {
			continue
		}
		if text, ok := chat.Attr(f, "arguments").(string); ok {
			if v, err := chat.JSON([]byte(text)); err == nil {
				f.Set("arguments", v)
			}
		}
	}
	return nil
}

// next is the request that has waited longest.
func (s *server) next(wait bool) (*infer.Request, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for wait && len(s.waiting) == 0 && !s.ended {
		s.come.Wait()
	}
	if len(s.waiting) == 0 {
		return nil, !s.ended
	}
	q := s.waiting[0]
	s.waiting = s.waiting[1:]
	return q, true
}

// adapterSwitch gives the function that has the adapter count (1) or not (0): without
// it its factors B are zero, magnitudes the norms of the base, and whole modules the base's.
// Nil where the adapter is not in the memory of this process.
func (l *Loader) adapterSwitch() func(kind int) {
	if l.job.Device != "" {
		return nil
	}
	type factor struct{ now, with, without []float32 }
	var all []factor
	type module struct {
		now, with []float32
		without   func(x []float32)
	}
	var modules []module
	l.eachModule(func(name string, s *Stack, i int) error {
		n := s.Rows * s.Cols
		now := s.Data[i*n : (i+1)*n]
		modules = append(modules, module{now, slices.Clone(now), func(x []float32) { l.moduleOfBase(x, name, s) }})
		return nil
	})
	for _, s := range slices.Concat(l.params, l.fixed) {
		if isAdapter(s.Names[0]) && strings.HasSuffix(s.Names[0], "_b") {
			all = append(all, factor{s.Data, slices.Clone(s.Data), nil})
			clear(s.Data)
		}
	}
	for _, m := range l.magnitudesOfBase() {
		all = append(all, factor{m.now, slices.Clone(m.now), m.norms})
	}
	of := func(kind int) {
		for _, f := range all {
			switch {
			case kind == 1:
				copy(f.now, f.with)
			case f.without != nil:
				copy(f.now, f.without)
			default:
				clear(f.now)
			}
		}
		for _, m := range modules {
			if kind == 1 {
				copy(m.now, m.with)
			} else {
				m.without(m.now)
			}
		}
	}
	of(1)
	return of
}
