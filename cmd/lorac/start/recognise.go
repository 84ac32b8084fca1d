package start

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"gopkg.in/yaml.v3"

	"lorac/ir/diag"
	"lorac/runtime/sys/human"
	"lorac/runtime/weights/kind"
)

// dialect is a kind of config that another program reads.
type dialect struct {
	name string
	is   func(k keys) bool
	// help is what to do with the file; "" where migrate translates it.
	help func(path string) string
	// translate is nil where there is nothing to translate.
	translate func(m *Migration)
}

// keys are the top-level keys of a text.
type keys map[string]*yaml.Node

func (k keys) all(names ...string) bool {
	for _, n := range names {
		if k[n] == nil {
			return false
		}
	}
	return true
}

func (k keys) some(names ...string) bool {
	for _, n := range names {
		if k[n] != nil {
			return true
		}
	}
	return false
}

// ours are sections that only a config of MindFormers has.
var ours = []string{"runner_config", "trainer", "train_dataset", "train_dataset_task", "runner_wrapper", "processor", "run_mode", "base_config"}

// dialects are tried in this order.
var dialects = []dialect{
	{"the config of a PEFT adapter", func(k keys) bool {
		return k.some("peft_type") || k.all("r", "lora_alpha", "target_modules")
	}, nil, migratePEFT},
	{"a config of Axolotl", func(k keys) bool {
		return k.all("base_model") && k.some("datasets", "adapter", "sequence_len", "micro_batch_size")
	}, nil, migrateAxolotl},
	{"a config of LLaMA-Factory", func(k keys) bool {
		return k.all("model_name_or_path") && k.some("stage", "finetuning_type", "template", "cutoff_len", "dataset_dir")
	}, nil, migrateLlamaFactory},
	{"the config of a Hugging Face model", func(k keys) bool {
		return k.some("model_type", "architectures") && k.some("hidden_size", "num_attention_heads", "n_embd", "num_hidden_layers", "text_config")
	}, offerInit, nil},
	{"the config of a model in Meta's format", func(k keys) bool { return k.all("dim", "n_layers", "n_heads") }, offerInit, nil},
	{"a recipe of torchtune", func(k keys) bool {
		for _, n := range k {
			for i := 0; i+1 < len(n.Content); i += 2 {
				if n.Content[i].Value == "_component_" {
					return true
				}
			}
		}
		return false
	}, func(string) string {
		return "lorac init MODEL_DIR -o lora.yaml writes a config for its model; set lora_rank, learning_rate and the like there"
	}, nil},
	{"a config of MLX-LM", func(k keys) bool { return k.all("model", "lora_parameters") }, func(string) string {
		return "lorac init MODEL_DIR -o lora.yaml writes a config for its model; set lora_rank, learning_rate and the like there"
	}, nil},
}

func offerInit(path string) string {
	dir := human.ShellWord(filepath.Dir(path))
	return fmt.Sprintf("lorac init %s -o lora.yaml writes one from the model; lorac check %s shows what it would be", dir, dir)
}

// maxText is more than any config takes, in bytes.
const maxText = 1 << 20

// read reads the top-level keys of a YAML or JSON file; nil where it is neither.
func read(path string) (keys, *yaml.Node, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxText {
		return nil, nil, fmt.Errorf("%s is no file of a config", path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, nil, err
	}
	return parse(text)
}

// parse is read of a text. It turns panics of the library on hostile input into errors.
func parse(text []byte) (k keys, root *yaml.Node, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: %v", r)
		}
	}()
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, nil, err
	}
	if len(doc.Content) == 0 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, nil, fmt.Errorf("it is no mapping of keys")
	}
	root, k = doc.Content[0], keys{}
	for i := 0; i+1 < len(root.Content); i += 2 {
		k[root.Content[i].Value] = root.Content[i+1]
	}
	return k, root, nil
}

// dialectOf is the kind of a config of another program; nil for one of MindFormers, or of
// a program that is not known.
func dialectOf(k keys) *dialect {
	if len(k) == 0 || k.some(ours...) {
		return nil
	}
	if m := k["model"]; m != nil && m.Kind == yaml.MappingNode && (keysOf(m).some("model_config", "arch")) {
		return nil
	}
	for i := range dialects {
		if dialects[i].is(k) {
			return &dialects[i]
		}
	}
	return nil
}

func keysOf(n *yaml.Node) keys {
	k := keys{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k[n.Content[i].Value] = n.Content[i+1]
	}
	return k
}

// Recognise is the error for a config of another program, with the way out; nil where it
// is none of those known.
func Recognise(path string) *diag.Diagnostic {
	if bytes.HasPrefix(kind.Head(path), []byte("module ")) {
		return diag.Errorf(diag.Pos{File: filepath.ToSlash(path)}, "foreign", "this is a dump of the IR, not a config").
			WithHelp("--from %s in its place: lorac finetune, compile, plan and inspect take it", human.ShellWord(path))
	}
	k, root, err := read(path)
	if err != nil {
		return nil // which reading it as a config says better
	}
	d := dialectOf(k)
	if d == nil {
		return nil
	}
	help := "lorac migrate " + human.ShellWord(path) + " -o lora.yaml translates it, and says of each key what became of it"
	if d.help != nil {
		help = d.help(path)
	}
	first := root.Content[0]
	at := diag.Pos{File: filepath.ToSlash(path), Line: first.Line, Col: first.Column, Len: len(first.Value)}
	return diag.Errorf(at, "foreign", "this is %s, not of MindFormers", strings.TrimSpace(d.name)).WithHelp("%s", help)
}
