package claims

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// IgnoredName is the file beside an adapter or a model that lists what
// --base_config ignore passed over in its training.
const IgnoredName = "base_config_ignored.json"

// Ignored is a line of it.
type Ignored struct {
	Key     string `json:"key"`
	Place   string `json:"place"` // of what was ignored
	Said    string `json:"says"`
	Trained string `json:"trained_with"`
}

// IgnoredAt lists in sentences what was ignored in the training of the adapter or the
// model at a path, a directory or a file in it.
func IgnoredAt(path string) (out []string, err error) {
	if info, err := os.Stat(path); err == nil && !info.IsDir() {
		path = filepath.Dir(path)
	}
	file := filepath.Join(path, IgnoredName)
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var list struct {
		Ignored []Ignored `json:"ignored"`
	}
	if err == nil {
		err = json.Unmarshal(text, &list)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read %s, which says what was ignored in training: %w\n  = help: take the whole adapter again; or remove that file", file, err)
	}
	for _, e := range list.Ignored {
		out = append(out, fmt.Sprintf("it was trained with --base_config ignore: %s was %s, though %s said %s", visible(e.Key), visible(e.Trained), clean(e.Place), visible(e.Said)))
	}
	return out, nil
}
