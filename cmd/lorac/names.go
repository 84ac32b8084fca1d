package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/alecthomas/kong"

	"lorac/cmd/lorac/cli"
	"lorac/cmd/lorac/start"
	"lorac/ir/diag"
	"lorac/runtime/sys/human"
)

// otherNames are what other programs call what a command here does.
var otherNames = map[string]string{
	"train": "finetune", "fine-tune": "finetune", "fit": "finetune", "lora": "finetune", "sft": "finetune", "run": "finetune", "resume": "finetune CONFIG --resume_training True",
	"predict": "finetune CONFIG --run_mode predict", "generate": "finetune CONFIG --run_mode predict", "infer": "finetune CONFIG --run_mode predict", "inference": "finetune CONFIG --run_mode predict",
	"eval": "finetune CONFIG --run_mode eval", "evaluate": "finetune CONFIG --run_mode eval",
	"merge": "convert merge", "fuse": "convert merge", "merge-lora": "convert merge", "export": "convert merge", "export_model": "convert merge",
	"quantize": "convert quantize", "quantise": "convert quantize", "quant": "convert quantize",
	"ckpt": "convert ckpt", "weights": "convert weights", "layout": "convert layout", "adapter": "convert adapter", "mindrecord": "convert mindrecord", "synthesize": "convert synthesize", "gguf": "convert weights",
	"build": "compile", "validate": "check", "lint": "check", "verify": "check", "estimate": "plan", "cost": "plan", "memory": "plan",
	"preview": "data", "dataset": "data", "rows": "data", "show": "inspect", "dump": "inspect", "ls": "inspect", "benchmark": "bench", "profile": "bench", "follow": "watch", "tail": "watch", "monitor": "watch", "status": "watch", "info": "doctor", "env": "doctor", "new": "init", "setup": "init", "create": "init",
	"demo": "quickstart", "start": "quickstart", "completions": "completion", "download": "init",
}

// named turns `help COMMAND` into `COMMAND --help`, and refuses a first word that is no
// command, with the command that is meant.
func named(app *kong.Kong, args []string) ([]string, error) {
	if len(args) > 0 && args[0] == "help" {
		args = append(slices.Clone(args[1:]), "--help")
	}
	node := app.Model.Node
	for i, a := range args {
		if strings.HasPrefix(a, "-") || len(node.Children) == 0 {
			break
		}
		var next *kong.Node
		var names []string
		for _, child := range node.Children {
			names = append(names, child.Name)
			if child.Name == a {
				next = child
			}
		}
		if next == nil {
			return nil, cli.Usage("there is no command `%s`%s\n  = help: %s --help", strings.Join(append([]string{"lorac"}, args[:i+1]...), " "), meant(a, args[:i], names), strings.Join(append([]string{"lorac"}, args[:i]...), " "))
		}
		node = next
	}
	return args, nil
}

// meant is the tail of an error about a word that is no command.
func meant(word string, before, names []string) string {
	if other := otherNames[strings.ToLower(word)]; other != "" && len(before) == 0 {
		return fmt.Sprintf("; did you mean `lorac %s`?", other)
	}
	if near := diag.Suggest(word, names); len(near) > 0 {
		return fmt.Sprintf("; did you mean `%s`?", strings.Join(append(append([]string{"lorac"}, before...), near[0]), " "))
	}
	if len(before) == 0 && fileOf(word) {
		quoted := human.ShellWord(word)
		if start.IsBase(word) {
			return fmt.Sprintf(", but it is base weights: `lorac init %s`, or `lorac finetune %s`", quoted, quoted)
		}
		return fmt.Sprintf(", but it is a file: `lorac check %s`, or `lorac finetune %s`", quoted, quoted)
	}
	return ""
}

func fileOf(path string) bool {
	_, err := os.Stat(path)
	return err == nil && (strings.ContainsRune(path, filepath.Separator) || filepath.Ext(path) != "")
}
