package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
)

// layers is the house on one page: which of our packages each package may
// import. A new package needs a row here, and an arrow against the grain fails.
var layers = map[string][]string{
	"configs":             {},
	"ir/diag":             {},
	"ir":                  {"ir/diag"},
	"ir/op":               {"ir", "ir/diag"},
	"compiler/config":     {"ir/diag"},
	"compiler/model":      {"compiler/config", "ir", "ir/op", "ir/diag"},
	"compiler/passes":     {"ir", "ir/op", "ir/diag"},
	"compiler":            {"compiler/config", "compiler/model", "compiler/passes", "ir", "ir/diag"},
	"codegen":             {"ir", "ir/op", "ir/diag", "runtime", "kernels"}, // the last two as embedded sources only
	"kernels":             {},
	"runtime":             {"kernels", "runtime/checkpoint", "runtime/ckpt", "runtime/dataset", "runtime/mapped", "runtime/mindrecord", "runtime/peft", "runtime/quantise", "runtime/reserve", "runtime/safetensors", "runtime/strategy", "runtime/tensorfile", "runtime/tokenizer"},
	"runtime/reserve":     {},
	"runtime/wire":        {},
	"runtime/mapped":      {},
	"runtime/checkpoint":  {},
	"runtime/safetensors": {"runtime/checkpoint", "runtime/mapped"},
	"runtime/ckpt":        {"runtime/checkpoint", "runtime/mapped", "runtime/safetensors", "runtime/wire"},
	"runtime/pth":         {"runtime/checkpoint", "runtime/mapped", "runtime/safetensors"},
	"runtime/llama2c":     {"runtime/checkpoint", "runtime/mapped", "runtime/safetensors"},
	"runtime/strategy":    {"runtime/checkpoint", "runtime/ckpt", "runtime/mapped", "runtime/wire"},
	"runtime/gguf":        {"runtime/checkpoint", "runtime/mapped", "runtime/tokenizer"},
	"runtime/quantise":    {"kernels", "runtime/checkpoint", "runtime/gguf", "runtime/mapped", "runtime/peft", "runtime/tensorfile"},
	"runtime/tensorfile":  {"runtime/checkpoint", "runtime/ckpt", "runtime/gguf", "runtime/llama2c", "runtime/pth", "runtime/safetensors", "runtime/strategy", "runtime/tokenizer"},
	"runtime/tokenizer":   {"runtime/wire"},
	"runtime/mindrecord":  {"runtime/mapped"},
	"runtime/dataset":     {"runtime/mapped", "runtime/mindrecord", "runtime/reserve", "runtime/tokenizer"},
	"runtime/peft":        {"kernels", "runtime/checkpoint", "runtime/pth", "runtime/safetensors"},
}

func TestLayers(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", "lorac/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen := 0
	for dec.More() {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		name := strings.TrimPrefix(p.ImportPath, "lorac/")
		if strings.HasPrefix(name, "cmd/") || strings.HasPrefix(name, "testdata/") {
			continue // the commands see everything; testdata holds emitted trainers
		}
		allowed, ok := layers[name]
		if !ok {
			t.Errorf("package %s has no row in the layers table", name)
			continue
		}
		seen++
		for _, imp := range p.Imports {
			if dep, ours := strings.CutPrefix(imp, "lorac/"); ours && !contains(allowed, dep) {
				t.Errorf("%s must not import %s", name, dep)
			}
		}
	}
	if seen != len(layers) {
		t.Errorf("the table has %d packages, the module %d of them", len(layers), seen)
	}
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}
