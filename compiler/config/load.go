package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"lorac/ir/diag"
	"lorac/runtime/weights/claims"
)

// Load reads a config with its base configs, applies the overrides, classifies every
// key and checks the values. The list is sorted and includes warnings and notes. The
// config is nil if the list has errors.
func Load(path string, overrides []Override) (*Config, diag.List) {
	return orNil(Check(path, overrides))
}

// Check is Load, but the config is never nil. If the list has errors, only Sources,
// Keys and the reports of the config are valid.
func Check(path string, overrides []Override) (*Config, diag.List) {
	return check(path, overrides, nil)
}

func check(path string, overrides []Override, b *Base) (*Config, diag.List) {
	path = filepath.Clean(path)
	l := newLoader(filepath.ToSlash(path))
	l.base = b
	l.root = l.file(path, nil, Pos{File: filepath.ToSlash(path)})
	return l.finish(overrides)
}

// LoadBytes is Load for a text without a file, such as an embedded config. A
// base_config is relative to the working directory.
func LoadBytes(name string, text []byte, overrides []Override) (*Config, diag.List) {
	return orNil(CheckBytes(name, text, overrides))
}

// CheckBytes is Check for a text without a file.
func CheckBytes(name string, text []byte, overrides []Override) (*Config, diag.List) {
	return CheckBytesOn(name, text, overrides, nil)
}

// CheckBytesOn is CheckOn for a text without a file.
func CheckBytesOn(name string, text []byte, overrides []Override, b *Base) (*Config, diag.List) {
	l := newLoader(name)
	l.base = b
	l.root = l.withBase(l.parse(name, text), name, nil)
	return l.finish(overrides)
}

func orNil(c *Config, l diag.List) (*Config, diag.List) {
	if l.HasErrors() {
		return nil, l
	}
	return c, l
}

// loader is the state of loading one config.
type loader struct {
	c     *Config
	root  *node
	diags diag.List

	files   int             // read so far, base configs included
	broken  bool            // part of the text could not be parsed; checking the rest would mislead
	unread  map[string]bool // paths of used keys that no reader has read yet
	preset  map[string]any  // defaults of a partial config, see preset.go
	bad     map[Pos]bool    // values already reported, which rules skip
	unknown int             // unknown keys reported
	strict  bool            // while classifying a callback whose keys are all in the schema

	callback string // while classifying a callback without effect: why it has none

	base     *Base          // what to compare with; nil: nothing
	claims   []claims.Claim // what its files say
	disputed []string       // keys about which they contradict each other

	prefix string // of paths, when root is one element of a list
	home   Pos    // position for missing keys of that element
}

func newLoader(path string) *loader {
	return &loader{
		c:      &Config{Path: path, Name: configName(path), Sources: map[string][]byte{}},
		unread: map[string]bool{}, bad: map[Pos]bool{},
	}
}

func (l *loader) finish(overrides []Override) (*Config, diag.List) {
	if l.root != nil && !l.broken {
		for _, o := range overrides {
			l.override(o)
		}
		l.flatten()
		l.choosePreset()
		l.take()
		l.c.Keys = l.classify(l.root)
		if !l.unsupported() {
			l.decode()
			l.idle()
			l.rules()
			l.contradictions()
		}
	}
	l.c.Diags = l.diags.Sorted()
	if n := len(l.c.Diags) - maxDiags; n > 0 {
		at := l.c.Diags[maxDiags].Pos
		l.c.Diags = append(l.c.Diags[:maxDiags:maxDiags], diag.Errorf(at, l.c.Diags[maxDiags].Code, "%d more problems are not shown", n).
			WithHelp("fix the first ones; the others are often consequences"))
	}
	return l.c, l.c.Diags
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

// Limits on the input. A typical config has ten kilobytes and a few base configs.
const (
	maxBytes = 1 << 20
	maxFiles = 64
	maxDiags = 200 // shown at once
)

// file reads one YAML file with its bases. chain is the files that lead to it, from
// the position that names it.
func (l *loader) file(path string, chain []string, from Pos) *node {
	path = filepath.Clean(path)
	for _, c := range chain {
		if c == path {
			l.errorf(from, "base-cycle", "base_config leads back to itself").
				WithLabel("%s", filepath.ToSlash(strings.Join(append(chain, path), " → "))).WithHelp("remove one of these base_config keys")
			l.broken = true
			return nil
		}
	}
	if l.files++; l.files > maxFiles {
		if l.files == maxFiles+1 {
			l.errorf(from, "base-config", "more than %d base configs", maxFiles).
				WithHelp("name each base once; the same file read twice changes nothing")
		}
		l.broken = true
		return nil
	}
	text, err := readBounded(path)
	if err != nil {
		l.broken = true
		reason := err
		if pe := (*os.PathError)(nil); errors.As(err, &pe) {
			reason = pe.Err
		}
		what, help := "the config", "give the path of a MindFormers YAML; `configs/` holds examples"
		if len(chain) > 0 {
			what, help = "the base config `"+filepath.ToSlash(path)+"`", "a base_config is found from the folder of the file that names it"
		}
		l.errorf(from, "unreadable", "cannot read %s: %v", what, reason).WithHelp("%s", help)
		return nil
	}
	return l.withBase(l.parse(filepath.ToSlash(path), text), path, chain)
}

// withBase merges a config over those it names in base_config, of which later ones
// win over earlier ones.
func (l *loader) withBase(root *node, path string, chain []string) *node {
	base := root.child("base_config")
	if base.empty() || base.value == "" {
		return root
	}
	list := base.items
	if list == nil {
		list = []*node{base}
	}
	var merged *node
	for _, b := range list {
		name, ok := b.value.(string)
		if !ok || name == "" {
			l.errorf(b.pos, "type", "`base_config` must name a file or a list of files, not %s", b.text())
			continue
		}
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(path), name)
		}
		n := l.file(name, append(chain[:len(chain):len(chain)], filepath.Clean(path)), b.pos)
		if n == nil {
			continue
		}
		if merged == nil {
			merged = n
		} else {
			merged = merge(merged, n)
		}
	}
	if merged == nil {
		return root
	}
	return merge(merged, root)
}

// readBounded reads a regular file of reasonable size.
func readBounded(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if st, err := f.Stat(); err == nil && st.IsDir() {
		return nil, errors.New("it is a directory")
	}
	text, err := io.ReadAll(io.LimitReader(f, maxBytes+1))
	if err == nil && len(text) > maxBytes {
		err = fmt.Errorf("it has more than %d MiB", maxBytes>>20)
	}
	return text, err
}

// configName derives the trainer's name from the file's name.
func configName(path string) string {
	return ProgramName(strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)))
}

// ProgramName makes of any name one that a program may have.
func ProgramName(name string) string {
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
