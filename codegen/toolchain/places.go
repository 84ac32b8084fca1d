package toolchain

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// checkPlaces refuses an environment whose variables name directories that Go cannot
// work in, with the variable: Go's own words do not say which it is.
func checkPlaces(cache string) error {
	name, dir := "TMPDIR", os.Getenv("TMPDIR")
	if own := os.Getenv("GOTMPDIR"); own != "" {
		name, dir = "GOTMPDIR", own
	}
	if dir == "" {
		dir = os.TempDir()
		name += " is not set, and"
	} else {
		name += ":"
	}
	if err := writable(dir); err != nil {
		return fmt.Errorf("%s Go cannot make its temporary files in %s: %w\n  = help: set TMPDIR (or GOTMPDIR, which Go prefers) to a directory that is there and may be written to", name, dir, err)
	}
	name = "GOCACHE:"
	if os.Getenv("GOCACHE") == "" {
		name = "HOME or XDG_CACHE_HOME:"
	}
	const help = "\n  = help: set GOCACHE to a directory of your own, as a path from the root, or leave it unset where HOME is set"
	switch {
	case cache == "": // Go does not say
		return nil
	case cache == "off":
		if os.Getenv("GOCACHE") == "" {
			return fmt.Errorf("there is no place for Go's cache: GOCACHE, XDG_CACHE_HOME and HOME are all unset%s", help)
		}
		return fmt.Errorf("GOCACHE=%s leaves Go without a cache, which it needs%s", os.Getenv("GOCACHE"), help)
	case !filepath.IsAbs(cache):
		return fmt.Errorf("%s Go's cache would be in %s, which is no path from the root%s", name, cache, help)
	}
	if err := os.MkdirAll(cache, 0o777); err != nil {
		return fmt.Errorf("%s Go cannot make its cache in %s: %w%s", name, cache, cause(err), help)
	}
	if err := writable(cache); err != nil {
		return fmt.Errorf("%s Go cannot write to its cache in %s: %w%s", name, cache, err, help)
	}
	return nil
}

// writable is an error where no directory can be made in dir.
func writable(dir string) error {
	try, err := os.MkdirTemp(dir, "lorac-try-")
	if err != nil {
		return cause(err)
	}
	return os.Remove(try)
}

// cause is an error without the path, which is said already.
func cause(err error) error {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// failures are what Go says where the environment is at fault, and what to say.
var failures = []struct {
	said *regexp.Regexp
	say  string
}{
	{regexp.MustCompile(`no space left on device|disk quota exceeded`),
		"the disk is full where Go builds: in its temporary directory (TMPDIR, GOTMPDIR) or its cache (GOCACHE)\n  = help: make space there (go clean -cache), or set the variable to another disk"},
	{regexp.MustCompile(`requires go >= (\S+) \(running go (\S+?)[;)]`),
		"the Go in PATH is $2, and a trainer needs $1 or newer\n  = help: install it, from https://go.dev/dl, and have it first in PATH"},
	{regexp.MustCompile(`go\.mod:\d+: invalid go version '(\S+)'|unknown directive: toolchain|flag provided but not defined: -buildvcs`),
		"the Go in PATH is too old to build a trainer\n  = help: install a newer one, from https://go.dev/dl, and have it first in PATH"},
	{regexp.MustCompile(`out of memory|cannot allocate memory|failed to reserve|failed to create new OS thread|signal: killed|resource temporarily unavailable`),
		"Go's compiler did not get the memory or the threads that it needs\n  = help: a build takes up to 1 GiB: raise the limit of the container or the ulimit (-v, -u); or build elsewhere, with lorac compile"},
	{regexp.MustCompile(`read-only file system`),
		"a directory that Go builds in is on a file system that is read-only\n  = help: set TMPDIR and GOCACHE to directories that may be written to"},
}

// explain is a sentence for what Go said, "" where it is about the sources.
func explain(said string) string {
	for _, f := range failures {
		if m := f.said.FindStringSubmatchIndex(said); m != nil {
			text := string(f.said.ExpandString(nil, f.say, said, m))
			if lines := strings.Split(strings.TrimSpace(said), "\n"); !strings.Contains(f.say, "$") {
				i := slices.IndexFunc(lines, f.said.MatchString)
				first, help, _ := strings.Cut(text, "\n")
				text = fmt.Sprintf("%s (%s)\n%s", first, lines[max(i, 0)], help)
			}
			return text
		}
	}
	return ""
}
