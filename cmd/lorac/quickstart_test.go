package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestQuickstart runs what the README promises: the base repeats words it
// never saw, the adapter makes it answer in capitals.
func TestQuickstart(t *testing.T) {
	dir := t.TempDir()
	if err := (&quickstartCmd{Out: dir}).Run(); err != nil {
		t.Fatal(err)
	}
	for run, want := range map[string]func(string) string{"before": strings.ToLower, "after": strings.ToUpper} {
		text, err := os.ReadFile(filepath.Join(dir, run, "text_generation_result.txt"))
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(string(text), "\n")
		right := 0
		for i, w := range unseen {
			if i < len(lines) && lines[i] == w+">"+want(w) {
				right++
			}
		}
		if right < len(unseen) {
			t.Errorf("%s fine-tuning only %d of %d words are right: %q", run, right, len(unseen), lines)
		}
	}
}
