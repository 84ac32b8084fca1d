package rt

import (
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"
)

// profilePath is where --profile puts its file: the file named, or for True,
// as MindFormers has it, profile/ below the output.
func profilePath(flag, output string) string {
	switch strings.ToLower(flag) {
	case "true":
		return filepath.Join(output, "profile", "cpu.pprof")
	case "false":
		return ""
	}
	return flag
}

// profiler writes a CPU profile of the steps behind the first, which is busy
// bringing the weights into memory. It costs nothing where it is not asked for.
type profiler struct {
	path string
	f    *os.File
}

// next is called before every step and when there is none left.
func (p *profiler) next(first, done bool) error {
	switch {
	case p.path == "" || first:
		return nil
	case done:
		path := p.path
		p.path = ""
		if p.f == nil {
			return nil
		}
		pprof.StopCPUProfile()
		if err := p.f.Close(); err != nil {
			return &os.PathError{Op: "close", Path: path, Err: err}
		}
	case p.f == nil:
		if err := os.MkdirAll(filepath.Dir(p.path), 0o777); err != nil {
			return err
		}
		f, err := os.Create(p.path)
		if err != nil {
			return err
		}
		p.f = f
		return pprof.StartCPUProfile(f)
	}
	return nil
}
