package program

import (
	"os"
	"strings"
	"testing"
)

// The modules that programs are built in elsewhere have the versions of this one.
func TestModules(t *testing.T) {
	for dir, library := range map[string]string{"parquet/lorac-parquet": "github.com/parquet-go/parquet-go ", "mindindex/lorac-mindindex": "modernc.org/sqlite "} {
		for own, whole := range map[string]string{"module.mod": "go.mod", "module.sum": "go.sum"} {
			have, n := map[string]bool{}, 0
			for _, line := range linesOf(t, "../../../"+whole) {
				have[line] = true
			}
			for _, line := range linesOf(t, "../convert/"+dir+"/"+own) {
				if strings.HasPrefix(line, library) {
					n++
				}
				if line != "(" && !strings.HasPrefix(line, "module ") && !have[line] {
					t.Errorf("%s/%s: %s has no line %q; go mod tidy in a copy of the program with the go.mod and go.sum of the root", dir, own, whole, line)
				}
			}
			if n == 0 {
				t.Errorf("%s/%s does not name %s", dir, own, library)
			}
		}
	}
}

// linesOf are the lines of a file of a module, without `require`.
func linesOf(t *testing.T, path string) (out []string) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		out = append(out, strings.TrimPrefix(strings.TrimSpace(line), "require "))
	}
	return out
}
