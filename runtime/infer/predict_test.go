package infer

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Prompts of a flag win over those of the config; a single one that names a
// file stands for its lines.
func TestPrompts(t *testing.T) {
	file := filepath.Join(t.TempDir(), "prompts.txt")
	if err := os.WriteFile(file, []byte("one\ntwo\\nlines\r\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	config := []string{"from the config"}
	for _, c := range []struct {
		given, config []string
		want          string
	}{
		{nil, nil, `[""]`},
		{nil, config, `["from the config"]`},
		{[]string{file}, config, `["one" "two\nlines"]`},
		{[]string{file, `a\nb`}, config, fmt.Sprintf("[%q \"a\\nb\"]", file)},
	} {
		got, err := readPrompts(c.given, c.config)
		if s := fmt.Sprintf("%q", got); err != nil || s != c.want {
			t.Errorf("%q, %q: %s (%v), want %s", c.given, c.config, s, err, c.want)
		}
	}
}
