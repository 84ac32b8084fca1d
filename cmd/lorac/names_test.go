package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"

	"lorac/cmd/lorac/complete"
)

// Words that are no command are refused with the one that is meant, and help comes first
// or last. Each other name leads to a command that there is.
func TestNamed(t *testing.T) {
	app, err := kong.New(&commands{}, kong.Name("lorac"))
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"help convert merge": "convert merge --help", "help": "--help", "finetune x.yaml --help": "finetune x.yaml --help", "check merge": "check merge", "--version": "--version",
		"merge": "did you mean `lorac convert merge`?", "Train x": "did you mean `lorac finetune`?", "convert mrge": "did you mean `lorac convert merge`?", "inspct": "did you mean `lorac inspect`?",
		"names_test.go": "but it is a file: `lorac check names_test.go`", "nonsense": "there is no command `lorac nonsense`\n",
	} {
		got, err := named(app, strings.Fields(line))
		if err != nil {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v; want %q", line, err, want)
			}
		} else if strings.Join(got, " ") != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	for other, command := range otherNames {
		words := strings.Fields(command)
		if _, err := named(app, words); err != nil && !slices.Contains(words, "CONFIG") {
			t.Errorf("%s: %v", other, err)
		}
		if _, err := named(app, words[:1]); err != nil {
			t.Errorf("%s: %v", other, err)
		}
	}
	c := tree(app.Model.Node)
	if i := slices.IndexFunc(c.Sub, func(s complete.Command) bool { return s.Name == "finetune" }); i < 0 || len(c.Sub[i].Flags) < 20 {
		t.Errorf("finetune has no flags to complete: %+v", c)
	}
}
