package codegen

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"lorac/codegen/filelock"
	"lorac/codegen/toolchain"
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
	if err := addLinked(tree, needs(m)); err != nil {
		return nil, err
	}
	return tree, nil
}

// linked is the sources of ours that trainers link, those that not all do last.
var linked = []struct {
	root string
	src  fs.FS
	by   need // 0: all
}{
	{"lorac/runtime", rt.Sources, 0},
	{"lorac/kernels", kernels.Sources, 0},
	{"lorac/runtime", rt.MPISources, needsMPI},
	{"lorac/runtime", rt.MeshSources, needsMesh},
	{"lorac/runtime", rt.DeviceSources, needsDevice},
	{"lorac/kernels/ascend", ascend.Sources, needsDevice},
}

// need is what a program needs besides.
type need int

const (
	needsDevice need = 1 << iota // it computes on one
	needsMPI                     // several processes of it may run a job
	needsMesh                    // which share each row of a step, or the optimizer's states
)

func needs(m *ir.Module) (n need) {
	if onAscend(m) {
		n |= needsDevice
	}
	if over(m) == "mpi" {
		n |= needsMPI
	}
	if m.Mesh.Axis(ir.Model)*m.Mesh.Axis(ir.Stage)*m.Mesh.Axis(ir.Optimizer) > 1 {
		n |= needsMesh
	}
	return n
}

// addLinked adds what a trainer links, and go.mod.
func addLinked(tree map[string][]byte, n need) error {
	packages := map[string]bool{}
	for _, l := range linked {
		if l.by != 0 && l.by&n == 0 {
			continue
		}
		err := fs.WalkDir(l.src, ".", func(name string, d fs.DirEntry, err error) error {
			full := path.Join(l.root, name)
			if err != nil || d.IsDir() || strings.HasSuffix(name, "_test.go") {
				return err
			}
			if name == "embed.go" || name == "embed_mesh.go" { // which would embed more than a trainer has
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
	if n&(needsDevice|needsMPI) != 0 { // it opens C libraries
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

// digest names a tree and all else that its build depends on.
func digest(tree map[string][]byte, p toolchain.Platform) string {
	h := sha256.New()
	fmt.Fprintln(h, p.Digest())
	for _, n := range slices.Sorted(maps.Keys(tree)) {
		fmt.Fprintf(h, "%s %x\n", n, sha256.Sum256(tree[n]))
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// Build writes the trainer of a module into dir and builds its program there, for a
// platform. When dir holds the same sources and their binary already, nothing is
// done and rebuilt is false.
func Build(dir, name string, m *ir.Module, p toolchain.Platform) (binary string, rebuilt bool, err error) {
	return build(dir, name, m, p, func(string, map[string][]byte) ([]string, error) {
		return []string{"-mod=vendor", "-trimpath"}, nil
	})
}

// build writes and builds with the flags that say where the linked sources are.
func build(dir, name string, m *ir.Module, p toolchain.Platform, flags linkedFlags) (binary string, rebuilt bool, err error) {
	tree, err := Tree(m)
	if err != nil {
		return "", false, err
	}
	return buildTree(dir, name, tree, p, flags)
}

// linkedFlags writes the linked sources to where they are shared, if they are, and
// gives the flags that say so.
type linkedFlags func(dir string, tree map[string][]byte) ([]string, error)

// ProgramName is the file that the program of a module is built to. Some names are
// those of other things in its directory.
func ProgramName(module string, p toolchain.Platform) string {
	if slices.Contains(taken, strings.ToLower(module)) {
		module += ".bin"
	}
	return p.Exe(module)
}

// taken are names of directories and files beside the program.
var taken = []string{"trainer", "vendor", "kernels", "go.mod", "go.sum"}

// buildTree is build of a tree that may be another program's.
func buildTree(dir, name string, tree map[string][]byte, p toolchain.Platform, flags linkedFlags) (binary string, rebuilt bool, err error) {
	if err := toolchain.Find(); err != nil {
		return "", false, err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", false, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return "", false, err
	}
	name = ProgramName(name, p)
	if err := ours(dir, name); err != nil {
		return "", false, err
	}
	// Two runs of one config share a directory: the second waits for the first.
	lock := filelock.New(filepath.Join(dir, ".lock"))
	if err := lock.Lock(); err != nil {
		return "", false, err
	}
	defer lock.Unlock()
	binary = filepath.Join(dir, name)
	stamp, sum := filepath.Join(dir, ".built"), digest(tree, p)+" "+version.Commit()
	if old, err := os.ReadFile(stamp); err == nil {
		if content, err := contentHash(binary); err == nil && string(old) == stampOf(sum, content) {
			return binary, false, nil
		}
	}
	killed, _ := filepath.Glob(filepath.Join(dir, ".new-*")) // what a killed process left
	for _, path := range killed {
		os.RemoveAll(path)
	}
	temp, err := os.MkdirTemp(dir, ".new-")
	if err != nil {
		return "", false, err
	}
	defer os.RemoveAll(temp)
	if err := writeTree(dir, temp, tree); err != nil {
		return "", false, err
	}
	os.Remove(stamp)
	linked, err := flags(dir, tree)
	if err != nil {
		return "", false, err
	}
	made := filepath.Join(temp, name)
	cmd, err := p.Build(dir, append(linked, "-buildvcs=false", "-ldflags="+linkFlags+" -X lorac/runtime/sys/version.commit="+version.Commit(), "-o", made, "./trainer")...)
	if err != nil {
		return "", false, err
	}
	if out, err := toolchain.Run(cmd); err != nil {
		if len(out) == 0 {
			return "", false, err
		}
		return "", false, fmt.Errorf("building the trainer in %s failed: %w\n%s", dir, err, out)
	}
	content, err := contentHash(made)
	if err != nil {
		return "", false, err
	}
	if err := os.Rename(made, binary); err != nil {
		return "", false, err
	}
	return binary, true, os.WriteFile(stamp, []byte(stampOf(sum, content)), 0o666)
}

// stampOf is the text of .built: what a binary was made of, and its own hash, so
// that one that was changed afterwards is built again.
func stampOf(sum, content string) string { return sum + "\n" + content + "\n" }

// contentHash is the hash of a file; one that is a link is none of ours.
func contentHash(path string) (string, error) {
	info, err := os.Lstat(path)
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is no file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return fmt.Sprintf("%x", h.Sum(nil)), nil
}

// linkFlags leave symbols out, and keep huge pages from Go's heap, which is small:
// where the system gives them unasked, it would take twice what it holds.
const linkFlags = "-s -w -X runtime.godebugDefault=disablethp=1"

// IsBuilt reports whether dir holds a trainer that was built; its sources may be
// others by now.
func IsBuilt(dir string) bool { return exists(filepath.Join(dir, ".built")) }

func exists(path string) bool { _, err := os.Stat(path); return err == nil }

// writeTree writes the files into a temporary directory and moves them into place
// when all are written: go.mod first, which says whose the directory is.
func writeTree(dir, temp string, tree map[string][]byte) error {
	if err := writeFiles(temp, tree); err != nil {
		return err
	}
	for _, part := range []string{"go.mod", "trainer", "vendor"} {
		if err := os.RemoveAll(filepath.Join(dir, part)); err != nil {
			return err
		}
		if err := os.Rename(filepath.Join(temp, part), filepath.Join(dir, part)); err != nil {
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

// ours refuses a directory that holds somebody else's module, or what a build would
// replace.
func ours(dir, program string) error {
	text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err == nil && !bytes.HasPrefix(text, []byte("module trainer\n")) {
		return fmt.Errorf("%s holds another Go module; give an empty directory with -o", dir)
	}
	if err == nil || exists(filepath.Join(dir, ".built")) {
		return nil
	}
	for _, name := range []string{"trainer", "vendor", program} {
		if _, err := os.Lstat(filepath.Join(dir, name)); err == nil {
			return fmt.Errorf("%s holds %s, which lorac did not write; give an empty directory with -o", dir, name)
		}
	}
	return nil
}
