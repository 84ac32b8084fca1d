package config

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf8"

	"gopkg.in/yaml.v3"

	"lorac/ir/diag"
)

var (
	conflictMarker = regexp.MustCompile(`(?m)^(<{7}[ \r]|<{7}$|={7}\r?$|>{7}[ \r]|>{7}$)`)
	yamlErrLine    = regexp.MustCompile(`^yaml: line (\d+): (.*)`)
	unknownAnchor  = regexp.MustCompile(`unknown anchor '(.*)' referenced`)
)

// parse parses one text into nodes; nil after an error, which is reported.
func (l *loader) parse(name string, text []byte) *node {
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	l.c.Sources[name] = text
	root := l.document(name, text)
	l.broken = l.broken || root == nil
	return root
}

// document is parse without recording the source.
func (l *loader) document(name string, text []byte) *node {
	if bytes.HasPrefix(text, []byte("\xff\xfe")) || bytes.HasPrefix(text, []byte("\xfe\xff")) {
		l.c.Sources[name] = nil // not displayable
		l.errorf(Pos{File: name, Line: 1, Col: 1}, "yaml-syntax", "the file is in UTF-16, not UTF-8").WithHelp("save the file as plain UTF-8 text")
		return nil
	}
	if m := conflictMarker.FindIndex(text); m != nil {
		line := 1 + bytes.Count(text[:m[0]], []byte("\n"))
		l.errorf(Pos{File: name, Line: line, Col: 1, Len: 7}, "merge-conflict", "the file holds unresolved merge conflict markers").
			WithHelp("resolve the conflict first")
		return nil
	}
	doc, second, err := decodeYAML(text)
	if err != nil {
		l.syntax(name, text, err)
		return nil
	}
	if len(doc.Content) == 0 {
		l.errorf(Pos{File: name, Line: 1, Col: 1}, "empty", "the config is empty").WithHelp("a config needs at least a `model:` section")
		return nil
	}
	if second > 0 {
		l.errorf(Pos{File: name, Line: second, Col: 1}, "yaml-syntax", "the file holds more than one YAML document").
			WithLabel("a second one starts here").WithHelp("a config is one document; remove the `---` or split the file")
		return nil
	}
	r := &reader{file: name, diags: &l.diags}
	root := r.read(doc.Content[0], 0)
	l.broken = l.broken || r.full
	switch {
	case root.empty() && root.pos.Line > 0 && root.raw == "":
		l.errorf(Pos{File: name, Line: 1, Col: 1}, "empty", "the config is empty").WithHelp("a config needs at least a `model:` section")
		return nil
	case !root.isMap():
		l.errorf(root.pos, "type", "a config is a mapping of sections, not %s", root.text())
		return nil
	}
	return root
}

// decodeYAML reads the document of a text. second is the line where another document
// starts, 0 if none does. It turns panics of the library on hostile input into errors.
func decodeYAML(text []byte) (doc *yaml.Node, second int, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("yaml: line 1: %v", r)
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(text))
	doc = &yaml.Node{}
	if err := dec.Decode(doc); err != nil && err != io.EOF {
		return nil, 0, err
	}
	var next yaml.Node
	switch err := dec.Decode(&next); {
	case err == io.EOF:
	case err != nil:
		return nil, 0, err
	default:
		second = max(1, next.Line)
	}
	return doc, second, nil
}

// syntax reports an error of the YAML library at the line it refers to.
func (l *loader) syntax(name string, text []byte, err error) {
	msg, line := strings.TrimPrefix(err.Error(), "yaml: "), 1
	if m := yamlErrLine.FindStringSubmatch(err.Error()); m != nil {
		line, _ = strconv.Atoi(m[1])
		msg = m[2]
	}
	lines := strings.Split(string(text), "\n")
	if strings.HasPrefix(msg, "did not find expected") {
		line++ // errors of its parser, unlike those of its scanner, count lines from 0
	}
	help := ""
	switch m := unknownAnchor.FindStringSubmatch(msg); {
	case m != nil:
		help = "write `&" + m[1] + "` before the value that is meant"
		for i, s := range lines {
			if strings.Contains(s, "*"+m[1]) {
				line = i + 1
				break
			}
		}
	case strings.Contains(msg, "UTF-8") || strings.Contains(msg, "control characters"):
		help = "save the file as plain UTF-8 text"
		line = 1 + firstOdd(text)
	case strings.Contains(msg, "end of stream"):
		help = "a quote is opened and never closed"
	case strings.Contains(msg, "did not find expected ',' or"):
		help = "a bracket is opened here and never closed"
	case strings.Contains(msg, "did not find expected"):
		help = "compare the indentation with the lines above and below"
	case strings.Contains(msg, "mapping values are not allowed"):
		help = "the indentation is off, or a value with a colon in it needs quotes"
	}
	line = min(max(line, 1), len(lines))
	for line > 1 && strings.TrimSpace(lines[line-1]) == "" {
		line--
	}
	shown := strings.TrimRight(lines[line-1], "\r \t")
	indent := shown[:len(shown)-len(strings.TrimLeft(shown, " \t"))]
	if strings.Contains(indent, "\t") {
		help = "indent with blanks; YAML allows no tabs there"
	}
	pos := Pos{File: name, Line: line, Col: 1 + len(indent), Len: utf8.RuneCountInString(shown) - len(indent)}
	d := diag.Errorf(pos, "yaml-syntax", "invalid YAML: %s", msg)
	d.Help = help
	l.diags = append(l.diags, d)
}

// firstOdd is the index of the first line that is not plain UTF-8 text.
func firstOdd(text []byte) int {
	line := 0
	for len(text) > 0 {
		c, size := utf8.DecodeRune(text)
		if c == utf8.RuneError && size == 1 || c < ' ' && c != '\t' && c != '\n' && c != '\r' || c == 0x7f {
			return line
		}
		if c == '\n' {
			line++
		}
		text = text[size:]
	}
	return 0
}
