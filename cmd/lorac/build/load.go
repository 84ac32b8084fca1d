package build

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"strings"

	"lorac/cmd/lorac/cli"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/ir/diag"
	"lorac/runtime/sys/human"
)

// Load reads a config and prints what is wrong with it.
func Load(path string, o []config.Override) (*config.Config, error) {
	c, list := config.Load(path, o)
	return c, Show(list, c == nil)
}

// LoadBytes is Load of a text.
func LoadBytes(name string, text []byte, o []config.Override) (*config.Config, error) {
	c, list := config.LoadBytes(name, text, o)
	return c, Show(list, c == nil)
}

// Show prints diagnostics with the lines they point at. texts are those of files that are
// read already, or are none.
func Show(list diag.List, failed bool, texts ...map[string][]byte) error {
	sources := map[string][]byte{}
	for _, more := range texts {
		maps.Copy(sources, more)
	}
	read := func(p diag.Pos) {
		if _, ok := sources[p.File]; !ok && p.Known() && p.File != "" {
			sources[p.File], _ = os.ReadFile(p.File)
		}
	}
	for _, d := range list {
		read(d.Pos)
		for _, s := range d.Also {
			read(s.Pos)
		}
	}
	diag.Render(os.Stderr, list, sources, human.Coloured(os.Stderr))
	if failed {
		return cli.ErrShown
	}
	return nil
}

// ShowOne is Show of one error.
func ShowOne(d *diag.Diagnostic) error { return Show(diag.List{d}, true) }

// Source is where a command gets its module from: a config, or a dump instead.
type Source struct {
	Config    string
	From      string
	Overrides []config.Override
	Base      *Base // nil: the one the config names
	Options
}

// Load reads the config, compared with its base.
func (s *Source) Load() (*config.Config, error) {
	b := s.Base
	if b == nil {
		b = &Base{}
	}
	return b.Load(s.Config, s.Overrides)
}

// Options steer the compiler.
type Options struct {
	Fuel map[string]int // limits the rewrites of a pass
	Off  []string       // passes switched off
	Last string         // the last pass that runs
	// After is shown the module after the model builder and every pass; nil: not.
	After func(pass string, m *ir.Module)
}

func (o *Options) passes() passes.Options {
	p := passes.Options{Fuel: o.Fuel, Disable: map[string]bool{}, Last: o.Last}
	for _, name := range o.Off {
		p.Disable[name] = true
	}
	return p
}

// Compile runs the compiler on the config or the dump for a target.
func (s *Source) Compile(t Target) (*compiler.Result, error) {
	if s.From != "" {
		return s.resume(t)
	}
	c, err := s.Load()
	if err != nil {
		return nil, err
	}
	SayBase(c)
	return Compile(c, t, s.Options)
}

// resume continues from the dump.
func (s *Source) resume(t Target) (*compiler.Result, error) {
	if t.Limit > 0 {
		return nil, cli.Usage("--mem_limit goes with a config: what is recomputed was decided when the dump was made")
	}
	m, err := s.dump()
	if err != nil {
		return nil, err
	}
	b := Base{Weights: t.Weights, Trans: t.Trans, Layout: t.Layout, Ignore: t.IgnoreBase}
	if s.Base != nil {
		b = *s.Base
	}
	if err := b.compareDump(m); err != nil {
		return nil, err
	}
	done, _ := m.Setting("ir.after").(string)
	if done == "" {
		done = "model"
	}
	if s.After != nil { // the dump is what that pass left
		s.After(done, m)
	}
	if s.Last == done {
		return &compiler.Result{Module: m}, nil
	}
	return Resume(m, t, s.Options)
}

// dump reads the dump.
func (s *Source) dump() (*ir.Module, error) {
	text, err := os.ReadFile(s.From)
	if err != nil {
		return nil, err
	}
	m, err := ir.Parse(s.From, string(text))
	var list diag.List
	if errors.As(err, &list) {
		return nil, Show(list, true)
	}
	if err != nil {
		return nil, err
	}
	if d := m.Setting("device"); d != nil && d != "ascend" {
		at := diag.Pos{File: s.From}
		for line := range strings.Lines(string(text)) {
			if at.Line++; strings.HasPrefix(strings.TrimSpace(line), "setting device =") {
				break
			}
		}
		return nil, Show(diag.List{diag.Errorf(at, "device", "`device` cannot be `%v`", d).
			WithHelp("ascend is the only one; a module for the CPU has no such setting")}, true)
	}
	return m, nil
}

// ForAscend reports whether the source is a dump of a module for a card. That it
// cannot be opened, Compile says.
func (s *Source) ForAscend() (bool, error) {
	if s.From == "" {
		return false, nil
	}
	m, err := s.dump()
	if at := (*fs.PathError)(nil); errors.As(err, &at) {
		return false, nil
	}
	return err == nil && m.Low() != 0, err
}
