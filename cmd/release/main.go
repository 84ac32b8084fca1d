// Command release makes the archives that lorac is installed from, the same bytes for
// the same commit and version of Go. It must not know what the programs do.
//
//	go run ./cmd/release                                    every platform, without Go and with it, into output/release
//	go run ./cmd/release -go ''                             without Go
//	go run ./cmd/release -platforms '' -go linux/amd64      one archive, with Go
//
// An archive has lorac, its programs, pages, configs and the licenses of what is linked. One with -go in
// its name has a Go besides, which lorac finds next to itself: it needs nothing else. SHA256SUMS has the
// hash of each.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"lorac/codegen/toolchain"
	"lorac/runtime/sys/human"
)

func main() {
	out := flag.String("o", "output/release", "directory of the archives")
	platforms := flag.String("platforms", "all", "platforms whose archives without Go are made, separated by commas")
	carry := flag.String("go", "all", "platforms whose archives with Go are made, too; each but this machine's takes some minutes the first time")
	flag.Parse()
	if flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*out, *platforms, *carry); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func run(out, platforms, carry string) error {
	list, err := parse(platforms)
	if err != nil {
		return err
	}
	with, err := parse(carry)
	if err != nil {
		return err
	}
	src, err := sourceIn(".")
	if err != nil {
		return err
	}
	made, err := src.release(out, list, with)
	for _, path := range made {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		fmt.Printf("%9s  %s\n", human.Bytes(int(info.Size())), path)
	}
	return err
}

// parse reads a list of platforms.
func parse(text string) ([]toolchain.Platform, error) {
	if text == "all" {
		return toolchain.Platforms(), nil
	}
	var list []toolchain.Platform
	for name := range strings.SplitSeq(text, ",") {
		if name == "" {
			continue
		}
		p, err := toolchain.ParsePlatform(name)
		if err != nil {
			return nil, fmt.Errorf("platform %s %w", name, err)
		}
		list = append(list, p)
	}
	return list, nil
}

// release writes the archives of platforms, those with Go of others, and their hashes; it returns the
// paths. What the directory had of an earlier release is removed: SHA256SUMS names all.
func (s *source) release(out string, list, with []toolchain.Platform) (made []string, err error) {
	if err := clear(out); err != nil {
		return nil, err
	}
	work, err := os.MkdirTemp("", "lorac-release-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(work)
	all := slices.Clone(list)
	for _, p := range with {
		if !slices.Contains(all, p) {
			all = append(all, p)
		}
	}
	for _, p := range all {
		files, err := s.files(p, filepath.Join(work, p.OS+"-"+p.Arch))
		if err != nil {
			return made, fmt.Errorf("%s: %w", p, err)
		}
		if slices.Contains(list, p) {
			path, err := files.write(out, s.name(p), p, s.time)
			if err != nil {
				return made, err
			}
			made = append(made, path)
		}
		if !slices.Contains(with, p) {
			continue
		}
		if err := files.addGo(p, filepath.Join(work, p.OS+"-"+p.Arch+"-go")); err != nil {
			return made, fmt.Errorf("%s: Go: %w", p, err)
		}
		path, err := files.write(out, s.name(p)+"-go", p, s.time)
		if err != nil {
			return made, err
		}
		made = append(made, path)
	}
	return made, sums(out, made)
}

// clear makes the directory and removes archives from it.
func clear(out string) error {
	if err := os.MkdirAll(out, 0o777); err != nil {
		return err
	}
	for _, pattern := range []string{"lorac-*.tar.gz", "lorac-*.zip", "SHA256SUMS"} {
		old, err := filepath.Glob(filepath.Join(out, pattern))
		if err != nil {
			return err
		}
		for _, path := range old {
			if err := os.Remove(path); err != nil {
				return err
			}
		}
	}
	return nil
}
