package main

import (
	"os"
	"regexp"
	"strings"

	"github.com/alecthomas/kong"

	"lorac/cmd/lorac/complete"
	"lorac/cmd/lorac/launch"
)

type completionCmd struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"bash, zsh or fish."`
}

// Help is how to install it.
func (completionCmd) Help() string {
	return `bash: eval "$(lorac completion bash)" in ~/.bashrc
zsh:  lorac completion zsh > "${fpath[1]}/_lorac"
fish: lorac completion fish > ~/.config/fish/completions/lorac.fish`
}

// Run prints the script.
func (c completionCmd) Run(app *kong.Kong) error {
	text, err := complete.Script(c.Shell, tree(app.Model.Node))
	if err != nil {
		return err
	}
	_, err = os.Stdout.WriteString(text)
	return err
}

// tree is the commands as the parser knows them.
func tree(n *kong.Node) complete.Command {
	c := complete.Command{Name: n.Name, Help: firstSentence(n.Help)}
	for _, f := range n.Flags {
		if f.Hidden {
			continue
		}
		flag := complete.Flag{Name: f.Name, Help: firstSentence(f.Help)}
		for _, v := range strings.Split(f.Enum, ",") {
			if v != "" {
				flag.Values = append(flag.Values, v)
			}
		}
		c.Flags = append(c.Flags, flag)
	}
	if n.Name == "finetune" { // which reads its own
		c.Flags = append(c.Flags, finetuneFlags()...)
	}
	if len(n.Positional) == 1 { // of completion
		for _, v := range strings.Split(n.Positional[0].Enum, ",") {
			if v != "" {
				c.Sub = append(c.Sub, complete.Command{Name: v})
			}
		}
	}
	for _, child := range n.Children {
		if !child.Hidden {
			c.Sub = append(c.Sub, tree(child))
		}
	}
	return c
}

var flagLine = regexp.MustCompile(`(?m)^  --([a-z_]+)\s+(.*)$`)

func finetuneFlags() (list []complete.Flag) {
	for _, m := range flagLine.FindAllStringSubmatch(launch.Help(), -1) {
		list = append(list, complete.Flag{Name: m[1], Help: firstSentence(m[2])})
	}
	return list
}

// firstSentence is a help that stands in one line.
func firstSentence(help string) string {
	help = strings.Join(strings.Fields(help), " ")
	if at := strings.IndexAny(help, ".;:"); at > 20 {
		help = help[:at]
	}
	if len(help) > 100 {
		help = strings.ToValidUTF8(help[:97], "") + "…"
	}
	return help
}
