package build

import (
	"fmt"
	"os"
	"path/filepath"

	"lorac/compiler/passes"
	"lorac/ir"
)

// Dump compiles what a source says for a target up to a pass ("": all, "model":
// none) and returns the module as text and what each pass did. With a directory,
// the module after every pass is written there.
func Dump(s Source, t Target, last, dir string) (text string, steps []passes.Step, err error) {
	if last != "model" {
		s.Last = last
	}
	if dir != "" {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return "", nil, err
		}
	}
	var model string
	var fault error
	n := 0
	s.After = func(pass string, m *ir.Module) {
		if pass == "model" { // of the last compilation
			model, n = m.String(), 0
		}
		if dir != "" && fault == nil {
			fault = os.WriteFile(filepath.Join(dir, fmt.Sprintf("%02d-%s.ir", n, pass)), []byte(m.String()), 0o666)
		}
		n++
	}
	r, err := s.Compile(t)
	if err == nil {
		err = fault
	}
	if err != nil {
		return "", nil, err
	}
	if last == "model" {
		if model == "" {
			return "", nil, fmt.Errorf("%s was dumped after a pass, `model` is from before all of them\n  = help: inspect the config, or a dump of it made with --after model", s.From)
		}
		return model, r.Steps, nil
	}
	return r.Module.String(), r.Steps, nil
}
