package talk

import (
	"go/parser"
	"go/token"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
	"time"

	"lorac/cmd/lorac/talk/modeltest"
)

// A conversation on a terminal: history, commands, base against adapter.
func TestChat(t *testing.T) {
	m := modeltest.Parrot(t, true)
	var out, notes strings.Builder
	lines := "one two\\\nthree\n\n/compare\na\n/base\nb\n/adapter\n/what\nlong\nc\n/exit\nd\n"
	if err := Chat(m, Flags{System: "s"}, strings.NewReader(lines), &out, &notes, false); err != nil {
		t.Fatal(err)
	}
	if want := "one two\nthree\n[base] A\n[adapter] a\nB\nc\n"; out.String() != want {
		t.Errorf("it says %q, want %q", out.String(), want)
	}
	if want := "/what is no command; /help lists them\ntoo long\n/reset forgets the conversation\n"; notes.String() != want {
		t.Errorf("it notes %q, want %q", notes.String(), want)
	}
	if err := Chat(modeltest.Parrot(t, false), Flags{Compare: true}, strings.NewReader("a\n"), &out, &notes, false); err == nil {
		t.Error("there is no adapter to compare with")
	}
}

// Flags of chat and serve are told from those of the trainer.
func TestFlags(t *testing.T) {
	f, rest, err := ServeFlags([]string{"a.yaml", "--port", "9", "--threads", "2", "--host=::1", "--request_timeout", "5s"})
	if err != nil || f.Server.Port != 9 || f.Server.Host != "::1" || f.Server.Timeout != 5*time.Second || strings.Join(rest, " ") != "a.yaml --threads 2" {
		t.Errorf("%+v, %q, %v", f, rest, err)
	}
	for _, wrong := range [][]string{{"--port", "x"}, {"--port"}, {"--request_timeout", "-1s"}} {
		if _, _, err := ServeFlags(wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
	if f, rest, err := ChatFlags([]string{"--stop", "a", "--stop=b", "--compare", "True", "--port", "1"}); err != nil || len(f.Stop) != 2 || !f.Compare || len(rest) != 2 {
		t.Errorf("%+v, %q, %v", f, rest, err)
	}
}

// lorac-serve is built of what it imports and of nothing else: its own packages, all of
// them, and the standard library, so that no network is needed.
func TestFiles(t *testing.T) {
	given, needed := map[string]bool{}, map[string]bool{server.Main: true}
	for name, text := range files() {
		if path.Ext(name) != ".go" {
			continue
		}
		given[path.Dir(name)] = true
		f, err := parser.ParseFile(token.NewFileSet(), name, text, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			what, err := strconv.Unquote(i.Path.Value)
			if dir, ours := strings.CutPrefix(what, "lorac/"); ours {
				needed[dir] = true
			} else if err != nil || strings.Contains(strings.Split(what, "/")[0], ".") {
				t.Errorf("%s imports %s", name, what)
			}
		}
	}
	for dir := range given {
		if !needed[dir] {
			t.Errorf("%s is not needed", dir)
		}
	}
	for dir := range needed {
		if !given[dir] {
			t.Errorf("%s is missing", dir)
		}
	}
	if files()[here+"serve/page.html"] == nil {
		t.Error("no page")
	}
	if whole, err := os.ReadFile("../../../go.mod"); err != nil || !strings.HasPrefix(string(whole), string(files()["go.mod"])) {
		t.Errorf("go.mod begins otherwise than that of lorac: %v", err)
	}
}
