package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/launch"
	"lorac/configs"
	"lorac/runtime/sys/atomicfile"
)

type quickstartCmd struct {
	Out string `short:"o" default:"output/quickstart" help:"Where data, models and results go." placeholder:"DIR"`

	brief []string // more flags of the two trainings; for tests
}

// unseen are prompts neither the base nor the adapter was trained on.
var unseen = []string{"river", "melon", "tomato", "sunset", "kolibri"}

// Run makes a base model, fine-tunes it by LoRA, and shows both at work.
func (c *quickstartCmd) Run() error {
	at := func(parts ...string) string { return filepath.Join(append([]string{c.Out}, parts...)...) }
	if err := writeQuickstartData(c.Out); err != nil {
		return err
	}
	fmt.Println("1. Compile and train a small base model from nothing: it learns to repeat a word.")
	base, err := buildEmbedded("quickstart_base.yaml", configs.QuickstartBase)
	if err != nil {
		return err
	}
	train := func(bin string, args ...string) error { return launch.Run(bin, append(args, c.brief...)...) }
	if err := train(base, "--train_dataset_dir", at("base.jsonl"), "--tokenizer", at("tokenizer.model"), "--output_dir", at("base")); err != nil {
		return err
	}
	model := at("base", "model")
	if err := copyFile(at("tokenizer.model"), filepath.Join(model, "tokenizer.model")); err != nil {
		return err
	}

	fmt.Println("\n2. Compile the LoRA config; what the base answers to words it never saw:")
	lora, err := buildEmbedded("quickstart.yaml", configs.Quickstart)
	if err != nil {
		return err
	}
	before, err := answers(lora, model, at("before"))
	if err != nil {
		return err
	}
	show2(before, nil)

	fmt.Println("\n3. Fine-tune by LoRA on 1200 words in capitals, the base frozen:")
	if err := train(lora, "--load_checkpoint", model, "--train_dataset_dir", at("lora.jsonl"), "--eval_dataset_dir", at("eval.jsonl"), "--output_dir", at("lora")); err != nil {
		return err
	}
	fmt.Println("\n4. The same words, before and after:")
	after, err := answers(lora, model, at("after"), "--load_adapter", at("lora", "adapter"))
	if err != nil {
		return err
	}
	show2(before, after)
	fmt.Printf("\nThe adapter is in %s (PEFT format), the base in %s.\nNext: lorac init MODEL writes a config for a model of your own; lorac check, plan and finetune take it.\n", at("lora", "adapter"), model)
	return nil
}

func buildEmbedded(name string, text []byte) (string, error) {
	cfg, err := build.LoadBytes(name, text, nil)
	if err != nil {
		return "", err
	}
	return build.Trainer(cfg, build.Target{})
}

// answers runs the trainer in predict mode over the unseen words.
func answers(bin, model, out string, more ...string) ([]string, error) {
	args := append([]string{"--run_mode", "predict", "--load_checkpoint", model, "--output_dir", out, "--save_file="}, more...)
	for _, w := range unseen {
		args = append(args, "--predict_data", w+">")
	}
	if text, err := exec.Command(bin, args...).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, text)
	}
	text, err := os.ReadFile(filepath.Join(out, "text_generation_result.txt"))
	if err != nil {
		return nil, err
	}
	return strings.Split(string(text), "\n"), nil
}

func show2(before, after []string) {
	for i, line := range before {
		prompt, answer, _ := strings.Cut(line, ">")
		fmt.Printf("   %-10s → %-10s", prompt, answer)
		if after != nil {
			_, tuned, _ := strings.Cut(after[i], ">")
			fmt.Printf(" → %s", tuned)
		}
		fmt.Println()
	}
}

// writeQuickstartData makes a tokenizer of letters and the rows: words of
// random syllables, to be repeated, or answered in capitals.
func writeQuickstartData(dir string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	words := syllableWords(4600)
	type row struct {
		Prompt     string `json:"prompt"`
		Completion string `json:"completion"`
	}
	repeat := func(w string) []row { return []row{{w + ">", w}, {strings.ToUpper(w) + ">", strings.ToUpper(w)}} }
	shout := func(w string) []row { return []row{{w + ">", strings.ToUpper(w)}} }
	for _, f := range []struct {
		name  string
		words []string
		make  func(string) []row
	}{{"base.jsonl", words[:4000], repeat}, {"lora.jsonl", words[:1200], shout}, {"eval.jsonl", words[4400:], shout}} {
		err := atomicfile.WriteFile(filepath.Join(dir, f.name), func(w io.Writer) error {
			enc := json.NewEncoder(w)
			enc.SetEscapeHTML(false)
			for _, word := range f.words {
				for _, r := range f.make(word) {
					if err := enc.Encode(r); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return atomicfile.WriteFile(filepath.Join(dir, "tokenizer.model"), func(w io.Writer) error {
		_, err := w.Write(letterTokenizer())
		return err
	})
}

// syllableWords makes n different words, none of them an unseen one.
func syllableWords(n int) []string {
	rng := rand.New(rand.NewPCG(2023, 9))
	pick := func(s string) string { i := rng.IntN(len(s)); return s[i : i+1] }
	seen := map[string]bool{}
	for _, w := range unseen {
		seen[w] = true
	}
	var out []string
	for len(out) < n {
		w := ""
		for range 2 + rng.IntN(2) {
			w += pick("bcdfghjklmnprstvwz") + pick("aeiou")
			if rng.IntN(5) < 2 {
				w += pick("bklmnrst")
			}
		}
		if len(w) < 10 && !seen[w] {
			seen[w] = true
			out = append(out, w)
		}
	}
	return out
}

// letterTokenizer is a SentencePiece model whose pieces are letters.
func letterTokenizer() []byte {
	uvarint := func(n int) []byte {
		var b []byte
		for ; n > 127; n >>= 7 {
			b = append(b, byte(n&127|128))
		}
		return append(b, byte(n))
	}
	number := func(field, n int) []byte { return append(uvarint(field<<3), uvarint(n)...) }
	bytes := func(field int, b []byte) []byte {
		return append(append(uvarint(field<<3|2), uvarint(len(b))...), b...)
	}
	var out []byte
	piece := func(text string, kind int) {
		out = append(out, bytes(1, append(bytes(1, []byte(text)), number(3, kind)...))...)
	}
	const normal, unknown, control = 1, 2, 3
	piece("<unk>", unknown)
	piece("<s>", control)
	piece("</s>", control)
	for _, r := range "\u2581abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ>" {
		piece(string(r), normal)
	}
	const bpe = 2
	out = append(out, bytes(2, number(3, bpe))...)
	return append(out, bytes(3, append(append(bytes(1, []byte("identity")), number(3, 1)...), append(number(4, 0), number(5, 1)...)...))...)
}

func copyFile(from, to string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return atomicfile.WriteFile(to, func(w io.Writer) error { _, err := w.Write(data); return err })
}
