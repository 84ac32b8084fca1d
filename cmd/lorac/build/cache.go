package build

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	private "lorac/cmd/lorac/cache"
	"lorac/ir"
)

// cache is a directory of built trainers.
type cache string

// openCache is the user's cache, which must be theirs alone.
func openCache() (cache, error) {
	dir, err := private.Dir()
	return cache(dir), err
}

// of is the directory of a module's trainer.
func (c cache) of(m *ir.Module) string { return filepath.Join(string(c), m.Hash()) }

// sources is the directory of what all trainers link.
func (c cache) sources() string { return filepath.Join(string(c), sourcesName) }

const sourcesName = "sources"

// keptTrainers is how many trainers the cache holds, of some 6 MB each.
const keptTrainers = 100

// mend removes the directory of a trainer, or the place of the sources, that a build cannot
// write into: where a directory is in the place of a file, or a file in that of a directory.
func (c cache) mend(m *ir.Module, program string) error {
	dir := c.of(m)
	damaged := kindOf(dir) == "file"
	for _, name := range []string{program, ".built", ".lock"} {
		damaged = damaged || kindOf(filepath.Join(dir, name)) == "directory"
	}
	if damaged {
		if err := remove(dir); err != nil {
			return err
		}
	}
	// A link to a directory is the user's.
	if info, err := os.Stat(c.sources()); kindOf(c.sources()) == "file" && (err != nil || !info.IsDir()) {
		return remove(c.sources())
	}
	return nil
}

func remove(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return fmt.Errorf("the cache is damaged: %w\n  = help: remove %s by hand", err, path)
	}
	return nil
}

// kindOf is what stands at a path: a directory, a file or any other thing, or "".
func kindOf(path string) string {
	info, err := os.Lstat(path)
	switch {
	case err != nil:
		return ""
	case info.IsDir():
		return "directory"
	}
	return "file"
}

// ours are the names of directories that lorac makes here. Others are left alone: the
// cache may be a link to a directory that has more.
var ours = regexp.MustCompile(`^(lorac-[a-z]+-|rows-)?[0-9a-f]{16}$|^launch-[0-9]+-[0-9]+$|^ascend-`)

// prune removes all but the directories used last.
func (c cache) prune(keep int) {
	list, _ := os.ReadDir(string(c))
	used := map[string]time.Time{}
	for _, d := range list {
		if info, err := d.Info(); err == nil && d.IsDir() && ours.MatchString(d.Name()) {
			used[d.Name()] = info.ModTime()
		}
	}
	names := slices.SortedFunc(maps.Keys(used), func(a, b string) int { return used[b].Compare(used[a]) })
	for _, name := range names[min(keep, len(names)):] {
		os.RemoveAll(filepath.Join(string(c), name))
	}
}
