package human

import "testing"

func TestShellWord(t *testing.T) {
	for in, want := range map[string]string{"a/b.yaml": "a/b.yaml", "über=1,2": "über=1,2", "a b": "'a b'", "it's": `'it'\''s'`, "": "''", "$x": "'$x'"} {
		if got := ShellWord(in); got != want {
			t.Errorf("%q is %s, want %s", in, got, want)
		}
	}
}
