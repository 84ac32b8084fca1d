package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"

	"lorac/codegen/toolchain"
)

// files are those of an archive: where each is here, by its name there.
type files map[string]file

type file struct {
	path string
	runs bool // it is a program
}

// files builds for a platform into a directory and collects what its archive has.
func (s *source) files(p toolchain.Platform, work string) (files, error) {
	if err := s.build(p, work); err != nil {
		return nil, err
	}
	all := files{}
	if err := all.addPrograms(work, ""); err != nil {
		return nil, err
	}
	for _, pattern := range []string{"*.md", "LICENSE"} {
		list, err := filepath.Glob(filepath.Join(s.dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, at := range list {
			all[filepath.Base(at)] = file{path: at}
		}
	}
	for _, dir := range []string{"docs", "configs"} {
		err := all.addTree(filepath.Join(s.dir, dir), dir, func(name string) bool { return path.Ext(name) != ".go" })
		if err != nil {
			return nil, err
		}
	}
	return all, s.addLicenses(all, p)
}

// addPrograms adds the files of a directory, all of them programs.
func (f files) addPrograms(dir, to string) error {
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, e := range list {
		f[path.Join(to, e.Name())] = file{filepath.Join(dir, e.Name()), true}
	}
	return nil
}

// addTree adds the files below a directory whose names, with slashes, are wanted.
func (f files) addTree(dir, to string, wanted func(name string) bool) error {
	return filepath.WalkDir(dir, func(at string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, at)
		if err != nil {
			return err
		}
		name := filepath.ToSlash(rel)
		switch {
		case !wanted(name) && d.IsDir():
			return filepath.SkipDir
		case !d.IsDir() && wanted(name):
			f[path.Join(to, name)] = file{path: at}
		}
		return nil
	})
}

// legal are the names of files with what must be passed on.
var legal = regexp.MustCompile(`(?i)^(licen[cs]e|copying|copyright|notice|patents)`)

// addLicenses adds those of Go, whose library is linked, and of each module that lorac,
// its programs or trainers link: lorac carries the sources of the last.
func (s *source) addLicenses(all files, p toolchain.Platform) error {
	root, err := goRoot()
	if err != nil {
		return err
	}
	list, err := lines(p, s.dir, "list", "-deps", "-f", `{{with .Module}}{{if not .Main}}{{.Path}}|{{.Dir}}{{end}}{{end}}`, below, "./runtime/...", "./kernels/...")
	if err != nil {
		return err
	}
	for _, line := range append(list, "go|"+root) {
		module, dir, _ := strings.Cut(line, "|")
		entries, err := os.ReadDir(dir)
		if err != nil {
			return err
		}
		found := false
		for _, e := range entries {
			if legal.MatchString(e.Name()) && e.Type().IsRegular() {
				all["licenses/"+module+"/"+e.Name()] = file{path: filepath.Join(dir, e.Name())}
				found = true
			}
		}
		if !found {
			return fmt.Errorf("%s has no license in %s", module, dir)
		}
	}
	return nil
}

// goRoot is where the Go that builds is.
func goRoot() (string, error) {
	out, err := goCommand(toolchain.Here(), ".", "env", "GOROOT")
	if root := strings.TrimSpace(string(out)); err != nil || root != "" {
		return root, err
	}
	return "", errors.New("go env GOROOT is empty")
}
