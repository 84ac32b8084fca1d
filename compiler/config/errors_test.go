package config

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lorac/runtime/weights/claims"
)

var update = flag.Bool("update", false, "rewrite the goldens")

// codeInSource finds the codes in calls of errorf and its like.
var codeInSource = regexp.MustCompile(`(?:[eE]rrorf|[wW]arnf)\([^"\n]*, "([a-z-]+)", "`)

// Each archive in testdata/errors shows one code as a user sees it: the files
// are written to an empty folder, config.yaml is checked there, and what is
// printed must be the file `want`. A comment line `flags: --a.b c` sets keys
// as the command line does; `device: ascend` is for what runs there, and `base: config.json`
// compares the config with that file.
func TestErrors(t *testing.T) {
	archives, err := filepath.Glob("../../testdata/errors/*.txtar")
	if err != nil || len(archives) == 0 {
		t.Fatal("no archives in testdata/errors")
	}
	covered, ran := map[string]bool{}, 0
	for _, path := range archives {
		code := strings.TrimSuffix(filepath.Base(path), ".txtar")
		path, err := filepath.Abs(path)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(code, func(t *testing.T) {
			ran++
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			a := parseArchive(text)
			t.Chdir(t.TempDir())
			want := -1
			for i, f := range a.files {
				if f.name == "want" {
					want = i
				} else if err := os.WriteFile(f.name, f.data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			c, l := Check("config.yaml", flags(t, a.comment))
			if strings.Contains(a.comment, "base: config.json") {
				c, l = CheckOn("config.yaml", flags(t, a.comment), &Base{Claims: func(string, bool, string) ([]claims.Claim, error) {
					text, err := os.ReadFile("config.json")
					if err != nil {
						return nil, err
					}
					return claims.HuggingFace("config.json", text)
				}})
			}
			if strings.Contains(a.comment, "device: ascend") {
				l = append(l, c.OnAscend()...).Sorted()
			}
			for _, d := range l {
				covered[d.Code] = true
			}
			if has(l, code, "") == nil {
				t.Errorf("there is no %s in\n%s", code, render(c, l))
			}
			got := render(c, l)
			if *update {
				if want < 0 {
					want, a.files = len(a.files), append(a.files, archived{name: "want"})
				}
				a.files[want].data = []byte(got)
				if err := os.WriteFile(path, a.format(), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if want < 0 || got != string(a.files[want].data) {
				t.Errorf("got\n%s\nrun with -update to accept", got)
			}
		})
	}
	if ran < len(archives) {
		return // -run picked some
	}
	// A new code needs an archive: all codes in the sources are covered.
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range sources {
		text, err := os.ReadFile(name)
		if err != nil || strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, m := range codeInSource.FindAllStringSubmatch(string(text), -1) {
			if !covered[m[1]] {
				t.Errorf("%s reports %q, which no archive shows", name, m[1])
			}
		}
	}
}

func flags(t *testing.T, comment string) []Override {
	t.Helper()
	var out []Override
	for _, line := range strings.Split(comment, "\n") {
		rest, ok := strings.CutPrefix(line, "flags: ")
		if !ok {
			continue
		}
		words := strings.Fields(rest)
		for i := 0; i+1 < len(words); i += 2 {
			out = append(out, Override{Path: strings.TrimPrefix(words[i], "--"), Value: words[i+1], Origin: words[i]})
		}
	}
	return out
}
