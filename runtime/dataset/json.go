package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sort"
	"strings"
)

// record is one row of JSON in any of the known formats.
type record struct {
	Instruction *string `json:"instruction"`
	Input       *string `json:"input"`
	Output      *string `json:"output"`

	Prompt     *string `json:"prompt"`
	Completion *string `json:"completion"`
	Question   *string `json:"question"`
	Answer     *string `json:"answer"`

	System        string `json:"system"`
	Conversations []turn `json:"conversations"`
	Messages      []turn `json:"messages"`

	Text     *string `json:"text"`
	InputIDs []int64 `json:"input_ids"`
	Labels   []int64 `json:"labels"`
}

type turn struct {
	From    string `json:"from"`
	Value   string `json:"value"`
	Role    string `json:"role"`
	Content string `json:"content"`
}

// readJSON reads a JSON array of rows, or one row a line.
func (s *Set) readJSON(file string, o *Options) error {
	f, err := os.Open(file)
	if err != nil {
		return fmt.Errorf("cannot read the data set: %w", err)
	}
	defer f.Close()
	lines := &lineCounter{r: f}
	r := bufio.NewReaderSize(lines, 1<<16)
	dec := json.NewDecoder(r)
	array, err := startsArray(r)
	if err != nil {
		return fmt.Errorf("%s is empty", file)
	}
	place := func() int { return lines.lineAt(dec.InputOffset()) }
	if array {
		if _, err := dec.Token(); err != nil {
			return fmt.Errorf("%s:%d: %v", file, place(), err)
		}
	}
	for row := 1; dec.More(); row++ {
		var raw json.RawMessage
		if err := dec.Decode(&raw); err != nil {
			return fmt.Errorf("%s:%d: row %d is no JSON: %v", file, place(), row, err)
		}
		var rec record
		if err := json.Unmarshal(raw, &rec); err != nil {
			return fmt.Errorf("%s:%d: row %d: %v", file, place(), row, explain(err, raw))
		}
		if err := s.addRecord(file, row, &rec, raw, o); err != nil {
			return fmt.Errorf("%s:%d: row %d: %w", file, place(), row, err)
		}
	}
	if array {
		if _, err := dec.Token(); err != nil {
			return fmt.Errorf("%s:%d: the list of rows has no end: %v", file, place(), err)
		}
	} else if _, err := dec.Token(); err != io.EOF {
		return fmt.Errorf("%s:%d: something that is no row follows", file, place())
	}
	return nil
}

// startsArray looks at the first character that is no space.
func startsArray(r *bufio.Reader) (bool, error) {
	if b, err := r.Peek(3); err == nil && bytes.Equal(b, []byte("\xef\xbb\xbf")) {
		r.Discard(3)
	}
	for {
		b, err := r.Peek(1)
		if err != nil {
			return false, err
		}
		if strings.IndexByte(" \t\r\n", b[0]) < 0 {
			return b[0] == '[', nil
		}
		r.Discard(1)
	}
}

// lineCounter remembers where lines begin, for messages.
type lineCounter struct {
	r     io.Reader
	n     int64
	lines []int64
}

func (l *lineCounter) Read(p []byte) (int, error) {
	n, err := l.r.Read(p)
	for i, b := range p[:n] {
		if b == '\n' {
			l.lines = append(l.lines, l.n+int64(i))
		}
	}
	l.n += int64(n)
	return n, err
}

func (l *lineCounter) lineAt(offset int64) int {
	return 1 + sort.Search(len(l.lines), func(i int) bool { return l.lines[i] >= offset })
}

// explain says which key has the wrong type.
func explain(err error, raw json.RawMessage) error {
	var te *json.UnmarshalTypeError
	if errors.As(err, &te) && te.Field != "" {
		return fmt.Errorf("`%s` is a %s where a %s is due", te.Field, te.Value, te.Type)
	}
	if len(raw) > 0 && raw[0] != '{' {
		return errors.New("a row must be an object")
	}
	return err
}

// format recognises what kind of row it is.
func (r *record) format() string {
	switch {
	case r.InputIDs != nil:
		return "tokens"
	case r.Conversations != nil:
		return "sharegpt"
	case r.Messages != nil:
		return "messages"
	case r.Instruction != nil && r.Output != nil:
		return "alpaca"
	case r.Prompt != nil && r.Completion != nil, r.Question != nil && r.Answer != nil:
		return "completion"
	case r.Text != nil:
		return "text"
	}
	return ""
}

func (s *Set) addRecord(file string, row int, r *record, raw json.RawMessage, o *Options) error {
	format := r.format()
	if format == "" || o.Format != "auto" && o.Format != "" && o.Format != format {
		want := "instruction+output, prompt+completion, question+answer, conversations, messages, text or input_ids"
		if format != "" {
			want = "the keys of the format `" + o.Format + "`"
		}
		return fmt.Errorf("its keys are %s; wanted are %s", keys(raw), want)
	}
	if s.Stats.Format == "" {
		s.Stats.Format = format
	} else if s.Stats.Format != format {
		s.Stats.Format = "mixed"
	}
	if format == "tokens" {
		return s.addTokens(file, row, r, o)
	}
	if o.Tokenizer == nil {
		return errors.New("text needs a tokenizer; give --tokenizer tokenizer.model, or set processor.tokenizer.vocab_file")
	}
	w := &writer{o: o}
	var reason string
	switch format {
	case "alpaca":
		input := ""
		if r.Input != nil {
			input = *r.Input
		}
		reason = w.alpaca(*r.Instruction, input, *r.Output)
	case "completion":
		prompt, answer := r.Prompt, r.Completion
		if prompt == nil || answer == nil {
			q := *r.Question + "\n"
			prompt, answer = &q, r.Answer
		}
		reason = w.completion(*prompt, *answer)
	case "sharegpt":
		reason = w.conversation(r.System, r.Conversations)
	case "messages":
		reason = w.conversation("", fromMessages(r.Messages))
	case "text":
		reason = w.text(*r.Text)
	}
	if reason != "" {
		s.skip(file, row, reason)
		return nil
	}
	if err := inVocab(w.tokens, o.Vocab); err != nil {
		return err
	}
	s.add(file, row, w.tokens, w.labels, o)
	return nil
}

// addTokens takes ids as they are.
func (s *Set) addTokens(file string, row int, r *record, o *Options) error {
	if r.Labels != nil && len(r.Labels) != len(r.InputIDs) {
		return fmt.Errorf("%d labels for %d input_ids", len(r.Labels), len(r.InputIDs))
	}
	tokens, labels := make([]int32, len(r.InputIDs)), make([]int32, len(r.InputIDs))
	for i, id := range r.InputIDs {
		if id < 0 || id >= int64(o.Vocab) {
			return fmt.Errorf("input_ids[%d] is %d, the vocabulary has %d ids", i, id, o.Vocab)
		}
		tokens[i] = int32(id)
		l := id
		if r.Labels != nil {
			l = r.Labels[i]
		}
		if l == int64(o.IgnoreID) {
			l = Ignore
		} else if l < 0 || l >= int64(o.Vocab) {
			return fmt.Errorf("labels[%d] is %d, neither an id nor %d", i, l, o.IgnoreID)
		}
		labels[i] = int32(l)
	}
	if r.Labels == nil {
		// Without labels everything is supervised but the padding at the end.
		for i := len(tokens) - 1; i >= 0 && tokens[i] == o.PadID; i-- {
			labels[i] = Ignore
		}
	}
	s.add(file, row, tokens, labels, o)
	return nil
}

func inVocab(tokens []int32, vocab int) error {
	for _, id := range tokens {
		if int(id) >= vocab {
			return fmt.Errorf("the tokenizer gives id %d, the model's vocabulary has %d; they do not belong together", id, vocab)
		}
	}
	return nil
}

func keys(raw json.RawMessage) string {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil || len(m) == 0 {
		return "none"
	}
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	sort.Strings(out)
	return strings.Join(out, ", ")
}
