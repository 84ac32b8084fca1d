// Package convert is what `lorac convert` does: checkpoints, adapters and data
// from one format to another. A type is a conversion with its flags; Run does it
// and prints what was done. It also describes what files hold.
package convert

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lorac/runtime/sys/atomicfile"
)

// copyBeside copies what makes a checkpoint a model: its config and tokenizer.
func copyBeside(base, out string) error {
	dir := base
	if info, err := os.Stat(base); err == nil && !info.IsDir() {
		dir = filepath.Dir(base)
	}
	for _, name := range []string{"config.json", "generation_config.json", "tokenizer.model", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if os.IsNotExist(err) {
			continue
		}
		if err != nil {
			return err
		}
		if err := atomicfile.WriteFile(filepath.Join(out, name), func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
			return err
		}
	}
	return nil
}

// warn prints what goes on though it may be wrong.
func warn(list []string) {
	for _, w := range list {
		fmt.Fprintln(os.Stderr, "warning:", w)
	}
}

func few(names []string) string {
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + ", …"
	}
	return strings.Join(names, ", ")
}
