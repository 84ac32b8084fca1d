package train

import (
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
)

// ProfilePath is where --profile puts its file: the file named, or for True,
// as MindFormers has it, profile/ below the output.
func ProfilePath(flag, output string) string {
	switch strings.ToLower(flag) {
	case "true":
		return filepath.Join(output, "profile", "cpu.pprof")
	case "false":
		return ""
	}
	return flag
}

// Profiler writes a CPU profile of the steps after the first, which is busy
// bringing the weights into memory, to Path; "" writes none. A process has one
// CPU profile at a time: a second one is an error.
type Profiler struct {
	Path string
	f    *os.File
}

// Next is called before every step and when there is none left.
func (p *Profiler) Next(first, done bool) error {
	switch {
	case p.Path == "" || first:
		return nil
	case done:
		path := p.Path
		p.Path = ""
		if p.f == nil {
			return nil
		}
		pprof.StopCPUProfile()
		if err := p.f.Close(); err != nil {
			return &os.PathError{Op: "close", Path: path, Err: err}
		}
	case p.f == nil:
		if err := os.MkdirAll(filepath.Dir(p.Path), 0o777); err != nil {
			return err
		}
		f, err := os.Create(p.Path)
		if err != nil {
			return err
		}
		p.f = f
		return pprof.StartCPUProfile(f)
	}
	return nil
}
