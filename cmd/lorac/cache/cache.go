// Package cache is lorac's directory in the user's cache: what is built once lies
// there and is executed later, so nobody else may write to it.
package cache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// Dir is the directory, which is made where it is missing. Its error names the
// variable that gives another one: there is no way back to a directory that others
// share.
func Dir() (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no private place for what lorac builds: %w\n  = help: set %s to a directory of your own", err, variable)
	}
	dir, err := private(filepath.Join(base, "lorac"))
	if err != nil {
		return "", fmt.Errorf("%w\n  = help: %s", err, helpFor(err))
	}
	return dir, nil
}

// helpFor is the way out of an error of private.
func helpFor(err error) string {
	var open *openToOthers
	if errors.As(err, &open) && open.linked {
		return fmt.Sprintf("if it is for lorac alone, `chmod 700 %s`; or set %s to a directory of your own", open.path, variable)
	}
	if errors.As(err, &open) && open.ours {
		return fmt.Sprintf("if nobody else wrote there, `chmod go-w %s`; or set %s to a directory of your own", open.path, variable)
	}
	return fmt.Sprintf("set %s to a directory of your own", variable)
}

// openToOthers is the error of a directory that somebody else may change.
type openToOthers struct {
	path, why string
	ours      bool // its owner is this user, who may close it
	linked    bool // a link leads there
}

func (e *openToOthers) Error() string {
	return fmt.Sprintf("what lorac builds would not be private: %s %s", e.path, e.why)
}

// private makes a directory for this user alone, 0700, and returns its real path.
// All that leads there is looked at, links too: who may replace a part of the path
// may replace the programs below it.
func private(dir string) (string, error) {
	if err := checkWay(dir, 0); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", fmt.Errorf("the cache cannot be made: %w", err)
	}
	if err := checkWay(dir, 0); err != nil { // as it is now
		return "", err
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return "", err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return "", err
	}
	return real, closeDir(real, info.Mode()&fs.ModeSymlink != 0)
}

// checkWay checks every part of a path that is there, from the root on.
func checkWay(path string, links int) error {
	path = filepath.Clean(path)
	volume := filepath.VolumeName(path)
	parts := strings.Split(path[len(volume):], string(filepath.Separator))
	at := volume + string(filepath.Separator)
	for _, part := range append([]string{""}, parts...) {
		at = filepath.Join(at, part)
		info, err := os.Lstat(at)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := checkPart(at, info); err != nil {
			return err
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			continue
		}
		if links == 40 {
			return fmt.Errorf("%s is a link that leads nowhere", at)
		}
		to, err := os.Readlink(at)
		if err != nil {
			return err
		}
		if !filepath.IsAbs(to) {
			to = filepath.Join(filepath.Dir(at), to)
		}
		if err := checkWay(to, links+1); err != nil {
			return err
		}
		if at, err = filepath.EvalSymlinks(at); errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s is a link that leads nowhere", to)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// Used records when a directory of the cache was used last.
func Used(dir string) {
	now := time.Now()
	os.Chtimes(dir, now, now)
}
