package complete

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"os"
)

var root = Command{Name: "tool", Flags: []Flag{{Name: "version", Help: "tell it's version"}}, Sub: []Command{
	{Name: "run", Help: "run it: now", Flags: []Flag{{Name: "device", Values: []string{"cpu", "ascend"}}, {Name: "steps"}}},
	{Name: "convert", Sub: []Command{{Name: "merge", Flags: []Flag{{Name: "base"}}}, {Name: "weights"}}},
}}

// The script of bash completes commands, those below them, flags and their values.
func TestBash(t *testing.T) {
	shell, err := exec.LookPath("bash")
	if err != nil {
		t.Skip("bash is not here (Debian: apt-get install bash)")
	}
	text, err := Script("bash", root)
	if err != nil {
		t.Fatal(err)
	}
	for line, want := range map[string]string{
		"tool ": "run convert", "tool c": "convert", "tool convert ": "merge weights", "tool run --": "--device --steps", "tool run --device ": "cpu ascend",
		"tool convert merge --b": "--base", "tool run x.yaml --st": "--steps", "tool --": "--version",
	} {
		words := strings.Split(line, " ")
		script := text + "\nCOMP_WORDS=('" + strings.Join(words, "' '") + "'); COMP_CWORD=" + string(rune('0'+len(words)-1)) + "; _tool; echo \"${COMPREPLY[*]}\""
		out, err := testkit.Command(t, shell, "-c", script).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != want {
			t.Errorf("%q: %q, want %q (%v)", line, got, want, err)
		}
	}
}

// The other scripts are what their shells can read.
func TestOthers(t *testing.T) {
	for _, shell := range []string{"zsh", "fish"} {
		t.Run(shell, func(t *testing.T) {
			text, err := Script(shell, root)
			if err != nil || !strings.Contains(text, "merge") || !strings.Contains(text, "device") {
				t.Fatalf("%v\n%s", err, text)
			}
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("%s is not here (Debian: apt-get install %s)", shell, shell)
			}
			file := filepath.Join(t.TempDir(), "script")
			if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			if out, err := testkit.Command(t, path, "-n", file).CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if _, err := Script("csh", root); err == nil {
		t.Error("there is no script for csh")
	}
}
