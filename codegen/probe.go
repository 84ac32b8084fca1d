package codegen

import (
	"io/fs"
	"slices"
	"strings"

	"lorac/codegen/toolchain"
	"lorac/codegen/vendored"
	rt "lorac/runtime"
)

// probeSource is a program that says what an Ascend device is. lorac starts it as a
// process of its own: lorac is static, and a driver that never answers takes only
// the process with it. ACL may print, so the answer is marked.
const probeSource = `// Command probe says what an Ascend device is: probe DEVICE.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"

	"lorac/runtime/device"
)

func main() {
	id, err := strconv.Atoi(os.Args[1])
	answer := struct {
		device.Info
		Error string ` + "`json:\"error,omitempty\"`" + `
	}{}
	if err == nil {
		answer.Info, err = device.Probe(id)
	}
	if err != nil {
		answer.Error = err.Error()
	}
	text, err := json.Marshal(answer)
	if err != nil {
		panic(err)
	}
	fmt.Printf("\n` + ProbeMark + `%s\n", text)
}
`

// ProbeMark begins the line of the probe's answer, which is JSON.
const ProbeMark = "lorac-probe: "

// probePackages are those of lorac that the probe links, below lorac/runtime.
var probePackages = []string{"device", "sys/dl", "sys/human"}

// BuildProbe builds the probe in a directory, unless it is there.
func BuildProbe(dir string) (binary string, rebuilt bool, err error) {
	tree, err := probeTree()
	if err != nil {
		return "", false, err
	}
	return buildTree(dir, "probe", tree, toolchain.Here(), func(string, map[string][]byte) ([]string, error) {
		return []string{"-mod=vendor", "-trimpath"}, nil
	})
}

// ProbeDigest names what BuildProbe builds, so that another release of lorac has a
// directory of its own.
func ProbeDigest() (string, error) {
	tree, err := probeTree()
	if err != nil {
		return "", err
	}
	return digest(tree, toolchain.Here())[:16], nil
}

func probeTree() (map[string][]byte, error) {
	tree := map[string][]byte{"trainer/main.go": []byte(probeSource)}
	var packages []string
	for _, src := range []fs.FS{rt.Sources, rt.DeviceSources} {
		err := fs.WalkDir(src, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || strings.HasSuffix(path, "_test.go") {
				return err
			}
			dir := path[:max(strings.LastIndexByte(path, '/'), 0)]
			if !slices.Contains(probePackages, dir) {
				return nil
			}
			if !slices.Contains(packages, "lorac/runtime/"+dir) {
				packages = append(packages, "lorac/runtime/"+dir)
			}
			tree["vendor/lorac/runtime/"+path], err = fs.ReadFile(src, path)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	files, err := vendored.Files()
	if err != nil {
		return nil, err
	}
	for name, text := range files {
		tree["vendor/"+name] = text
	}
	theirs, err := vendored.ModulesText()
	if err != nil {
		return nil, err
	}
	slices.Sort(packages)
	tree["vendor/modules.txt"] = []byte(theirs + "# lorac v0.0.0\n## explicit; go " + goVersion + "\n" + strings.Join(packages, "\n") + "\n")
	tree["go.mod"] = []byte("module trainer\n\ngo " + goVersion + "\n\nrequire (\n\t" + vendored.Purego + " " + vendored.Version + "\n\tlorac v0.0.0\n)\n")
	return tree, nil
}
