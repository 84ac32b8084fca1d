// Package wire is what a run that serves says and is told. It reads requests from
// standard input, a JSON object a line, and writes what comes of them to standard
// output, a JSON object a line: first Ready, then Said. What other runs print goes to
// standard error. The package must not know who is at either end.
package wire

import "encoding/json"

// Asked is a request, or with Cancel that nobody waits for it any more.
type Asked struct {
	ID       string          `json:"id"`
	Cancel   bool            `json:"cancel,omitempty"`
	Messages json.RawMessage `json:"messages,omitempty"` // a conversation, rendered by the run's template
	Tools    json.RawMessage `json:"tools,omitempty"`
	Prompt   *string         `json:"prompt,omitempty"` // in place of it a text to continue
	Base     bool            `json:"base,omitempty"`   // without the adapter

	MaxTokens         int      `json:"max_tokens,omitempty"` // 0: as the job says
	Temperature       *float64 `json:"temperature,omitempty"`
	TopP              *float64 `json:"top_p,omitempty"`
	TopK              *int     `json:"top_k,omitempty"`
	RepetitionPenalty *float64 `json:"repetition_penalty,omitempty"`
	Seed              *int     `json:"seed,omitempty"`
	Stop              []string `json:"stop,omitempty"`
}

// Ready is the first line: what the run answers with.
type Ready struct {
	Name      string `json:"name"`
	Prompt    string `json:"prompt"`     // the template of conversations
	Adapter   bool   `json:"adapter"`    // there is one; Base answers without it
	SeqLength int    `json:"seq_length"` // most ids of a text
	Threads   int    `json:"threads"`
}

// Said is a part of an answer, or its end.
type Said struct {
	ID    string `json:"id"`
	Text  string `json:"text,omitempty"`
	Done  string `json:"done,omitempty"` // stop, length, gone or error
	Error string `json:"error,omitempty"`
	Fault string `json:"fault,omitempty"` // of an error: request, length or run

	PromptTokens int `json:"prompt_tokens,omitempty"`
	Tokens       int `json:"tokens,omitempty"` // of the answer, as far as it is
}
