package diag

import (
	"strings"
	"testing"
)

const tiny = `model:
  model_config:
    hidden_size: 130
    num_layers: 2
    num_heads: 4
    pet_config:
      lora_rnk: 16
`

func render(d *Diagnostic, sources map[string][]byte, color bool) string {
	var b strings.Builder
	Render(&b, List{d}, sources, color)
	return b.String()
}

func expect(t *testing.T, got, want string) {
	t.Helper()
	if want = strings.TrimPrefix(want, "\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

var sources = map[string][]byte{"tiny.yaml": []byte(tiny)}

func TestRenderOnePlace(t *testing.T) {
	d := Errorf(Pos{"tiny.yaml", 7, 7, 8}, "unknown-key", "unknown key `lora_rnk`").
		WithLabel("did you mean `lora_rank`?").WithHelp("keys allowed here: lora_alpha, lora_rank").
		WithNote("with this key ignored, the rank would be the default, 8")
	expect(t, render(d, sources, false), `
error[unknown-key]: unknown key `+"`lora_rnk`"+`
 --> tiny.yaml:7:7
  |
7 |       lora_rnk: 16
  |       ^^^^^^^^ did you mean `+"`lora_rank`"+`?
  |
  = help: keys allowed here: lora_alpha, lora_rank
  = note: with this key ignored, the rank would be the default, 8
`)
}

func TestRenderTwoPlaces(t *testing.T) {
	d := Errorf(Pos{"tiny.yaml", 3, 18, 3}, "mismatch", "`hidden_size` must be a multiple of `num_heads`").
		WithLabel("130 = 4 × 32 + 2").At(Pos{"tiny.yaml", 5, 16, 1}, "heads are counted here")
	expect(t, render(d, sources, false), `
error[mismatch]: `+"`hidden_size` must be a multiple of `num_heads`"+`
 --> tiny.yaml:3:18
  |
3 |     hidden_size: 130
  |                  ^^^ 130 = 4 × 32 + 2
...
5 |     num_heads: 4
  |                - heads are counted here
`)
}

func TestRenderSecondaryFirst(t *testing.T) {
	d := Warnf(Pos{"tiny.yaml", 4, 5, 10}, "w", "later").At(Pos{"tiny.yaml", 3, 5, 11}, "earlier")
	expect(t, render(d, sources, false), `
warning[w]: later
 --> tiny.yaml:4:5
  |
3 |     hidden_size: 130
  |     ----------- earlier
4 |     num_layers: 2
  |     ^^^^^^^^^^
`)
}

func TestRenderOtherFile(t *testing.T) {
	both := map[string][]byte{"tiny.yaml": []byte(tiny), "base.yaml": []byte("a: 1\nb: 2\n")}
	d := Errorf(Pos{"tiny.yaml", 3, 18, 3}, "e", "two files").WithLabel("here").
		At(Pos{"base.yaml", 2, 4, 1}, "and here").At(Pos{File: "--epochs"}, "set by the flag").WithHelp("look")
	expect(t, render(d, both, false), `
error[e]: two files
 --> tiny.yaml:3:18
  |
3 |     hidden_size: 130
  |                  ^^^ here
 ::: base.yaml:2:4
  |
2 | b: 2
  |    - and here
 ::: --epochs
  set by the flag
  |
  = help: look
`)
}

func TestRenderWithoutSource(t *testing.T) {
	d := Errorf(Pos{File: "--epochs"}, "type", "`epochs` must be a whole number").WithHelp("give a number")
	expect(t, render(d, nil, false), "error[type]: `epochs` must be a whole number\n --> --epochs\n  = help: give a number\n")
	expect(t, render(&Diagnostic{Severity: Note, Message: "no place at all"}, nil, false), "note: no place at all\n")
	// A line past the end of the text shows the place only.
	expect(t, render(Errorf(Pos{"tiny.yaml", 99, 1, 1}, "e", "m"), sources, false), "error[e]: m\n  --> tiny.yaml:99:1\n")
}

func TestRenderWideLineNumbers(t *testing.T) {
	src := map[string][]byte{"f": []byte(strings.Repeat("\n", 99) + "x: 1\n")}
	d := Errorf(Pos{"f", 100, 4, 1}, "e", "m").At(Pos{"f", 2, 1, 0}, "two")
	expect(t, render(d, src, false), `
error[e]: m
   --> f:100:4
    |
  2 |
    | - two
...
100 | x: 1
    |    ^
`)
}

func TestRenderKeepsToTheLine(t *testing.T) {
	src := map[string][]byte{"f": []byte("\tключ: значение\r\nlast")}
	// Columns count characters, tabs stay tabs, the span ends with the line.
	expect(t, render(Errorf(Pos{"f", 1, 8, 99}, "", "m"), src, false), "error: m\n --> f:1:8\n  |\n1 | \tключ: значение\n  | \t      ^^^^^^^^\n")
	expect(t, render(Errorf(Pos{"f", 2, 40, 3}, "", "m"), src, false), "error: m\n --> f:2:40\n  |\n2 | last\n  |     ^\n")
}

func TestRenderLongLine(t *testing.T) {
	line := strings.Repeat("a", 5000) + "NEEDLE" + strings.Repeat("b", 5000)
	got := render(Errorf(Pos{"f", 1, 5001, 6}, "", "m"), map[string][]byte{"f": []byte(line)}, false)
	rows := strings.Split(got, "\n")
	at := strings.Index(rows[3], "NEEDLE")
	caret := strings.Index(rows[4], "^^^^^^")
	// "…" takes three bytes and one column.
	if at < 0 || caret != at-2 || len([]rune(rows[3])) > maxLine+10 {
		t.Errorf("the caret does not point at the position in\n%s", got)
	}
}

func TestRenderIsInert(t *testing.T) {
	src := map[string][]byte{"f": []byte("a: \x1b[2J\u202e\n")}
	got := render(Errorf(Pos{"f", 1, 1, 1}, "", "key \x1b[31m\nforged: line").WithHelp("\x07").WithNote("\x00").WithLabel("\x1b"), src, false)
	if strings.ContainsAny(got, "\x1b\x07\x00\u202e") {
		t.Errorf("control characters pass: %q", got)
	}
	if strings.Contains(got, "\nforged") {
		t.Errorf("a message makes a line of its own: %q", got)
	}
}

func TestRenderColor(t *testing.T) {
	d := Errorf(Pos{"tiny.yaml", 3, 18, 3}, "e", "m").WithLabel("l").WithHelp("h").At(Pos{"tiny.yaml", 5, 16, 1}, "x")
	got := render(d, sources, true)
	plain := got
	for _, c := range []string{bold, blue, reset, paint[Error]} {
		plain = strings.ReplaceAll(plain, c, "")
	}
	if want := render(d, sources, false); plain != want {
		t.Errorf("without its colors:\n%s\nwant\n%s", plain, want)
	}
	if !strings.Contains(got, paint[Error]+"^^^ l"+reset) || !strings.Contains(got, paint[Error]+"error[e]"+reset) {
		t.Errorf("the primary position is not in the color of an error: %q", got)
	}
}

func TestRenderSeparatesByABlankLine(t *testing.T) {
	var b strings.Builder
	Render(&b, List{Errorf(Pos{}, "", "one"), Errorf(Pos{}, "", "two")}, nil, false)
	expect(t, b.String(), "error: one\n\nerror: two\n")
}

func FuzzRender(f *testing.F) {
	f.Add("a: 1\nb: 2\n", 1, 2, 3, 2, 1, 9)
	f.Add("", 0, -1, 5, 1<<30, 1<<30, 1<<30)
	f.Add("\xff\xfe\n\t\t", 1, 1, 8, 2, -5, -5)
	f.Fuzz(func(t *testing.T, src string, l1, c1, n1, l2, c2, n2 int) {
		d := Errorf(Pos{"f", l1, c1, n1}, "c", "m").At(Pos{"f", l2, c2, n2}, "x")
		if out := render(d, map[string][]byte{"f": []byte(src)}, false); !strings.HasPrefix(out, "error[c]: m\n") {
			t.Errorf("lost the message: %q", out)
		}
	})
}
