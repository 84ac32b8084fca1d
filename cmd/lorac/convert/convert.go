// Package convert is what `lorac convert` does: checkpoints, adapters and data
// from one format to another. A type is a conversion with its flags; Run does it
// and prints what was done. It also describes what files hold.
package convert

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/cmd/lorac/convert/formats"
	"lorac/runtime/weights/modeldir"
)

// copyBeside copies config, tokenizer and templates next to what is written.
func copyBeside(base, out string) error {
	dir := modeldir.Of(base)
	if _, err := modeldir.Copy(dir, out); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if os.IsNotExist(err) {
		return nil
	}
	if err != nil {
		return err
	}
	return modeldir.Write(filepath.Join(out, "config.json"), text)
}

// sayBeside says what was not taken along as it lies beside a source.
func sayBeside(s *formats.Source, to string, files []string) {
	if names := s.Replaced(); len(names) > 0 {
		fmt.Printf("%s: taken from %s, with which the adapter was saved; those in %s differ\n", strings.Join(names, ", "), s.AdapterDir, s.Dir)
	}
	for _, note := range s.Notes {
		if note != "" {
			fmt.Println(note)
		}
	}
	if to != "hf" {
		return
	}
	if !slices.ContainsFunc(files, func(f string) bool {
		return strings.HasPrefix(filepath.Base(f), "tokenizer.") || filepath.Base(f) == "vocab.json"
	}) {
		fmt.Printf("no tokenizer was written: %s has none beside the weights (tokenizer.model or tokenizer.json)\n", s.Dir)
	}
	if s.Model.HeadDim == 0 {
		fmt.Println("no config.json was written, since nothing says how many heads the model has; --config CONFIG does (the MindFormers YAML, or a config.json)")
	}
	if info, err := os.Stat(s.Path); err != nil || !info.IsDir() {
		return // other files beside a file need not concern it
	}
	if names := modeldir.Others(s.Dir); len(names) > 0 {
		fmt.Printf("not copied: %s\n", few(names))
	}
}

// warn prints what continues though it may be wrong.
func warn(list []string) {
	for _, w := range list {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
}

// note prints what a user should know of what is done.
func note(list []string) {
	for _, n := range list {
		fmt.Fprintln(os.Stderr, "note:", n)
	}
}

func few(names []string) string {
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
