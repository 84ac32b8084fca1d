package main

import (
	"os"
	"path"
	"path/filepath"
	"strings"

	"lorac/codegen/toolchain"
)

// tools are what `go build` calls where there is no cgo.
var tools = []string{"asm", "compile", "link"}

// addGo adds what building trainers takes of Go: the command, its tools and the sources
// of the library, without tests and without the sources of the tools themselves.
func (f files) addGo(p toolchain.Platform, work string) error {
	root, err := goRoot()
	if err != nil {
		return err
	}
	for _, name := range []string{"VERSION", "go.env", "LICENSE", "PATENTS"} {
		f[path.Join(toolchain.Beside, name)] = file{path: filepath.Join(root, name)}
	}
	if err := f.addTree(filepath.Join(root, "pkg", "include"), toolchain.Beside+"/pkg/include", func(string) bool { return true }); err != nil {
		return err
	}
	if err := f.addTree(filepath.Join(root, "src"), toolchain.Beside+"/src", ofLibrary); err != nil {
		return err
	}
	command, dir, err := goPrograms(p, root, work)
	if err != nil {
		return err
	}
	f[toolchain.Beside+"/bin/"+p.Exe("go")] = file{command, true}
	for _, tool := range tools {
		f[path.Join(toolchain.Beside, "pkg", "tool", p.OS+"_"+p.Arch, p.Exe(tool))] = file{filepath.Join(dir, p.Exe(tool)), true}
	}
	return nil
}

// ofLibrary reports whether a file or directory below src is needed to build programs.
func ofLibrary(name string) bool {
	return name != "cmd" && path.Base(name) != "testdata" && !strings.HasSuffix(name, "_test.go") &&
		path.Ext(name) != ".syso" // of the race detector and of BoringCrypto, which need cgo
}

// goPrograms are the go command of a platform and the directory of its tools: those that
// are here, or built from their sources.
func goPrograms(p toolchain.Platform, root, work string) (command, dir string, err error) {
	command, dir = filepath.Join(root, "bin", p.Exe("go")), filepath.Join(root, "pkg", "tool", p.OS+"_"+p.Arch)
	if p == toolchain.Here() && checkStatic(command) == nil {
		return command, dir, nil
	}
	if err := os.MkdirAll(work, 0o777); err != nil {
		return "", "", err
	}
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", work + string(filepath.Separator), "cmd/go"}
	for _, tool := range tools {
		args = append(args, "cmd/"+tool)
	}
	_, err = goCommand(p, filepath.Join(root, "src"), args...)
	return filepath.Join(work, p.Exe("go")), work, err
}
