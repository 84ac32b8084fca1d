package diag

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestPosString(t *testing.T) {
	for _, c := range []struct {
		pos  Pos
		want string
	}{
		{Pos{}, ""},
		{Pos{File: "a.yaml"}, "a.yaml"},
		{Pos{File: "--epochs"}, "--epochs"},
		{Pos{File: "a.yaml", Line: 3, Col: 7, Len: 2}, "a.yaml:3:7"},
	} {
		if got := c.pos.String(); got != c.want {
			t.Errorf("%#v prints %q, want %q", c.pos, got, c.want)
		}
	}
	if (Pos{File: "a"}).Known() || !(Pos{Line: 1}).Known() {
		t.Error("a place is known when it has a line")
	}
}

func TestListIsAnError(t *testing.T) {
	l := List{
		Errorf(Pos{"a.yaml", 2, 1, 1}, "one", "first %d", 1),
		Warnf(Pos{"a.yaml", 3, 1, 1}, "two", "second"),
	}
	var err error = l
	if want := "a.yaml:2:1: error[one]: first 1\na.yaml:3:1: warning[two]: second"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
	var back List
	if !errors.As(fmt.Errorf("load: %w", err), &back) || len(back) != 2 {
		t.Error("a wrapped list cannot be found again")
	}
	if !l.HasErrors() || l[1:].HasErrors() || (List{}).HasErrors() {
		t.Error("only errors count as errors")
	}
}

func TestSorted(t *testing.T) {
	at := func(file string, line, col int) *Diagnostic {
		return Errorf(Pos{file, line, col, 1}, "c", "%s %d %d", file, line, col)
	}
	l := List{at("b", 1, 1), at("a", 9, 1), at("a", 2, 8), at("a", 2, 3), at("a", 9, 1)}
	var got []string
	for _, d := range l.Sorted() {
		got = append(got, d.Pos.String())
	}
	if want := []string{"a:2:3", "a:2:8", "a:9:1", "b:1:1"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(l) != 5 || l[0].Pos.File != "b" {
		t.Error("the list itself was changed")
	}
}

func TestSeverityPrints(t *testing.T) {
	for s, want := range map[Severity]string{Error: "error", Warning: "warning", Note: "note", 200: "error"} {
		if s.String() != want {
			t.Errorf("severity %d prints %q, want %q", uint8(s), s, want)
		}
	}
}

func TestSuggest(t *testing.T) {
	keys := []string{"lora_rank", "lora_alpha", "lora_dropout", "target_modules", "exclude_layers", "pet_type"}
	for _, c := range []struct {
		word string
		want string
	}{
		{"lora_rnk", "lora_rank"},
		{"lora_arnk", "lora_rank"},
		{"Lora_Rank", "lora_rank"},
		{"lora-rank", "lora_rank"},
		{"target_module", "target_modules"},
		{"lora_rank", ""}, // it is one of them
		{"rnk", ""},       // too short to guess
		{"zzzzzzzz", ""},
		{"", ""},
		{strings.Repeat("lora_rank", 100), ""},
	} {
		if got := strings.Join(Suggest(c.word, keys), " "); got != c.want {
			t.Errorf("Suggest(%q) = %q, want %q", c.word, got, c.want)
		}
	}
}

func TestSuggestAtMostThreeNearestFirst(t *testing.T) {
	got := Suggest("abcdef", []string{"abcdxx", "abcdeg", "abcdeh", "abcdei", "abcdefg"})
	if want := []string{"abcdefg", "abcdeg", "abcdeh"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// What an error says besides is the help, in place of a general one.
func TestBecause(t *testing.T) {
	d := Errorf(Pos{}, "x", "no base").WithHelp("in general").Because(errors.New("it is empty\n  = help: write it again"))
	if d.Message != "no base: it is empty" || d.Help != "write it again" {
		t.Errorf("%q, help %q", d.Message, d.Help)
	}
	if d = Errorf(Pos{}, "x", "no base").WithHelp("in general").Because(errors.New("it is empty")); d.Help != "in general" {
		t.Errorf("help %q", d.Help)
	}
}
