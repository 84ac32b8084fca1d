package human

import (
	"io"
	"os"
)

// Terminal reports whether out is one, which shows control characters' effects.
func Terminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Redraws reports whether out is a terminal that draws a line once more in its place.
func Redraws(out io.Writer) bool { return os.Getenv("TERM") != "dumb" && Terminal(out) }

// Coloured reports whether text for out may have colours: a terminal's that is not dumb,
// unless NO_COLOR (no-color.org) has a value.
func Coloured(out io.Writer) bool { return os.Getenv("NO_COLOR") == "" && Redraws(out) }
