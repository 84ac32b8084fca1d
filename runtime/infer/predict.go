package infer

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"lorac/runtime/exit"
	"lorac/runtime/python"
	"lorac/runtime/sys/atomicfile"
)

// resultFile is where MindFormers writes what it predicts (r1.3
// trainer/base_trainer.py, predict_process).
const resultFile = "text_generation_result.txt"

// Predict continues each prompt, or starts from nothing, and streams the texts
// to out. It writes them to text_generation_result.txt in the output directory
// and, as MindFormers has it, a Python list of them to list: nil is the file of
// that name in the working directory, "" none.
func (g *Generator) Predict(out io.Writer, prompts []string, list *string) error {
	if g.Tok == nil {
		return exit.Inputf("prediction needs a tokenizer; give --tokenizer tokenizer.model")
	}
	if len(prompts) == 0 {
		prompts = g.Job.Predict.Input
	}
	prompts, err := g.Prompts(prompts)
	if err != nil {
		return err
	}
	var texts, listed []string
	keep := func(_ int, text string) {
		texts = append(texts, text)
		listed = append(listed, "{'text_generation_text': ["+python.Quote(text)+"]}")
	}
	if g.Spread == nil {
		err = g.Write(out, prompts, 0, keep)
	} else { // each process has a part of the texts
		err = g.Spread.each(len(prompts), func(i int) (text []byte, err error) {
			err = g.Write(io.Discard, prompts[i:i+1], i, func(_ int, s string) { text = []byte(s) })
			return text, err
		}, func(i int, text []byte) {
			out.Write(append(text, '\n'))
			keep(i, string(text))
		})
	}
	if err != nil || g.Mute {
		return err
	}
	if err := write(filepath.Join(g.Job.Output, resultFile), strings.Join(texts, "\n")); err != nil {
		return err
	}
	path := resultFile
	if list != nil {
		path = *list
	}
	if path == "" {
		return nil
	}
	return write(path, "["+strings.Join(listed, ", ")+"]")
}

func write(path, text string) error {
	return exit.With(exit.Failed, atomicfile.WriteText(path, text))
}

// Prompts are those that are given, read and rendered.
func (g *Generator) Prompts(given []string) ([]string, error) {
	list, err := ReadPrompts(given)
	if err != nil || g.Render == nil {
		return list, err
	}
	for i, p := range list {
		if p == "" {
			continue
		}
		if list[i], err = g.Render(p); err != nil {
			return nil, exit.With(exit.Input, err)
		}
	}
	return list, nil
}

// ReadPrompts reads what is given: a single one that names a file stands for its lines.
// The two characters \n mean a line break. None is the empty one.
func ReadPrompts(list []string) ([]string, error) {
	if len(list) == 0 {
		return []string{""}, nil
	}
	if info, err := os.Stat(list[0]); len(list) == 1 && err == nil && info.Mode().IsRegular() {
		text, err := os.ReadFile(list[0])
		if err != nil {
			return nil, exit.Inputf("cannot read the prompts: %w", err)
		}
		list = strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	}
	out := make([]string, len(list))
	for i, p := range list {
		out[i] = strings.ReplaceAll(strings.TrimSuffix(p, "\r"), `\n`, "\n")
	}
	return out, nil
}
