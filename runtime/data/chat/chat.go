// Package chat renders conversations by chat templates: some by name, and the one
// that a tokenizer brings. A template is written in Jinja and compiled to Go by lorac
// (codegen/jinja); what compiled templates call is here. The package must not know
// tokenizers, data sets nor models.
package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Func is a compiled template. It writes to c and reads its variables there.
type Func func(c *Context)

// Template is a chat template.
type Template struct {
	Name   string // llama2, llama3, …; tokenizer: the tokenizer's own
	Source string // in Jinja
	Render Func
}

// Own is the name of the template that the tokenizer brings.
const Own = "tokenizer"

// named are the templates that are compiled in, each by a file that the compiler wrote
// (go test ./codegen/jinja -update).
var named = map[string]*Template{}

func register(t *Template) { named[t.Name] = t }

// Named is the template of a name, nil for none.
func Named(name string) *Template { return named[name] }

// Names lists the templates that are compiled in.
func Names() []string {
	var out []string
	for name := range named {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// Reads reports whether a template looks at a name, a key of a message or a variable:
// what it does not look at would be lost without a word.
func (t *Template) Reads(name string) bool { return strings.Contains(t.Source, name) }

// Tokens are the control tokens that a template may write, as text.
type Tokens struct{ BOS, EOS, PAD, UNK string }

// Conversation is what a template renders: messages and tools as JSON has them, made
// of Map, []any, string, int, float64, bool and nil.
type Conversation struct {
	Messages []any
	Tools    []any // nil: none
	Tokens   Tokens
}

// Message is a message of a role.
func Message(role, content string) *Map {
	return Dict("role", role, "content", content)
}

// Rendered is a rendered conversation.
type Rendered struct {
	Text string
	// Answers are the bytes that the template itself marks as the assistant's, by
	// {% generation %}: begin and end of each; Marked says whether it marks any.
	Answers [][2]int
	Marked  bool
}

// ErrRefused is wrapped by the error of a template that raises an exception, or asks
// of a message what it does not have.
var ErrRefused = errors.New("the chat template refuses it")

// Write renders a conversation; with prompt, up to where the assistant's next answer
// begins. A message of the developer, which is what OpenAI calls the system's since 2024,
// is one of the system's where a template refuses or drops it.
func (t *Template) Write(v Conversation, prompt bool) (Rendered, error) {
	out, err := t.write(v, prompt)
	other, words := v.ofSystem()
	if words != "" && (errors.Is(err, ErrRefused) || err == nil && !strings.Contains(out.Text, words)) {
		return t.write(other, prompt)
	}
	return out, err
}

// ofSystem is the conversation with the developer's messages as the system's, and the words
// of the first of them; "" where there is none.
func (v Conversation) ofSystem() (other Conversation, words string) {
	other = v
	for i, m := range v.Messages {
		message, ok := m.(*Map)
		if !ok {
			continue
		}
		if role, _ := message.Get("role"); role != "developer" {
			continue
		}
		if words == "" {
			content, _ := message.Get("content")
			text, _ := content.(string)
			words = strings.TrimSpace(text)
			other.Messages = slices.Clone(v.Messages)
		}
		renamed := Dict()
		for _, k := range message.Keys() {
			x, _ := message.Get(k)
			renamed.Set(k, x)
		}
		renamed.Set("role", "system")
		other.Messages[i] = renamed
	}
	return other, words
}

func (t *Template) write(v Conversation, prompt bool) (out Rendered, err error) {
	defer func() {
		if e := recover(); e != nil {
			p, ok := e.(problem)
			if !ok {
				panic(e)
			}
			err = fmt.Errorf("%w: %s", ErrRefused, string(p))
		}
	}()
	var tools any
	if v.Tools != nil {
		tools = v.Tools
	}
	c := &Context{out: &strings.Builder{}, vars: map[string]any{
		"messages": v.Messages, "tools": tools, "documents": nil, "add_generation_prompt": prompt,
	}}
	for name, token := range map[string]string{"bos_token": v.Tokens.BOS, "eos_token": v.Tokens.EOS, "pad_token": v.Tokens.PAD, "unk_token": v.Tokens.UNK} {
		if token != "" || name == "bos_token" || name == "eos_token" {
			c.vars[name] = token
		}
	}
	t.Render(c)
	return Rendered{c.out.String(), c.answers, c.marked}, nil
}

// Context is what a template reads and writes.
type Context struct {
	vars    map[string]any
	out     *strings.Builder
	answers [][2]int
	marked  bool
}

// problem is why a template fails.
type problem string

func fail(format string, args ...any) { panic(problem(fmt.Sprintf(format, args...))) }

// Raise ends the rendering.
func Raise(message any) any {
	fail("%s", Text(message))
	return nil
}

// Var is a variable of the context, or a function.
func (c *Context) Var(name string) any {
	if v, ok := c.vars[name]; ok {
		return v
	}
	if f, ok := functions[name]; ok {
		return f
	}
	return Missing{name}
}

// Put writes a text as it is.
func (c *Context) Put(text string) { c.out.WriteString(text) }

// Out writes a value.
func (c *Context) Out(v any) { c.out.WriteString(Text(v)) }

// Str writes a text that continues one; nothing else can.
func (c *Context) Str(v any) {
	here(v)
	s, ok := v.(string)
	if !ok {
		fail("cannot add a %s to a text", kindOf(v))
	}
	c.out.WriteString(s)
}

// Capture is what f writes.
func (c *Context) Capture(f func()) any {
	out := c.out
	c.out = &strings.Builder{}
	f()
	text := c.out.String()
	c.out = out
	return text
}

// Answer and EndAnswer stand around {% generation %}.
func (c *Context) Answer() {
	c.marked = true
	c.answers = append(c.answers, [2]int{c.out.Len(), -1})
}

// EndAnswer is the end of what Answer began.
func (c *Context) EndAnswer() { c.answers[len(c.answers)-1][1] = c.out.Len() }
