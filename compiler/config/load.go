package config

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"

	"lorac/ir/diag"
)

// Override sets one key from the command line, over whatever the file says.
type Override struct {
	Path   string // dotted
	Value  string // read as a plain YAML scalar, or JSON
	Origin string // the flag, for messages
}

// Load reads a config with its base configs, applies the overrides, classifies
// every key and checks the whole. The config is nil when the list has errors
// that leave nothing to work with; warnings and notes come in the list too.
func Load(path string, overrides []Override) (*Config, diag.List) {
	l := &loader{c: &Config{Path: filepath.ToSlash(path), Sources: map[string][]byte{}}}
	l.root = l.file(path, nil)
	return l.finish(overrides)
}

// LoadBytes is Load for a text that has no file, as an embedded default.
func LoadBytes(name string, text []byte, overrides []Override) (*Config, diag.List) {
	l := &loader{c: &Config{Path: name, Sources: map[string][]byte{}}}
	l.root = l.parse(name, text)
	return l.finish(overrides)
}

type loader struct {
	c     *Config
	root  *node
	diags diag.List
}

func (l *loader) finish(overrides []Override) (*Config, diag.List) {
	if l.root == nil {
		return nil, l.diags.Sorted()
	}
	for _, o := range overrides {
		l.override(o)
	}
	l.c.Name = configName(l.c.Path)
	l.c.Keys = l.classify(l.root)
	l.decode()
	if !l.diags.HasErrors() {
		l.rules()
	}
	if l.diags.HasErrors() {
		return nil, l.diags.Sorted()
	}
	return l.c, l.diags.Sorted()
}

func (l *loader) errorf(pos Pos, code, format string, args ...any) *diag.Diagnostic {
	d := diag.Errorf(pos, code, format, args...)
	l.diags = append(l.diags, d)
	return d
}

func (l *loader) warnf(pos Pos, code, format string, args ...any) *diag.Diagnostic {
	d := diag.Warnf(pos, code, format, args...)
	l.diags = append(l.diags, d)
	return d
}

// file reads one YAML file; chain holds the files whose base it is.
func (l *loader) file(path string, chain []string) *node {
	for _, c := range chain {
		if c == path {
			l.errorf(Pos{File: filepath.ToSlash(path)}, "base-cycle", "base_config leads back to itself: %s", strings.Join(append(chain, path), " → "))
			return nil
		}
	}
	text, err := os.ReadFile(path)
	if err != nil {
		reason := err
		if pe := (*os.PathError)(nil); errors.As(err, &pe) {
			reason = pe.Err
		}
		l.errorf(Pos{File: filepath.ToSlash(path)}, "unreadable", "cannot read the config: %v", reason).WithHelp("give the path of a MindFormers YAML; `configs/` holds examples")
		return nil
	}
	root := l.parse(filepath.ToSlash(path), text)
	if root == nil {
		return nil
	}
	base := root.fields["base_config"]
	if base == nil {
		return root
	}
	list := base.items
	if list == nil {
		list = []*node{base}
	}
	var merged *node
	for _, b := range list {
		name, ok := b.value.(string)
		if !ok {
			l.errorf(b.pos, "type", "`base_config` must name a file or a list of files")
			continue
		}
		if n := l.file(filepath.Join(filepath.Dir(path), name), append(chain, path)); n != nil {
			if merged == nil {
				merged = n
			} else {
				merged = merge(merged, n)
			}
		}
	}
	if merged == nil {
		return root
	}
	return merge(merged, root)
}

var conflictMarker = regexp.MustCompile(`(?m)^(<<<<<<<|=======|>>>>>>>)`)
var yamlErrLine = regexp.MustCompile(`line (\d+): (.*)`)

func (l *loader) parse(name string, text []byte) *node {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	l.c.Sources[name] = text
	if m := conflictMarker.FindIndex(text); m != nil {
		line := 1 + bytes.Count(text[:m[0]], []byte("\n"))
		l.errorf(Pos{File: name, Line: line, Col: 1, Len: 7}, "merge-conflict", "the file holds unresolved merge conflict markers").
			WithHelp("resolve the conflict first; nothing in between can be trusted")
		return nil
	}
	var doc yaml.Node
	if err := decodeYAML(text, &doc); err != nil {
		pos, msg := Pos{File: name, Line: 1, Col: 1}, strings.TrimPrefix(err.Error(), "yaml: ")
		if m := yamlErrLine.FindStringSubmatch(err.Error()); m != nil {
			pos.Line, _ = strconv.Atoi(m[1])
			msg = m[2]
		}
		l.errorf(pos, "yaml-syntax", "this is no YAML: %s", msg)
		return nil
	}
	if len(doc.Content) == 0 {
		l.errorf(Pos{File: name, Line: 1, Col: 1}, "empty", "the config is empty").WithHelp("a config needs at least a `model:` section")
		return nil
	}
	r := &reader{file: name, diags: &l.diags}
	root := r.read(doc.Content[0], 0)
	if !root.isMap() {
		l.errorf(root.pos, "type", "a config is a mapping of sections, this is not")
		return nil
	}
	return root
}

// decodeYAML guards against the library's own panics on hostile input.
func decodeYAML(text []byte, doc *yaml.Node) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("line 1: %v", r)
		}
	}()
	return yaml.Unmarshal(text, doc)
}

// override sets a dotted path; all but the last part must exist, as in
// MindFormers, except that a section the file left out is made.
func (l *loader) override(o Override) {
	parts := strings.Split(o.Path, ".")
	n := l.root
	for _, key := range parts[:len(parts)-1] {
		child := n.fields[key]
		if child == nil {
			child = newMap(Pos{File: o.Origin})
			n.set(key, child)
		}
		if !child.isMap() {
			l.errorf(Pos{File: o.Origin}, "override", "`%s` is no section, so `%s` cannot be set", key, o.Path)
			return
		}
		n = child
	}
	var doc yaml.Node
	v := &node{kind: yaml.ScalarNode, value: o.Value}
	if decodeYAML([]byte(o.Value), &doc) == nil && len(doc.Content) == 1 {
		r := &reader{file: o.Origin, diags: &l.diags}
		v = r.read(doc.Content[0], 0)
	}
	v.pos, v.keyPos, v.origin = Pos{File: o.Origin}, Pos{File: o.Origin}, o.Origin
	n.set(parts[len(parts)-1], v)
}

// configName makes a name for the trainer from the file's name.
func configName(path string) string {
	name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
	clean := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '_':
			return r
		}
		return '_'
	}, name)
	if clean == "" || clean[0] >= '0' && clean[0] <= '9' {
		clean = "job_" + clean
	}
	return clean
}
