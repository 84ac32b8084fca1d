package main

import (
	"archive/tar"
	"archive/zip"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"lorac/codegen/toolchain"
)

// write writes an archive named name into a directory; its files are in a directory of
// that name. The order and the times are fixed.
func (f files) write(out, name string, p toolchain.Platform, at time.Time) (string, error) {
	path, format := filepath.Join(out, name+".tar.gz"), tarred
	if p.OS == "windows" {
		path, format = filepath.Join(out, name+".zip"), zipped
	}
	for inside, x := range f {
		if x.runs && p.OS == "linux" {
			if err := checkStatic(x.path); err != nil {
				return "", fmt.Errorf("%s: %w", inside, err)
			}
		}
	}
	to, err := os.Create(path)
	if err != nil {
		return "", err
	}
	defer to.Close()
	add, end := format(to, at)
	for _, inside := range slices.Sorted(maps.Keys(f)) {
		x := f[inside]
		err := func() error {
			from, err := os.Open(x.path)
			if err != nil {
				return err
			}
			defer from.Close()
			info, err := from.Stat()
			if err != nil {
				return err
			}
			w, err := add(name+"/"+inside, x.runs, info.Size())
			if err != nil {
				return err
			}
			_, err = io.Copy(w, from)
			return err
		}()
		if err != nil {
			return "", fmt.Errorf("%s: %w", inside, err)
		}
	}
	return path, errors.Join(end(), to.Close())
}

// adder begins a file of an archive.
type adder func(name string, runs bool, size int64) (io.Writer, error)

func mode(runs bool) os.FileMode {
	if runs {
		return 0o755
	}
	return 0o644
}

func tarred(to io.Writer, at time.Time) (adder, func() error) {
	pressed := gzip.NewWriter(to)
	w := tar.NewWriter(pressed)
	add := func(name string, runs bool, size int64) (io.Writer, error) {
		return w, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: int64(mode(runs)), ModTime: at})
	}
	return add, func() error { return errors.Join(w.Close(), pressed.Close()) }
}

func zipped(to io.Writer, at time.Time) (adder, func() error) {
	w := zip.NewWriter(to)
	add := func(name string, runs bool, _ int64) (io.Writer, error) {
		h := &zip.FileHeader{Name: name, Method: zip.Deflate, Modified: at}
		h.SetMode(mode(runs))
		return w.CreateHeader(h)
	}
	return add, w.Close
}

// checkStatic refuses a program of Linux that needs libraries or a loader.
func checkStatic(path string) error {
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			return errors.New("it is linked dynamically")
		}
	}
	return nil
}

// sums writes the hashes of archives as sha256sum does.
func sums(out string, archives []string) error {
	var text strings.Builder
	for _, path := range slices.Sorted(slices.Values(archives)) {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
		fmt.Fprintf(&text, "%x  %s\n", h.Sum(nil), filepath.Base(path))
	}
	return os.WriteFile(filepath.Join(out, "SHA256SUMS"), []byte(text.String()), 0o666)
}
