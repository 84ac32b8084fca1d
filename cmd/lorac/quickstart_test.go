package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// TestQuickstartBegins: the same with a few steps of each training: all of it runs, both
// trainings improve, and the adapter makes a difference.
func TestQuickstartBegins(t *testing.T) {
	dir := t.TempDir()
	if err := (&quickstartCmd{Out: dir, brief: []string{"--steps", "12"}}).Run(); err != nil {
		t.Fatal(err)
	}
	for _, run := range []string{"base", "lora"} {
		steps := slices.DeleteFunc(metricsOf(t, filepath.Join(dir, run)), func(r record) bool { return r.Loss == 0 }) // evaluations
		if len(steps) != 12 || steps[11].Loss > steps[0].Loss-0.05 {
			t.Errorf("%s: %v", run, steps)
		}
	}
	answers := map[string]string{}
	for _, run := range []string{"before", "after"} {
		text, err := os.ReadFile(filepath.Join(dir, run, "text_generation_result.txt"))
		if err != nil || strings.Count(string(text), ">") < len(unseen) {
			t.Fatalf("%s: %q, %v", run, text, err)
		}
		answers[run] = string(text)
	}
	if answers["before"] == answers["after"] {
		t.Errorf("the adapter changes no answer: %q", answers["after"])
	}
}

// TestQuickstart runs what the README promises: the base repeats words it
// never saw, the adapter makes it answer in capitals.
func TestQuickstart(t *testing.T) {
	testkit.Slow(t, "programs")
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
