package build

import (
	"fmt"
	"os"

	"lorac/codegen/jinja"
	"lorac/compiler/config"
	rt "lorac/runtime"
	"lorac/runtime/data/chat"
)

// readTemplate gives a config the chat template of its tokenizer, where a prompt of the
// config or of the trainer's arguments names it.
func (t *Target) readTemplate(c *config.Config) error {
	tokenizer, asked := c.Tokenizer.V, c.Train.Prompt.V == chat.Own || c.Eval.Prompt.V == chat.Own
	for i := 0; i+1 < len(t.Args); i++ {
		switch t.Args[i] {
		case "--prompt", "--train_dataset.data_loader.prompt":
			asked = t.Args[i+1] == chat.Own
		case "--tokenizer", "--processor.tokenizer.vocab_file":
			tokenizer = t.Args[i+1]
		}
	}
	c.ChatTemplate = ""
	if !asked {
		return nil
	}
	text, from, err := rt.ChatTemplate(tokenizer, t.Weights)
	if err != nil {
		return err
	}
	if text == "" {
		if from == "" {
			return fmt.Errorf("the prompt is tokenizer, whose chat template is compiled into the trainer, and neither a tokenizer nor a base is there\n  = help: give --tokenizer or --load_checkpoint, or a template by name: --prompt chatml")
		}
		return fmt.Errorf("the prompt is tokenizer, but there is no chat template beside %s (chat_template.jinja, or chat_template in tokenizer_config.json)\n  = help: --prompt llama2, llama3 or chatml are templates by name", from)
	}
	if _, err := jinja.Parse(text); err != nil {
		return fmt.Errorf("the chat template of %s cannot be compiled: %w\n  = help: --prompt llama2, llama3 or chatml are templates by name", from, err)
	}
	c.ChatTemplate = text
	return nil
}

// HasTemplate reports whether a tokenizer, or the base's, has a chat template that can be
// compiled. What is not given is as the config says.
func HasTemplate(c *config.Config, tokenizer, base string) bool {
	if tokenizer == "" {
		tokenizer = c.Tokenizer.V
	}
	if base == "" {
		base = c.LoadCheckpoint.V
	}
	text, from, err := rt.ChatTemplate(tokenizer, base)
	if err != nil || text == "" {
		return false
	}
	if _, err := jinja.Parse(text); err != nil {
		fmt.Fprintf(os.Stderr, "note: the chat template of %s cannot be compiled, so it is not taken: %v\n", from, err)
		return false
	}
	return true
}
