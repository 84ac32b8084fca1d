package human

import "testing"

func TestPrintable(t *testing.T) {
	for text, want := range map[string]string{
		"plain é 中\n\ttext":      "plain é 中\n\ttext",
		"\x1b]0;title\a\x1b[2J":  `\x1b]0;title\x07\x1b[2J`,
		"a\rb\x7f":               `a\rb\x7f`,
		"\x9b2J \u009b2J \uFFFD": `\x9b2J \x9b2J ` + "\uFFFD",
		"\u202Egnp.exe \u2066a":  `\u202egnp.exe \u2066a`,
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
}

func TestLine(t *testing.T) {
	if got := Line("a\nb\t\x1b[2J é.yaml"); got != `a\nb\t\x1b[2J é.yaml` {
		t.Errorf("%q", got)
	}
}
