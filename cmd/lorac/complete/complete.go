// Package complete writes what shells complete a command line by. It must not know
// which commands there are.
package complete

import (
	"fmt"
	"strings"
)

// Command is one command with those below it.
type Command struct {
	Name, Help string
	Flags      []Flag
	Sub        []Command
}

// Flag is a flag without its dashes.
type Flag struct {
	Name, Help string
	Values     []string // that it can have; nil: any
}

// Shells are those that there is a script for.
var Shells = []string{"bash", "zsh", "fish"}

// Script is the script of a shell.
func Script(shell string, root Command) (string, error) {
	switch shell {
	case "bash":
		return bash(root), nil
	case "zsh":
		return zsh(root), nil
	case "fish":
		return fish(root), nil
	}
	return "", fmt.Errorf("%s: there are scripts for %s", shell, strings.Join(Shells, ", "))
}

// walk visits every command with the words that lead to it, each with a blank before it.
func (c *Command) walk(path string, visit func(path string, c *Command)) {
	visit(path, c)
	for i := range c.Sub {
		c.Sub[i].walk(path+" "+c.Sub[i].Name, visit)
	}
}

// paths are those words of all commands, each quoted.
func (c *Command) paths(join string) string {
	var list []string
	c.walk("", func(path string, _ *Command) {
		if path != "" {
			list = append(list, single(path))
		}
	})
	return strings.Join(list, join)
}

// single is a text in single quotes.
func single(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

func bash(root Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# bash completion of %[1]s: eval "$(%[1]s completion bash)"
_%[1]s() {
  local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]} at= words= flags= i
  for ((i = 1; i < COMP_CWORD; i++)); do
    case "$at ${COMP_WORDS[i]}" in
      %[2]s) at="$at ${COMP_WORDS[i]}" ;;
    esac
  done
  case "$at $prev" in
`, root.Name, root.paths("|"))
	root.walk("", func(path string, c *Command) {
		for _, f := range c.Flags {
			if len(f.Values) > 0 {
				fmt.Fprintf(&b, "    %s) COMPREPLY=($(compgen -W %s -- \"$cur\")); return ;;\n", single(path+" --"+f.Name), single(strings.Join(f.Values, " ")))
			}
		}
	})
	b.WriteString("  esac\n  case \"$at\" in\n")
	root.walk("", func(path string, c *Command) {
		var words, flags []string
		for _, s := range c.Sub {
			words = append(words, s.Name)
		}
		for _, f := range c.Flags {
			flags = append(flags, "--"+f.Name)
		}
		fmt.Fprintf(&b, "    %s) words=%s flags=%s ;;\n", single(path), single(strings.Join(words, " ")), single(strings.Join(flags, " ")))
	})
	fmt.Fprintf(&b, `  esac
  if [[ $cur == -* ]]; then
    COMPREPLY=($(compgen -W "$flags" -- "$cur"))
  elif [[ -n $words ]]; then
    COMPREPLY=($(compgen -W "$words" -- "$cur"))
  else
    local IFS=$'\n'
    COMPREPLY=($(compgen -f -- "$cur"))
  fi
}
complete -o filenames -F _%[1]s %[1]s
`, root.Name)
	return b.String()
}

func zsh(root Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, `#compdef %[1]s
# zsh completion of %[1]s: %[1]s completion zsh > "${fpath[1]}/_%[1]s"
_%[1]s() {
  local at= i
  local -a list flags
  for ((i = 2; i < CURRENT; i++)); do
    case "$at ${words[i]}" in
      %[2]s) at="$at ${words[i]}" ;;
    esac
  done
  case "$at ${words[CURRENT-1]}" in
`, root.Name, root.paths("|"))
	root.walk("", func(path string, c *Command) {
		for _, f := range c.Flags {
			if len(f.Values) > 0 {
				fmt.Fprintf(&b, "    %s) compadd -- %s; return ;;\n", single(path+" --"+f.Name), strings.Join(f.Values, " "))
			}
		}
	})
	b.WriteString("  esac\n  case \"$at\" in\n")
	root.walk("", func(path string, c *Command) {
		fmt.Fprintf(&b, "    %s)\n", single(path))
		b.WriteString("      list=(" + described(c.Sub, func(s Command) (string, string) { return s.Name, s.Help }) + ")\n")
		b.WriteString("      flags=(" + described(c.Flags, func(f Flag) (string, string) { return "--" + f.Name, f.Help }) + ") ;;\n")
	})
	fmt.Fprintf(&b, `  esac
  if [[ ${words[CURRENT]} == -* ]]; then
    _describe flag flags
  elif (( $#list )); then
    _describe command list
  else
    _files
  fi
}
if [[ $funcstack[1] == _%[1]s ]]; then _%[1]s; else compdef _%[1]s %[1]s; fi
`, root.Name)
	return b.String()
}

// described is a list as zsh's _describe takes it: name:help.
func described[T any](list []T, of func(T) (name, help string)) string {
	var out []string
	for _, x := range list {
		name, help := of(x)
		out = append(out, single(strings.ReplaceAll(name, ":", `\:`)+":"+help))
	}
	return strings.Join(out, " ")
}

func fish(root Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, `# fish completion of %[1]s: %[1]s completion fish > ~/.config/fish/completions/%[1]s.fish
function __%[1]s_at
    set -l at ''
    for word in (commandline -opc)[2..-1]
        if contains -- "$at $word" %[2]s
            set at "$at $word"
        end
    end
    test "$at" = "$argv[1]"
end
`, root.Name, root.paths(" "))
	root.walk("", func(path string, c *Command) {
		here := fmt.Sprintf("complete -c %s -n \"__%s_at '%s'\"", root.Name, root.Name, path)
		for _, s := range c.Sub {
			fmt.Fprintf(&b, "%s -f -a %s -d %s\n", here, s.Name, fishQuote(s.Help))
		}
		for _, f := range c.Flags {
			values := ""
			if len(f.Values) > 0 {
				values = " -x -a " + fishQuote(strings.Join(f.Values, " "))
			}
			fmt.Fprintf(&b, "%s -l %s%s -d %s\n", here, f.Name, values, fishQuote(f.Help))
		}
	})
	return b.String()
}

// fishQuote is a text in single quotes, in which fish knows two escapes.
func fishQuote(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`).Replace(s) + "'"
}
