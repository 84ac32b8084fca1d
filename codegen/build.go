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
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"

	"lorac/codegen/vendored"
	"lorac/ir"
	"lorac/kernels"
	"lorac/kernels/ascend"
	rt "lorac/runtime"
	"lorac/runtime/sys/version"
)

// Tree is a whole trainer module as files by path: the emitted program under
// trainer/, and what it links under vendor/, so that it builds anywhere.
func Tree(m *ir.Module) (map[string][]byte, error) {
	files, err := Emit(m)
	if err != nil {
		return nil, err
	}
	tree := map[string][]byte{}
	for name, text := range files {
		tree["trainer/"+name] = text
	}
	if err := addLinked(tree, onAscend(m)); err != nil {
		return nil, err
	}
	return tree, nil
}

// linked is the sources of ours that trainers link, those for a device last.
var linked = []struct {
	root   string
	src    fs.FS
	device bool
}{
	{"lorac/runtime", rt.Sources, false},
	{"lorac/kernels", kernels.Sources, false},
	{"lorac/runtime", rt.DeviceSources, true},
	{"lorac/kernels/ascend", ascend.Sources, true},
}

// addLinked adds what a trainer links, and go.mod.
func addLinked(tree map[string][]byte, device bool) error {
	packages := map[string]bool{}
	for _, l := range linked {
		if l.device && !device {
			continue
		}
		err := fs.WalkDir(l.src, ".", func(name string, d fs.DirEntry, err error) error {
			full := path.Join(l.root, name)
			if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
				return err
			}
			if name == "embed.go" { // which would embed more than a trainer has
				return nil
			}
			text, err := fs.ReadFile(l.src, name)
			if err != nil {
				return err
			}
			tree["vendor/"+full] = text
			packages[path.Dir(full)] = true
			return nil
		})
		if err != nil {
			return err
		}
	}
	list := strings.Join(slices.Sorted(maps.Keys(packages)), "\n")
	modules, require := "# lorac v0.0.0\n## explicit; go "+goVersion+"\n"+list+"\n", "require lorac v0.0.0\n"
	if device {
		files, err := vendored.Files()
		if err != nil {
			return err
		}
		for name, text := range files {
			tree["vendor/"+name] = text
		}
		text, err := vendored.ModulesText()
		if err != nil {
			return err
		}
		modules, require = text+modules, require+"\nrequire "+vendored.Purego+" "+vendored.Version+"\n"
	}
	tree["vendor/modules.txt"] = []byte(modules)
	tree["go.mod"] = []byte("module trainer\n\ngo " + goVersion + "\n\n" + require)
	return nil
}

// goVersion is the language version of the emitted module.
const goVersion = "1.26"

// digest names a tree and the toolchain that builds it.
func digest(tree map[string][]byte) string {
	h := sha256.New()
	fmt.Fprintln(h, toolchain())
	for _, n := range slices.Sorted(maps.Keys(tree)) {
		fmt.Fprintf(h, "%s %x\n", n, sha256.Sum256(tree[n]))
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// toolchain is the version of Go and what it builds for, which may be another
// machine: GOARCH=arm64 lorac compile.
func toolchain() string {
	out, _ := exec.Command("go", "env", "GOVERSION", "GOOS", "GOARCH").Output()
	return string(bytes.TrimSpace(out))
}

// Build writes the trainer of a module into dir and builds dir/name. When dir
// holds the same sources and their binary already, nothing is done and rebuilt
// is false.
func Build(dir, name string, m *ir.Module) (binary string, rebuilt bool, err error) {
	return build(dir, name, m, func(string, map[string][]byte) ([]string, error) {
		return []string{"-mod=vendor", "-trimpath"}, nil
	})
}

// build writes and builds with the flags that say where the linked sources are.
func build(dir, name string, m *ir.Module, flags func(dir string, tree map[string][]byte) ([]string, error)) (binary string, rebuilt bool, err error) {
	tree, err := Tree(m)
	if err != nil {
		return "", false, err
	}
	return buildTree(dir, name, tree, flags)
}

// buildTree is build of a tree that may be another program's.
func buildTree(dir, name string, tree map[string][]byte, flags func(dir string, tree map[string][]byte) ([]string, error)) (binary string, rebuilt bool, err error) {
	if _, err := exec.LookPath("go"); err != nil {
		return "", false, errors.New("the Go toolchain is not found: building a trainer needs `go` in PATH\n  = help: install Go, from https://go.dev/dl")
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", false, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", false, err
	}
	if err := ours(dir); err != nil {
		return "", false, err
	}
	// Two runs of one config share a directory: the second waits for the first.
	lock := flock.New(filepath.Join(dir, ".lock"))
	if err := lock.Lock(); err != nil {
		return "", false, err
	}
	defer lock.Unlock()
	binary = filepath.Join(dir, name)
	stamp, sum := filepath.Join(dir, ".built"), digest(tree)+" "+version.Commit()
	if old, err := os.ReadFile(stamp); err == nil && string(old) == sum+"\n" && exists(binary) {
		return binary, false, nil
	}
	if err := writeTree(dir, tree); err != nil {
		return "", false, err
	}
	os.Remove(stamp)
	tmp := binary + ".tmp"
	temp, err := filepath.Abs(os.TempDir()) // a relative one would be sought in dir
	if err != nil {
		return "", false, err
	}
	linked, err := flags(dir, tree)
	if err != nil {
		return "", false, err
	}
	args := append([]string{"build"}, linked...)
	cmd := exec.Command("go", append(args, "-buildvcs=false", "-ldflags="+linkFlags+" -X lorac/runtime/sys/version.commit="+version.Commit(), "-o", tmp, "./trainer")...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOPROXY=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0", "GO111MODULE=on", "TMPDIR="+temp)
	if out, err := cmd.CombinedOutput(); err != nil {
		os.Remove(tmp)
		return "", false, fmt.Errorf("building the trainer in %s failed: %w\n%s", dir, err, out)
	}
	if err := os.Rename(tmp, binary); err != nil {
		return "", false, err
	}
	return binary, true, os.WriteFile(stamp, []byte(sum+"\n"), 0o666)
}

// linkFlags leave symbols out, and keep huge pages from Go's heap, which is small:
// where the system gives them unasked, it would take twice what it holds.
const linkFlags = "-s -w -X runtime.godebugDefault=disablethp=1"

// IsBuilt reports whether dir holds a trainer that was built; its sources may be
// others by now.
func IsBuilt(dir string) bool { return exists(filepath.Join(dir, ".built")) }

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// writeTree writes the files into a temporary directory and moves them into
// place when all are written.
func writeTree(dir string, tree map[string][]byte) error {
	tmp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	if err := writeFiles(tmp, tree); err != nil {
		return err
	}
	for _, part := range []string{"trainer", "vendor", "go.mod"} {
		if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(tmp, part), filepath.Join(dir, part)); err != nil {
			return err
		}
	}
	return nil
}

// writeFiles writes files by path below dir.
func writeFiles(dir string, files map[string][]byte) error {
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

// ours refuses a directory that holds somebody else's module.
func ours(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err == nil && !bytes.HasPrefix(text, []byte("module trainer\n")) {
		return fmt.Errorf("%s holds another Go module; give an empty directory with -o", dir)
	}
	return nil
}
