package codegen

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"lorac/ir"
)

// BuildHere is Build for a trainer that stays on this machine. Go's cache keeps a
// package under its directory and flags: without -trimpath the standard library is
// the one lorac was compiled with, and the sources that all trainers link stand
// in one place, so that only the first trainer compiles them. The binary computes
// the same as Build's; the traces of its panics name files of this machine.
func BuildHere(dir, name string, m *ir.Module) (binary string, rebuilt bool, err error) {
	return build(dir, name, m, func(dir string, tree map[string][]byte) ([]string, error) {
		linked, err := commonSources(tree)
		if err != nil {
			return nil, err
		}
		mod := filepath.Join(dir, ".build", "go.mod")
		if err := os.MkdirAll(filepath.Dir(mod), 0o777); err != nil {
			return nil, err
		}
		text := "module trainer\n\ngo " + goVersion + "\n\nrequire lorac v0.0.0\n\nreplace lorac => " + strconv.Quote(linked) + "\n"
		return []string{"-mod=mod", "-modfile=" + mod}, os.WriteFile(mod, []byte(text), 0o666)
	})
}

// keptSources is how many versions of the common sources Go's cache holds.
const keptSources = 4

// commonSources writes what all trainers link as a module into Go's build cache,
// beside what is compiled of it, and returns its directory.
func commonSources(tree map[string][]byte) (string, error) {
	out, err := exec.Command("go", "env", "GOCACHE").Output()
	cache := string(bytes.TrimSpace(out))
	if err != nil || !filepath.IsAbs(cache) {
		return "", fmt.Errorf("go env GOCACHE: %q, %w", out, err)
	}
	files := map[string][]byte{"go.mod": []byte("module lorac\n\ngo " + goVersion + "\n")}
	for path, text := range tree {
		if rest, ok := strings.CutPrefix(path, "vendor/lorac/"); ok {
			files[rest] = text
		}
	}
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s %x\n", path, sha256.Sum256(files[path]))
	}
	dir := filepath.Join(cache, fmt.Sprintf("lorac-%x", h.Sum(nil)[:12]))
	if exists(dir) { // whole: it was renamed to its name
		return dir, nil
	}
	if err := os.MkdirAll(cache, 0o777); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(cache, ".lorac-new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if err := writeFiles(temp, files); err != nil {
		return "", err
	}
	if err := os.Rename(temp, dir); err != nil && !errors.Is(err, fs.ErrExist) && !exists(dir) { // another run was faster
		return "", err
	}
	dropOldSources(cache)
	return dir, nil
}

// dropOldSources removes all but the newest versions.
func dropOldSources(cache string) {
	list, _ := filepath.Glob(filepath.Join(cache, "lorac-*"))
	age := map[string]int64{}
	for _, dir := range list {
		if info, err := os.Stat(dir); err == nil {
			age[dir] = info.ModTime().Unix()
		}
	}
	sort.Slice(list, func(i, j int) bool { return age[list[i]] > age[list[j]] })
	for _, dir := range list[min(keptSources, len(list)):] {
		os.RemoveAll(dir)
	}
}
