package talk

import (
	"strconv"
	"strings"
	"time"

	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/talk/model"
)

// Flags are those of chat and serve that the trainer does not read.
type Flags struct {
	System  string   // chat: the text of the system
	Stop    []string // chat: texts that end an answer
	Compare bool     // chat: base and adapter answer one after the other
	Server  model.Server
}

// flag is one of them.
type flag struct {
	name, help string
	set        func(f *Flags, v string) error
}

var chatFlags = []flag{
	{"system", "the text of the system, which the conversation begins with", func(f *Flags, v string) error { f.System = v; return nil }},
	{"stop", "a text that ends an answer; may be given several times", func(f *Flags, v string) error { f.Stop = append(f.Stop, v); return nil }},
	{"compare", "True: the base answers first, then the adapter", func(f *Flags, v string) (err error) { f.Compare, err = yes(v); return err }},
}

var serveFlags = []flag{
	{"host", "address to listen on (default 127.0.0.1: this machine alone)", func(f *Flags, v string) error { f.Server.Host = v; return nil }},
	{"port", "port to listen on (default 8000); 0 takes a free one", func(f *Flags, v string) (err error) { f.Server.Port, err = whole(v, 0, 65535); return err }},
	{"queue", "requests that may wait for their turn (default 32); further ones are refused", func(f *Flags, v string) (err error) { f.Server.Queue, err = whole(v, 0, 1<<20); return err }},
	{"request_timeout", "TIME (default 10m): the longest that a request may take, its wait included", func(f *Flags, v string) (err error) {
		f.Server.Timeout, err = time.ParseDuration(v)
		if err != nil || f.Server.Timeout <= 0 {
			return cli.Usage("--request_timeout %s: must be a time such as 90s or 10m", v)
		}
		return nil
	}},
	{"api_key", "a key that clients must send (Authorization: Bearer KEY)", func(f *Flags, v string) error { f.Server.Key = v; return nil }},
}

// ChatNames are the names of the flags of chat.
func ChatNames() []string { return names(chatFlags) }

// ServeNames are those of serve.
func ServeNames() []string { return names(serveFlags) }

func names(flags []flag) (list []string) {
	for _, f := range flags {
		list = append(list, f.name)
	}
	return list
}

func yes(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true":
		return true, nil
	case "false":
		return false, nil
	}
	return false, cli.Usage("must be True or False, not %q", v)
}

func whole(v string, least, most int) (int, error) {
	n, err := strconv.Atoi(v)
	if err != nil || n < least || n > most {
		return 0, cli.Usage("must be a whole number from %d to %d, not %q", least, most, v)
	}
	return n, nil
}

// ChatFlags takes the flags of chat out of arguments; rest is for the trainer.
func ChatFlags(args []string) (f Flags, rest []string, err error) {
	return take(args, Flags{}, chatFlags)
}

// ServeFlags takes the flags of serve out of arguments.
func ServeFlags(args []string) (f Flags, rest []string, err error) {
	return take(args, Flags{Server: model.Server{Host: "127.0.0.1", Port: 8000, Queue: 32, Timeout: 10 * time.Minute}}, serveFlags)
}

func take(args []string, f Flags, known []flag) (Flags, []string, error) {
	var rest []string
next:
	for i := 0; i < len(args); i++ {
		name, value, has := strings.Cut(strings.TrimPrefix(args[i], "--"), "=")
		for _, k := range known {
			if !strings.HasPrefix(args[i], "--") || k.name != name {
				continue
			}
			if !has {
				if i++; i == len(args) {
					return f, nil, cli.Usage("--%s needs a value", name)
				}
				value = args[i]
			}
			if err := k.set(&f, value); err != nil {
				return f, nil, cli.Usage("--%s: %w", name, err)
			}
			continue next
		}
		rest = append(rest, args[i])
	}
	return f, rest, nil
}

func help(known []flag) string {
	var b strings.Builder
	for _, k := range known {
		b.WriteString("  --" + k.name + strings.Repeat(" ", max(30-len(k.name), 1)) + k.help + "\n")
	}
	return b.String()
}

// ChatHelp lists the flags of chat.
func ChatHelp() string {
	return "usage: lorac chat CONFIG [flags]\n\n" + help(chatFlags) + "\nLines are your turns. " + commandsHelp + "\n" + trainerHelp
}

// ServeHelp lists the flags of serve.
func ServeHelp() string {
	return "usage: lorac serve CONFIG [flags]\n\n" + help(serveFlags) + "\n" + trainerHelp
}

const trainerHelp = `The flags of finetune count, too: --load_checkpoint, --load_adapter, --tokenizer, --prompt (the
template of conversations), --threads, --max_new_tokens, and those of sampling: --do_sample True,
--temperature, --top_p, --top_k, --repetition_penalty, --seed. Without --load_adapter the adapter
in the config's output_dir is taken, where there is one; --load_adapter none takes none.
`
