// Package talk is what stands between a user and a model that answers: lorac chat on a
// terminal, and what lorac serve tells lorac-serve, a program of its own, which answers
// over HTTP.
package talk

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"

	"lorac/cmd/lorac/talk/model"
	"lorac/runtime/wire"
)

const commandsHelp = `A line that ends in \ continues on the next one.
/reset forgets the conversation, /system TEXT begins another one, /base, /adapter and /compare say
who answers, /undo takes the last question back, /exit ends; Ctrl-C stops an answer.
`

// message is a turn of the conversation.
type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// chat is a conversation on a terminal, or with lines of a file.
type chat struct {
	m       *model.Model
	f       Flags
	out     io.Writer
	notes   io.Writer
	prompts bool // lines are typed: show where
	base    bool
	compare bool
	said    []message
	cancels chan os.Signal
}

// Chat holds a conversation: each line of in is a question.
func Chat(m *model.Model, f Flags, in io.Reader, out, notes io.Writer, typed bool) error {
	c := &chat{m: m, f: f, out: out, notes: notes, prompts: typed, compare: f.Compare, base: !m.Ready.Adapter, cancels: make(chan os.Signal, 1)}
	if f.Compare && !m.Ready.Adapter {
		return errors.New("--compare True: there is no adapter to compare the base with\n  = help: --load_adapter DIR")
	}
	signal.Notify(c.cancels, os.Interrupt)
	defer signal.Stop(c.cancels)
	c.reset()
	if typed {
		who := "the base"
		if m.Ready.Adapter {
			who = "the adapter (/base, /compare)"
		}
		fmt.Fprintf(notes, "%s answers, template %s, texts of up to %d ids. /help lists what else can be typed.\n", who, m.Ready.Prompt, m.Ready.SeqLength)
	}
	lines := bufio.NewScanner(in)
	lines.Buffer(make([]byte, 64<<10), 16<<20)
	for c.ask("> "); lines.Scan(); c.ask("> ") {
		line := lines.Text()
		for strings.HasSuffix(line, `\`) {
			c.ask(". ")
			if !lines.Scan() {
				break
			}
			line = strings.TrimSuffix(line, `\`) + "\n" + lines.Text()
		}
		select { // one that came while nothing was answered
		case <-c.cancels:
		default:
		}
		end, err := c.line(line)
		if end || err != nil {
			return err
		}
	}
	if typed {
		fmt.Fprintln(out)
	}
	return lines.Err()
}

func (c *chat) ask(mark string) {
	if c.prompts {
		fmt.Fprint(c.out, mark)
	}
}

func (c *chat) reset() {
	c.said = nil
	if c.f.System != "" {
		c.said = append(c.said, message{"system", c.f.System})
	}
}

// line answers a line.
func (c *chat) line(line string) (end bool, err error) {
	if strings.TrimSpace(line) == "" {
		return false, nil
	}
	word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	switch word {
	case "/exit", "/quit":
		return true, nil
	case "/help":
		fmt.Fprint(c.notes, commandsHelp)
	case "/reset":
		c.reset()
	case "/system":
		c.f.System = strings.TrimSpace(rest)
		c.reset()
	case "/undo":
		for n := len(c.said); n > 0 && c.said[n-1].Role != "system"; n-- {
			c.said = c.said[:n-1]
			if n > 1 && c.said[n-2].Role != "user" {
				break
			}
		}
	case "/base":
		c.base, c.compare = true, false
	case "/adapter", "/compare":
		if !c.m.Ready.Adapter {
			fmt.Fprintln(c.notes, "there is no adapter; start with --load_adapter DIR")
			return false, nil
		}
		c.base, c.compare = false, word == "/compare"
	default:
		if strings.HasPrefix(word, "/") && !strings.Contains(word[1:], "/") {
			fmt.Fprintf(c.notes, "%s is no command; /help lists them\n", word)
			return false, nil
		}
		return false, c.question(line)
	}
	return false, nil
}

// question has a question answered, by the base and the adapter where they are compared;
// the conversation continues with the adapter's answer.
func (c *chat) question(text string) error {
	c.said = append(c.said, message{"user", text})
	if c.compare {
		fmt.Fprint(c.out, "[base] ")
		if _, err := c.answer(true); err != nil {
			return err
		}
		fmt.Fprint(c.out, "[adapter] ")
	}
	answer, err := c.answer(c.base)
	if err != nil {
		return err
	}
	if answer == "" { // there is nothing to continue from
		c.said = c.said[:len(c.said)-1]
		return nil
	}
	c.said = append(c.said, message{"assistant", answer})
	return nil
}

// answer streams an answer. An error of the request is said, and the answer is empty.
func (c *chat) answer(base bool) (string, error) {
	messages, err := json.Marshal(c.said)
	if err != nil {
		return "", err
	}
	a, err := c.m.Ask(wire.Asked{Messages: messages, Base: base, Stop: c.f.Stop})
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	done := make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-c.cancels:
			cancel()
		case <-done:
		}
	}()
	var b strings.Builder
	for {
		s, err := a.Next(ctx)
		if errors.Is(err, context.Canceled) {
			fmt.Fprintln(c.out, " …")
			return b.String(), nil
		}
		b.WriteString(s.Text)
		io.WriteString(c.out, s.Text) //nolint:errcheck // an output that is lost ends with its reader
		switch {
		case s.Done == "error" && s.Fault == "run":
			return "", errors.New(s.Error)
		case s.Done == "error":
			fmt.Fprintf(c.notes, "%s\n", s.Error)
			if s.Fault == "length" {
				fmt.Fprintln(c.notes, "/reset forgets the conversation")
			}
			return "", nil
		case s.Done != "":
			fmt.Fprintln(c.out)
			if s.Done == "length" {
				fmt.Fprintln(c.notes, "(cut: --max_new_tokens allows longer answers)")
			}
			return b.String(), nil
		}
	}
}
