package codegen

import "lorac/codegen/toolchain"

// measureSource is a program that measures kernels on an Ascend device, a process of
// its own as the probe is. The measuring is package lorac/runtime/ascend's.
const measureSource = `// Command measure times kernels on an Ascend device: measure DEVICE KERNELS.
package main

import (
	"os"

	"lorac/runtime/ascend"
)

func main() { ascend.MeasureMain(os.Args[1:], os.Stdin, os.Stdout) }
`

// MeasureMark begins the line of its answer, which is JSON.
const MeasureMark = "lorac-measure: "

// BuildMeasure builds it in a directory, unless it is there.
func BuildMeasure(dir string) (binary string, err error) {
	tree, err := measureTree()
	if err != nil {
		return "", err
	}
	binary, _, err = buildTree(dir, "measure", tree, toolchain.Here(), func(string, map[string][]byte) ([]string, error) {
		return []string{"-mod=vendor", "-trimpath"}, nil
	})
	return binary, err
}

// MeasureDigest names what BuildMeasure builds.
func MeasureDigest() (string, error) {
	tree, err := measureTree()
	if err != nil {
		return "", err
	}
	return digest(tree, toolchain.Here())[:16], nil
}

func measureTree() (map[string][]byte, error) {
	tree := map[string][]byte{"trainer/main.go": []byte(measureSource)}
	return tree, addLinked(tree, device)
}
