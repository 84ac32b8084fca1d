package ascend

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"

	k "lorac/kernels/ascend"
)

// places says what calls of the program compute: the comment above each has its
// results and the line of the config.
type places struct {
	sources fs.FS
	config  string // its file
}

var (
	results = regexp.MustCompile(`^// (%[\w.]+( \([^)]*\))?(, %[\w.]+( \([^)]*\))?)*)`)
	shapes  = regexp.MustCompile(` \([^)]*\)`) // shapes
	lineOf  = regexp.MustCompile(`\(yaml:(\d+)\)$`)
)

// describe is a call for people: LoRALinear of layer 3, for %query, %query.xa
// (config.yaml:44; layerForward, forward.go:61).
func (p places) describe(c k.Call) string {
	text := c.Name
	if c.Layer >= 0 {
		text += fmt.Sprintf(" of layer %d", c.Layer)
	}
	at := c.Func[strings.LastIndexByte(c.Func, '.')+1:]
	if c.File != "" {
		at += fmt.Sprintf(", %s:%d", filepath.Base(c.File), c.Line)
	}
	values, line := p.comment(filepath.Base(c.File), c.Line)
	if values != "" {
		text += ", for " + values
	}
	if line != "" {
		at = fmt.Sprintf("%s:%s; %s", p.config, line, at)
	}
	return fmt.Sprintf("%s (%s)", text, at)
}

// comment reads the paragraph that a line of the program is in: the results that
// its comment names, and the line of the config.
func (p places) comment(file string, line int) (values, config string) {
	if p.sources == nil {
		return "", ""
	}
	text, err := fs.ReadFile(p.sources, file)
	lines := strings.Split(string(text), "\n")
	if err != nil || line < 1 || line > len(lines) {
		return "", ""
	}
	first := line - 1
	for first > 0 && strings.TrimSpace(lines[first-1]) != "" {
		first--
	}
	note := ""
	for _, l := range lines[first : line-1] {
		l = strings.TrimSpace(l)
		rest, ok := strings.CutPrefix(l, "// ")
		if !ok {
			break
		}
		note = strings.TrimSpace(note + " " + rest)
	}
	if m := results.FindStringSubmatch("// " + note); m != nil {
		values = shapes.ReplaceAllString(m[1], "")
	}
	if m := lineOf.FindStringSubmatch(note); m != nil {
		config = m[1]
	}
	return values, config
}
