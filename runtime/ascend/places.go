package ascend

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
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
	results = regexp.MustCompile(`^(%[\w.]+( \([^)]*\))?(, %[\w.]+( \([^)]*\))?)*)`)
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

// call is a call of a kernel as the program writes it.
var call = regexp.MustCompile(`\bm\.k\.(\w+)\(`)

// calls are the kernels' methods that the program calls and that can be tried.
func (p places) calls() []string {
	if p.sources == nil {
		return nil
	}
	var all []string
	files, _ := fs.Glob(p.sources, "*.go")
	for _, name := range files {
		text, _ := fs.ReadFile(p.sources, name)
		for _, m := range call.FindAllSubmatch(text, -1) {
			all = append(all, string(m[1]))
		}
	}
	slices.Sort(all)
	return slices.DeleteFunc(slices.Compact(all), func(name string) bool { return !slices.Contains(k.Trials(), name) })
}

// comment reads the paragraph that a line of the program is in: the results that
// its comment names, and the line of the config.
func (p places) comment(file string, line int) (values, config string) {
	if p.sources == nil {
		return "", ""
	}
	program, err := fs.ReadFile(p.sources, file)
	lines := strings.Split(string(program), "\n")
	if err != nil || line < 1 || line > len(lines) {
		return "", ""
	}
	first := line - 1
	for first > 0 && strings.TrimSpace(lines[first-1]) != "" {
		first--
	}
	var note []string
	for _, l := range lines[first : line-1] {
		rest, ok := strings.CutPrefix(strings.TrimSpace(l), "// ")
		if !ok && len(note) > 0 {
			break
		}
		if ok { // else the line of a function, before its first statement
			note = append(note, rest)
		}
	}
	text := strings.Join(note, " ")
	if m := results.FindStringSubmatch(text); m != nil {
		values = shapes.ReplaceAllString(m[1], "")
	}
	if m := lineOf.FindStringSubmatch(text); m != nil {
		config = m[1]
	}
	return values, config
}
