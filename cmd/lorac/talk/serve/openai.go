package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"lorac/runtime/wire"
)

// fault is an error in OpenAI's form.
type fault struct {
	status  int
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

func (f *fault) Error() string { return f.Message }

func wrong(param, format string, args ...any) *fault {
	f := &fault{status: http.StatusBadRequest, Message: fmt.Sprintf(format, args...), Type: "invalid_request_error"}
	if param != "" {
		f.Param = &param
	}
	return f
}

func faultOf(status int, kind, code, message string) *fault {
	f := &fault{status: status, Message: message, Type: kind}
	if code != "" {
		f.Code = &code
	}
	return f
}

// body is a request of either kind.
type body struct {
	Model    string          `json:"model"`
	Messages json.RawMessage `json:"messages"`
	Prompt   json.RawMessage `json:"prompt"`
	Tools    json.RawMessage `json:"tools"`

	Stream        bool `json:"stream"`
	StreamOptions *struct {
		Usage bool `json:"include_usage"`
		Pad   any  `json:"include_obfuscation"`
	} `json:"stream_options"`

	MaxTokens         *int            `json:"max_tokens"`
	MaxCompletion     *int            `json:"max_completion_tokens"`
	Temperature       *float64        `json:"temperature"`
	TopP              *float64        `json:"top_p"`
	TopK              *int            `json:"top_k"`
	RepetitionPenalty *float64        `json:"repetition_penalty"`
	Seed              *int            `json:"seed"`
	Stop              json.RawMessage `json:"stop"`
	N                 *int            `json:"n"`

	// What is refused unless it asks for nothing.
	ToolChoice json.RawMessage `json:"tool_choice"`
	Format     json.RawMessage `json:"response_format"`
	LogProbs   json.RawMessage `json:"logprobs"`
	TopLog     json.RawMessage `json:"top_logprobs"`
	Bias       json.RawMessage `json:"logit_bias"`
	Presence   *float64        `json:"presence_penalty"`
	Frequency  *float64        `json:"frequency_penalty"`
	Modalities json.RawMessage `json:"modalities"`
	Echo       *bool           `json:"echo"`
	Suffix     *string         `json:"suffix"`
	BestOf     *int            `json:"best_of"`
}

// ignored are keys without an effect on a text.
var ignored = []string{"user", "metadata", "store", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier", "parallel_tool_calls", "verbosity"}

// most is the most choices of a request.
const most = 8

// readBody reads a request and refuses what it cannot do.
func readBody(text []byte, chat bool) (*body, error) {
	var keys map[string]json.RawMessage
	if err := json.Unmarshal(text, &keys); err != nil {
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) {
			return nil, wrong("", "the body is no JSON object: it is a JSON %s", typed.Value)
		}
		return nil, wrong("", "the body is no JSON object: %v", err)
	}
	for _, k := range ignored {
		delete(keys, k)
	}
	for k, v := range keys { // null asks for nothing, whatever the key
		if string(v) == "null" {
			delete(keys, k)
		}
	}
	text, err := json.Marshal(keys)
	if err != nil {
		return nil, wrong("", "the body is no JSON object: %v", err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	b := &body{}
	if err := d.Decode(b); err != nil {
		var typed *json.UnmarshalTypeError
		if errors.As(err, &typed) {
			return nil, wrong(typed.Field, "`%s` cannot be a %s", typed.Field, typed.Value)
		}
		return nil, wrong("", "%s", strings.TrimPrefix(err.Error(), "json: "))
	}
	return b, b.check(chat)
}

// asksFor reports whether a value asks for something.
func asksFor(raw json.RawMessage, nothing ...string) bool {
	return len(raw) > 0 && !slices.Contains(append(nothing, "null", "{}", "[]", "false"), string(raw))
}

func (b *body) check(chat bool) error {
	refused := func(param string) error { return wrong(param, "`%s` is not supported", param) }
	var format struct{ Type string }
	json.Unmarshal(b.Format, &format) //nolint:errcheck // another form is refused below
	switch {
	case chat && len(b.Messages) == 0:
		return wrong("messages", "you must provide a messages parameter")
	case !chat && len(b.Prompt) == 0:
		return wrong("prompt", "you must provide a prompt parameter")
	case !chat && len(b.Messages) > 0:
		return wrong("messages", "`messages` is for /v1/chat/completions")
	case chat && len(b.Prompt) > 0:
		return wrong("prompt", "`prompt` is for /v1/completions")
	case asksFor(b.ToolChoice, `"auto"`, `"none"`):
		return refused("tool_choice")
	case asksFor(b.Format) && format.Type != "text":
		return refused("response_format")
	case asksFor(b.LogProbs):
		return refused("logprobs")
	case asksFor(b.TopLog, "0"):
		return refused("top_logprobs")
	case asksFor(b.Bias):
		return refused("logit_bias")
	case b.Presence != nil && *b.Presence != 0:
		return refused("presence_penalty")
	case b.Frequency != nil && *b.Frequency != 0:
		return refused("frequency_penalty")
	case asksFor(b.Modalities, `["text"]`):
		return refused("modalities")
	case b.Echo != nil && *b.Echo:
		return refused("echo")
	case b.Suffix != nil && *b.Suffix != "":
		return refused("suffix")
	case b.BestOf != nil && *b.BestOf > 1:
		return refused("best_of")
	case b.N != nil && (*b.N < 1 || *b.N > most):
		return wrong("n", "`n` must be from 1 to %d", most)
	case b.Temperature != nil && (*b.Temperature < 0 || *b.Temperature > 2):
		return wrong("temperature", "`temperature` must be from 0 to 2")
	case b.TopP != nil && (*b.TopP <= 0 || *b.TopP > 1):
		return wrong("top_p", "`top_p` must be above 0, at most 1")
	case b.TopK != nil && *b.TopK < 0:
		return wrong("top_k", "`top_k` must be 0 (all) or more")
	case b.RepetitionPenalty != nil && *b.RepetitionPenalty <= 0:
		return wrong("repetition_penalty", "`repetition_penalty` must be above 0")
	case b.StreamOptions != nil && !b.Stream:
		return wrong("stream_options", "`stream_options` is for `stream`: true")
	case b.MaxTokens != nil && *b.MaxTokens < 1:
		return wrong("max_tokens", "`max_tokens` must be at least 1")
	case b.MaxCompletion != nil && *b.MaxCompletion < 1:
		return wrong("max_completion_tokens", "`max_completion_tokens` must be at least 1")
	}
	return nil
}

// asked are the requests of a body to the model, one for each choice.
func (b *body) asked(base bool) ([]wire.Asked, error) {
	q := wire.Asked{Messages: b.Messages, Base: base, Temperature: b.Temperature, TopP: b.TopP, TopK: b.TopK, RepetitionPenalty: b.RepetitionPenalty, Seed: b.Seed}
	if string(b.ToolChoice) != `"none"` {
		q.Tools = b.Tools
	}
	for _, n := range []*int{b.MaxTokens, b.MaxCompletion} {
		if n != nil {
			q.MaxTokens = *n
		}
	}
	var one string
	switch {
	case len(b.Stop) == 0 || string(b.Stop) == "null":
	case json.Unmarshal(b.Stop, &one) == nil:
		q.Stop = []string{one}
	case json.Unmarshal(b.Stop, &q.Stop) != nil:
		return nil, wrong("stop", "`stop` is a text or a list of texts")
	}
	if len(q.Stop) > 4 {
		return nil, wrong("stop", "`stop` has %d texts, 4 at most", len(q.Stop))
	}
	prompts := []*string{nil}
	if len(b.Prompt) > 0 {
		var list []string
		if json.Unmarshal(b.Prompt, &one) == nil {
			list = []string{one}
		} else if json.Unmarshal(b.Prompt, &list) != nil {
			return nil, wrong("prompt", "`prompt` is a text or a list of texts")
		}
		prompts = nil
		for i := range list {
			prompts = append(prompts, &list[i])
		}
	}
	n := 1
	if b.N != nil {
		n = *b.N
	}
	if len(prompts) == 0 || n*len(prompts) > most {
		return nil, wrong("prompt", "%d choices are asked for; 1 to %d are possible", n*len(prompts), most)
	}
	var out []wire.Asked
	for _, p := range prompts {
		for i := range n {
			x := q
			x.Prompt = p
			if q.Seed != nil {
				seed := *q.Seed + i
				x.Seed = &seed
			}
			out = append(out, x)
		}
	}
	return out, nil
}

// usage counts tokens.
type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
}

// reply is an answer, or a part of one that is streamed.
type reply struct {
	ID      string   `json:"id"`
	Object  string   `json:"object"`
	Created int64    `json:"created"`
	Model   string   `json:"model"`
	Choices []choice `json:"choices"`
	Usage   *usage   `json:"usage,omitempty"`
}

type choice struct {
	Index    int     `json:"index"`
	Text     *string `json:"text,omitempty"`
	Message  *spoken `json:"message,omitempty"`
	Delta    *delta  `json:"delta,omitempty"`
	LogProbs *string `json:"logprobs"`
	Finish   *string `json:"finish_reason"`
}

type spoken struct {
	Role    string  `json:"role"`
	Content string  `json:"content"`
	Refusal *string `json:"refusal"`
}

type delta struct {
	Role    string  `json:"role,omitempty"`
	Content *string `json:"content,omitempty"`
}

// part is a choice as it is written: of a chat or of a text, streamed or whole.
func part(chat, streamed bool, index int, text string) choice {
	c := choice{Index: index}
	switch {
	case !chat:
		c.Text = &text
	case streamed:
		c.Delta = &delta{Content: &text}
	default:
		c.Message = &spoken{Role: "assistant", Content: text}
	}
	return c
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic("BUG: serve: an answer that is no JSON: " + err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(text, '\n')) //nolint:errcheck // who asked has gone
}

// refuse answers with an error.
func refuse(w http.ResponseWriter, err error) {
	f := &fault{}
	if !errors.As(err, &f) {
		f = faultOf(http.StatusInternalServerError, "server_error", "", err.Error())
	}
	if f.status == http.StatusTooManyRequests || f.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	writeJSON(w, f.status, map[string]any{"error": f})
}

// faultOfSaid is the error of a request that the model refused.
func faultOfSaid(s wire.Said) *fault {
	switch s.Fault {
	case "length":
		return faultOf(http.StatusBadRequest, "invalid_request_error", "context_length_exceeded", s.Error)
	case "request":
		return faultOf(http.StatusBadRequest, "invalid_request_error", "", s.Error)
	}
	return faultOf(http.StatusInternalServerError, "server_error", "", s.Error)
}

// readAll reads a body of bounded size.
func readAll(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)         // a deadline that stayed would end long answers
	control.SetReadDeadline(time.Now().Add(slowest)) //nolint:errcheck // tests have a writer without
	text, err := io.ReadAll(http.MaxBytesReader(w, r.Body, mostBody))
	control.SetReadDeadline(time.Time{}) //nolint:errcheck // the same
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, faultOf(http.StatusRequestEntityTooLarge, "invalid_request_error", "", fmt.Sprintf("the body is larger than %d MiB", mostBody>>20))
	}
	if err != nil {
		return nil, wrong("", "the body cannot be read: %v", err)
	}
	return text, nil
}

const mostBody = 16 << 20
