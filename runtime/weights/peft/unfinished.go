package peft

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"lorac/runtime/sys/atomicfile"
)

// unfinishedName is a file in a directory of trained weights. It says how far the run
// was that wrote them; a run that ends removes it.
const unfinishedName = "UNFINISHED"

// MarkUnfinished says in a directory that its weights are of a run that has not
// ended: at is how far it is, as "step 6 of 12".
func MarkUnfinished(dir, at string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	return atomicfile.WriteFile(filepath.Join(dir, unfinishedName), func(w io.Writer) error {
		_, err := fmt.Fprintf(w, "%s\nThe run that wrote these weights has not ended. When it is resumed, it replaces them and removes this file.\n", at)
		return err
	})
}

// MarkFinished removes the mark.
func MarkFinished(dir string) error {
	err := os.Remove(filepath.Join(dir, unfinishedName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Unfinished is how far the run was that wrote the weights at path, a directory or a
// file in it; "" where it ended, or did not say.
func Unfinished(path string) string {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	text, err := os.ReadFile(filepath.Join(path, unfinishedName))
	if err != nil {
		return ""
	}
	at, _, _ := strings.Cut(string(text), "\n")
	return at
}
