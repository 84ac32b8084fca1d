package build

import (
	"maps"
	"os"
	"path/filepath"
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

// prune removes all but the directories used last.
func (c cache) prune(keep int) {
	list, _ := os.ReadDir(string(c))
	used := map[string]time.Time{}
	for _, d := range list {
		if info, err := d.Info(); err == nil && d.IsDir() && d.Name() != sourcesName {
			used[d.Name()] = info.ModTime()
		}
	}
	names := slices.SortedFunc(maps.Keys(used), func(a, b string) int { return used[b].Compare(used[a]) })
	for _, name := range names[min(keep, len(names)):] {
		os.RemoveAll(filepath.Join(string(c), name))
	}
}
