// Package cxx compiles C++ for tests, and caches what it made by the content of what it
// was made of. It knows nothing of what is compiled.
package cxx

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"
)

// g++ may take this long for one source.
const patience = 5 * time.Minute

// Kept in the cache: the most recently used objects and libraries.
const keep = 60

// A Library is built of sources; all objects are cached by the content of what they
// are made of, so that a changed kernel costs one compilation.
type Library struct {
	Name    string
	Include []string // directories whose headers any source may read
	Header  string   // precompiled for the sources marked small; may be ""
	Sources []Source
	Flags   []string
	With    *Library // objects of sources that know fewer headers
}

type Source struct {
	Path  string
	Small bool // a kernel: compiled quickly. Else: optimised for this machine
}

// Numbers are the same on every machine: no contraction of a*b+c.
var common = []string{"-std=c++17", "-Wall", "-fPIC", "-ffp-contract=off", "-fno-strict-aliasing", "-fwrapv", "-fmax-errors=8"}

func flagsOf(small bool) []string {
	if small {
		return append(slices.Clone(common), "-O1")
	}
	return append(slices.Clone(common), "-O2", "-ftree-vectorize", "-fvect-cost-model=dynamic", "-march=native")
}

// Build makes the library, or finds it in the cache.
func (l Library) Build() (string, error) {
	dir, err := cacheDir()
	if err != nil {
		return "", err
	}
	objects, err := l.objects(dir)
	if err != nil {
		return "", err
	}
	out := filepath.Join(dir, hash(strings.Join(objects, " "))+"-"+l.Name)
	if used(out) {
		return out, nil
	}
	err = made(out, func(tmp string) error {
		// Threads of the twin outlive whoever opened it: the library stays loaded.
		return compiler(append([]string{"-shared", "-Wl,-z,nodelete", "-Wl,-Bsymbolic", "-o", tmp}, append(objects, "-ldl", "-lpthread")...)...)
	})
	prune(dir)
	return out, err
}

// objects compiles the sources, several at a time.
func (l Library) objects(dir string) ([]string, error) {
	headers, err := l.headers()
	if err != nil {
		return nil, err
	}
	flags := slices.Clone(l.Flags)
	for _, d := range l.Include {
		flags = append(flags, "-I"+d)
	}
	if l.Header != "" {
		pch, err := precompiled(dir, l.Header, l.Flags)
		if err != nil {
			return nil, err
		}
		flags = append([]string{"-I" + pch}, flags...)
	}
	objects := make([]string, len(l.Sources))
	errs := make([]error, len(l.Sources)+1)
	var more []string
	var wg sync.WaitGroup
	if l.With != nil {
		wg.Add(1)
		go func() {
			defer wg.Done()
			more, errs[len(l.Sources)] = l.With.objects(dir)
		}()
	}
	for i, s := range l.Sources {
		wg.Add(1)
		go func() {
			defer wg.Done()
			objects[i], errs[i] = object(dir, headers, s, flags, l.Flags)
		}()
	}
	wg.Wait()
	return append(objects, more...), errors.Join(errs...)
}

// slots bounds how many compilers run at a time.
var slots = make(chan struct{}, runtime.GOMAXPROCS(0))

// headers is a digest of all files that a source may include.
func (l Library) headers() (string, error) {
	var all bytes.Buffer
	for _, d := range l.Include {
		files, err := os.ReadDir(d)
		if err != nil {
			return "", err
		}
		for _, f := range files {
			switch filepath.Ext(f.Name()) {
			case ".h", ".inc":
				text, err := os.ReadFile(filepath.Join(d, f.Name()))
				if err != nil {
					return "", err
				}
				fmt.Fprintf(&all, "%s %x\n", f.Name(), sha256.Sum256(text))
			}
		}
	}
	return hash(all.String()), nil
}

// precompiled gives a directory with the header precompiled for small sources.
func precompiled(dir, header string, extra []string) (string, error) {
	home := filepath.Dir(header)
	headers, err := Library{Include: []string{home}}.headers()
	if err != nil {
		return "", err
	}
	mode := append(flagsOf(true), extra...)
	pch := filepath.Join(dir, hash(headers, strings.Join(mode, " "))+"-pch")
	out := filepath.Join(pch, filepath.Base(header)+".gch")
	if used(pch) && used(out) {
		return pch, nil
	}
	if err := os.MkdirAll(pch, 0o777); err != nil {
		return "", err
	}
	return pch, made(out, func(tmp string) error {
		return compiler(append(mode, "-I"+home, "-x", "c++-header", header, "-o", tmp)...)
	})
}

func object(dir, headers string, s Source, flags, extra []string) (string, error) {
	text, err := os.ReadFile(s.Path)
	if err != nil {
		return "", err
	}
	mode := flagsOf(s.Small)
	key := []string{headers, string(text), strings.Join(mode, " "), strings.Join(extra, " ")}
	if !s.Small {
		key = append(key, machine())
	}
	out := filepath.Join(dir, hash(key...)+"-"+strings.TrimSuffix(filepath.Base(s.Path), ".cpp")+".o")
	if used(out) {
		return out, nil
	}
	return out, made(out, func(tmp string) error {
		return compiler(append(append(mode, flags...), "-c", s.Path, "-o", tmp)...)
	})
}

// machine tells machines apart on which -march=native differs.
func machine() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return runtime.GOARCH
	}
	for _, key := range []string{"flags", "Features"} {
		if i := bytes.Index(info, []byte("\n"+key)); i >= 0 {
			line, _, _ := bytes.Cut(info[i+1:], []byte("\n"))
			return string(line)
		}
	}
	return runtime.GOARCH
}

// compiler runs g++.
func compiler(args ...string) error {
	slots <- struct{}{}
	defer func() { <-slots }()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, "g++", args...).CombinedOutput()
	if ctx.Err() != nil {
		return fmt.Errorf("g++ did not finish within %v: g++ %s", patience, strings.Join(args, " "))
	}
	if err != nil {
		return fmt.Errorf("g++ %s: %w\n%s", filepath.Base(args[len(args)-1]), err, out)
	}
	return nil
}

// ---- the cache ----

// cache is the user's cache directory as it was when the process began: tests may
// give what they start one of its own.
var cache = func() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return os.TempDir()
	}
	return dir
}()

func cacheDir() (string, error) {
	dir := filepath.Join(cache, "lorac-test")
	return dir, os.MkdirAll(dir, 0o777)
}

func hash(parts ...string) string {
	h := sha256.New()
	for _, p := range parts {
		fmt.Fprintf(h, "%d %s\n", len(p), p)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:10])
}

// used says whether a file is there, and that it is wanted.
func used(path string) bool {
	now := time.Now()
	return os.Chtimes(path, now, now) == nil
}

// made makes a file under another name first: tests of other packages may look for it.
func made(path string, make func(tmp string) error) error {
	tmp := fmt.Sprintf("%s.%d", path, os.Getpid())
	if err := make(tmp); err != nil {
		os.Remove(tmp)
		return err
	}
	return os.Rename(tmp, path)
}

// prune removes what was used least recently, and nothing of the last hour.
func prune(dir string) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	type entry struct {
		path string
		at   time.Time
	}
	var all []entry
	for _, f := range files {
		if info, err := f.Info(); err == nil {
			all = append(all, entry{filepath.Join(dir, f.Name()), info.ModTime()})
		}
	}
	slices.SortFunc(all, func(a, b entry) int { return b.at.Compare(a.at) })
	for _, e := range all[min(keep, len(all)):] {
		if time.Since(e.at) > time.Hour {
			os.RemoveAll(e.path)
		}
	}
}
