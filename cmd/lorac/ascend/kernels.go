package ascend

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"lorac/cmd/lorac/cache"
	k "lorac/kernels/ascend"
	"lorac/runtime/sys/signals"
)

// Kernels is the binary of the kernels for a chip: the file that
// LORAC_ASCEND_KERNELS names, else compiled by the CANN toolkit into the user's
// cache, once for each content of the sources, version of CANN and chip.
func Kernels(soc string) (string, error) {
	if path := os.Getenv("LORAC_ASCEND_KERNELS"); path != "" {
		if !isFile(path) {
			return "", fmt.Errorf("LORAC_ASCEND_KERNELS names %s, which is no file", path)
		}
		if !isBinary(path) {
			return "", fmt.Errorf("LORAC_ASCEND_KERNELS names %s, which is no binary of kernels: they are ELF files", path)
		}
		return filepath.Abs(path)
	}
	t, err := FindToolkit()
	if none := (*noCompiler)(nil); errors.As(err, &none) {
		return "", &NoToolkit{soc, none}
	}
	if err != nil {
		return "", err
	}
	sources, err := Sources()
	if err != nil {
		return "", err
	}
	home, err := cache.Dir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(home, "ascend-kernels")
	path, err := t.cached(dir, soc, sources)
	cache.Used(dir)
	return path, cacheHelp(err)
}

// NoToolkit is the error of a machine that cannot compile kernels. It says how
// another one does.
type NoToolkit struct {
	soc  string
	none *noCompiler
}

func (e *NoToolkit) Error() string {
	return fmt.Sprintf("the kernels for %s are not compiled: %s\n  = help: %s; or have another machine compile them: `lorac compile CONFIG --device ascend -o DIR` writes their sources and %s; LORAC_ASCEND_KERNELS names the result",
		e.soc, e.none.why, e.none.help, script)
}

// Sources are the files of the kernels by path: csrc/linear.cpp and so on.
func Sources() (map[string][]byte, error) {
	files := map[string][]byte{}
	err := fs.WalkDir(k.Csrc, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = fs.ReadFile(k.Csrc, path)
		return err
	})
	return files, err
}

// digest names a binary by what it is made of.
func (t *Toolkit) digest(soc string, sources map[string][]byte) string {
	h := sha256.New()
	steps, _ := t.commands(soc, []string{"x.cpp"})
	fmt.Fprintf(h, "%s %s %s %s %q\n", t.Version, soc, runtime.GOARCH, strings.ReplaceAll(fmt.Sprint(steps), t.Home, "HOME"), cmakeLists)
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		fmt.Fprintf(h, "%s %x\n", name, sha256.Sum256(sources[name]))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:12])
}

// cached compiles below a directory, unless the result is there.
func (t *Toolkit) cached(dir, soc string, sources map[string][]byte) (string, error) {
	binary := filepath.Join(dir, t.digest(soc, sources), "kernels.o")
	err := cache.Once(binary, func(temp string) (string, error) {
		fmt.Fprintf(os.Stderr, "compiling the kernels for %s with CANN %s, once; it takes some minutes\n", soc, t.Version)
		return t.compile(temp, soc, sources)
	})
	if err != nil {
		return "", err
	}
	return binary, nil
}

// compile writes the sources into a directory and runs the toolkit there.
func (t *Toolkit) compile(dir, soc string, sources map[string][]byte) (binary string, err error) {
	if err := t.missing(); err != nil {
		return "", err
	}
	if err := writeSources(dir, sources); err != nil {
		return "", err
	}
	limit, err := compileTime()
	if err != nil {
		return "", err
	}
	ctx, release := signalled(context.Background())
	defer release()
	steps, binary := t.commands(soc, units(sources))
	said := ""
	for _, step := range steps {
		text, err := runAll(ctx, dir, step, limit)
		said += text
		if ended := (*signals.Ended)(nil); errors.As(err, &ended) {
			return "", ended
		}
		if err != nil {
			return "", fmt.Errorf("compiling the kernels for %s with CANN %s failed: %w", soc, t.Version, err)
		}
	}
	binary = filepath.Join(dir, filepath.FromSlash(binary))
	if !isBinary(binary) {
		what := "no " + filepath.Base(binary)
		if isFile(binary) {
			what = "a " + filepath.Base(binary) + " that is no ELF file"
		}
		return "", fmt.Errorf("compiling the kernels for %s with CANN %s made %s; its commands said\n%s", soc, t.Version, what, said)
	}
	return binary, nil
}

// isBinary reports whether a file is in ELF and more than its header.
func isBinary(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return false
	}
	defer f.Close()
	head := make([]byte, elfHeader+1)
	_, err = io.ReadFull(f, head)
	return err == nil && string(head[:4]) == "\x7fELF"
}

// elfHeader is the bytes of a header of 64 bits (elf(5)).
const elfHeader = 64

// units are the sources that are compiled, in order.
func units(sources map[string][]byte) (list []string) {
	for _, name := range slices.Sorted(maps.Keys(sources)) {
		if strings.HasSuffix(name, ".cpp") {
			list = append(list, name)
		}
	}
	return list
}

func writeSources(dir string, sources map[string][]byte) error {
	files := maps.Clone(sources)
	files["CMakeLists.txt"] = []byte(cmakeLists)
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			return err
		}
		if err := os.WriteFile(path, text, 0o666); err != nil {
			return err
		}
	}
	return nil
}

// runAll runs commands in a directory, as many at once as there are processors, and
// returns what they said. The first that fails, in their order, is the error, with
// what it said.
func runAll(ctx context.Context, dir string, list []command, limit time.Duration) (said string, err error) {
	errs, outs := make([]error, len(list)), make([]string, len(list))
	slots := make(chan struct{}, runtime.GOMAXPROCS(0))
	var all sync.WaitGroup
	for i, c := range list {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			var err error
			if outs[i], err = runIn(ctx, dir, c, limit); err != nil {
				errs[i] = fmt.Errorf("%w: %s\n%s", err, c, outs[i])
			}
		})
	}
	all.Wait()
	for _, err := range errs {
		if err != nil {
			return "", err
		}
	}
	return strings.Join(outs, ""), nil
}

// script makes the binary on another machine.
const script = "compile.sh"

// WriteProject writes what another machine makes the binary of: sources and a
// script, which ends with the name that a trainer looks for beside itself. It
// returns the commands.
func WriteProject(dir, soc, name string) (commands string, err error) {
	sources, err := Sources()
	if err != nil {
		return "", err
	}
	if err := writeSources(dir, sources); err != nil {
		return "", err
	}
	t := &Toolkit{Version: "9", Bisheng: "bisheng", Linker: "ld.lld"}
	steps, binary := t.commands(soc, units(sources))
	var b strings.Builder
	for _, step := range steps {
		for _, c := range step {
			text := c.String()
			if rest, ok := strings.CutPrefix(text, t.Linker+" "); ok { // the toolkit's, whatever else is in PATH
				text = `"$(dirname "$(command -v bisheng)")/ld.lld" ` + rest
			}
			fmt.Fprintf(&b, "%s\n", text)
		}
	}
	fmt.Fprintf(&b, "mv %s %s\n", binary, name)
	text := "#!/bin/sh\n# Compiles the kernels for " + soc + " with CANN 9 or later, whose set_env.sh must have been sourced\n# (bisheng and its ld.lld are in PATH then). CANN 8: cmake -S . -B build -DSOC_VERSION=" + soc +
		" && cmake --build build\nset -e\ncd \"$(dirname \"$0\")\"\n" + b.String()
	return b.String(), os.WriteFile(filepath.Join(dir, script), []byte(text), 0o777)
}

// FileName is what a trainer looks for beside itself.
func FileName(trainer, soc string) string { return trainer + "." + strings.ToLower(soc) + ".o" }
