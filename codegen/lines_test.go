package codegen

import (
	"os"
	"strings"
	"testing"

	"lorac/ir"
)

// Each statement leads to the comment above its call, which names its result and its line
// of the config.
func TestLines(t *testing.T) {
	for _, name := range []string{"llama2_7b", "ascend_gqa"} {
		path := "../testdata/cases/" + name + "/module.ir"
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		m, err := ir.Parse(path, string(text))
		if err != nil {
			t.Fatal(err)
		}
		files, funcs, stmts, err := Lines(m)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range m.Funcs {
			p, ok := funcs[f]
			if !ok || !strings.HasPrefix(lineOf(files, p), "func ") {
				t.Errorf("%s: function %s is at %v: %q", name, f.Name, p, lineOf(files, p))
			}
			last := 0
			for _, s := range f.Body {
				p, ok := stmts[s]
				if !ok || p.Line < last || p.Line == last && f.Name != "update" {
					t.Errorf("%s: %s: %v %s (yaml:%d) is at %v, after line %d", name, f.Name, s.Results, s.Op.Name, s.Pos.Line, p, last)
					continue
				}
				last = p.Line
				if text := lineOf(files, p); len(s.Results) > 0 && s.Results[0].Type.Kept == nil && !strings.HasPrefix(strings.TrimSpace(text), "// "+s.Results[0].String()) {
					t.Errorf("%s: %s: %s is at %q", name, f.Name, s.Results[0], text)
				}
			}
		}
	}
}

func lineOf(files map[string][]byte, p Place) string {
	lines := strings.Split(string(files[p.File]), "\n")
	if p.Line < 1 || p.Line > len(lines) {
		return ""
	}
	return lines[p.Line-1]
}
