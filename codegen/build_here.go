package codegen

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strconv"
	"strings"

	"lorac/codegen/toolchain"
	"lorac/codegen/vendored"
	"lorac/ir"
)

// BuildHere is Build for a trainer that stays on this machine. Go's build cache
// knows a package by its directory and flags: without -trimpath the standard
// library is the one lorac was compiled with, and the sources that all trainers
// link are in one place, below common, so that only the first trainer compiles
// them. The binary computes the same as Build's; the traces of its panics name
// files of this machine.
func BuildHere(dir, name string, m *ir.Module, common string) (binary string, rebuilt bool, err error) {
	return build(dir, name, m, toolchain.Here(), sharing(common))
}

// sharing gives the flags of such a build.
func sharing(common string) linkedFlags {
	return func(dir string, tree map[string][]byte) ([]string, error) {
		all := map[string][]byte{} // what any of them links, so that a compiler has each package once
		if err := addLinked(all, needsDevice|needsMPI); err != nil {
			return nil, err
		}
		linked, err := commonSources(common, all)
		if err != nil {
			return nil, err
		}
		mod := filepath.Join(dir, ".build", "go.mod")
		if err := os.MkdirAll(filepath.Dir(mod), 0o777); err != nil {
			return nil, err
		}
		text := string(tree["go.mod"]) + "\nreplace lorac => " + strconv.Quote(linked) + "\n"
		if dir := filepath.Join(linked, outside); exists(dir) {
			text += "\nreplace " + vendored.Purego + " => " + strconv.Quote(dir) + "\n"
		}
		return []string{"-mod=mod", "-modfile=" + mod}, os.WriteFile(mod, []byte(text), 0o666)
	}
}

// outside is where a module of others lies below the common sources.
const outside = "purego"

// keptSources is how many versions of the common sources are kept.
const keptSources = 4

// commonSources writes what all trainers link as a module below a directory, once
// for each version of them, and returns where it is.
func commonSources(common string, tree map[string][]byte) (string, error) {
	files := map[string][]byte{"go.mod": []byte("module lorac\n\ngo " + goVersion + "\n")}
	for path, text := range tree {
		if rest, ok := strings.CutPrefix(path, "vendor/lorac/"); ok {
			files[rest] = text
		}
		if rest, ok := strings.CutPrefix(path, "vendor/"+vendored.Purego+"/"); ok {
			files[outside+"/"+rest] = text
		}
	}
	if _, ok := files[outside+"/LICENSE"]; ok {
		mod, err := vendored.GoMod()
		if err != nil {
			return "", err
		}
		files[outside+"/go.mod"] = mod
		files["go.mod"] = append(files["go.mod"], "\nrequire "+vendored.Purego+" "+vendored.Version+"\n"...)
	}
	h := sha256.New()
	for _, path := range slices.Sorted(maps.Keys(files)) {
		fmt.Fprintf(h, "%s %x\n", path, sha256.Sum256(files[path]))
	}
	dir := filepath.Join(common, fmt.Sprintf("%x", h.Sum(nil)[:12]))
	if sameFiles(dir, files) {
		return dir, nil
	}
	if err := os.MkdirAll(common, 0o777); err != nil {
		return "", err
	}
	temp, err := os.MkdirTemp(common, ".new-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	if err := writeFiles(temp, files); err != nil {
		return "", err
	}
	if err := os.Rename(temp, dir); err != nil && !sameFiles(dir, files) { // else another run was faster
		os.RemoveAll(dir) // somebody changed it
		if err := os.Rename(temp, dir); err != nil && !sameFiles(dir, files) {
			return "", err
		}
	}
	dropOldSources(common)
	return dir, nil
}

// sameFiles reports whether a directory holds these files and no others.
func sameFiles(dir string, files map[string][]byte) bool {
	n := 0
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		if want, ok := files[filepath.ToSlash(name)]; err != nil || !ok || !d.Type().IsRegular() || !bytes.Equal(text, want) {
			return fs.ErrInvalid
		}
		n++
		return nil
	})
	return err == nil && n == len(files)
}

// dropOldSources removes all but the newest versions.
func dropOldSources(common string) {
	list, _ := filepath.Glob(filepath.Join(common, "[0-9a-f]*"))
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
