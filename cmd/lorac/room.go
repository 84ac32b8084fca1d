package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// checkRoom refuses to begin files that their disk has no room for: it would be
// full in the middle of them. A file comes whole or not at all, so one that it
// replaces counts as room no more than any other. Below 0, free is not known.
func checkRoom(what, dir string, need, free int, help string) error {
	if free < 0 || need <= free {
		return nil
	}
	return fmt.Errorf("%s needs %s in %s, where %s is free, %s B less\n  = help: %s", what, size(need), dir, size(free), commas(need-free), help)
}

// freeAt is how many bytes may be written below a directory that is to be made,
// maybe; -1 where that is not known.
func freeAt(dir string) int {
	dir, err := filepath.Abs(dir)
	for err == nil {
		if _, e := os.Stat(dir); e == nil {
			return freeDisk(dir)
		}
		up := filepath.Dir(dir)
		if up == dir {
			break
		}
		dir = up
	}
	return -1
}
