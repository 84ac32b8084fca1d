package main

import (
	"encoding/json"
	"strings"
	"testing"

	"lorac/internal/testkit"
)

// layers is the house on one page: which of our packages each package may
// import. A new package needs a row here, and an arrow against the grain fails.
var layers = map[string][]string{
	"internal/test":               {"internal/testkit"},
	"internal/testkit":            {},
	"configs":                     {},
	"ir/diag":                     {},
	"ir":                          {"ir/diag"},
	"ir/op":                       {"ir"},
	"compiler/config":             {"ir/diag"},
	"compiler/model":              {"compiler/config", "ir", "ir/diag", "ir/op"},
	"compiler/passes":             {"ir"},
	"compiler":                    {"compiler/config", "compiler/model", "compiler/passes", "ir"},
	"codegen":                     {"ir", "kernels", "runtime", "runtime/sys/version"},
	"kernels":                     {},
	"runtime":                     {"kernels", "runtime/data/dataset", "runtime/data/mindrecord", "runtime/data/tokenizer", "runtime/sys/atomicfile", "runtime/sys/mmap", "runtime/sys/offheap", "runtime/sys/version", "runtime/weights", "runtime/weights/mindspore", "runtime/weights/naming", "runtime/weights/peft", "runtime/weights/quantise", "runtime/weights/safetensors", "runtime/weights/sharded"},
	"runtime/data/dataset":        {"runtime/data/mindrecord", "runtime/data/tokenizer", "runtime/sys/mmap", "runtime/sys/offheap"},
	"runtime/data/mindrecord":     {"runtime/sys/mmap"},
	"runtime/data/tokenizer":      {"runtime/sys/protowire"},
	"runtime/sys/atomicfile":      {},
	"runtime/sys/mmap":            {},
	"runtime/sys/offheap":         {},
	"runtime/sys/protowire":       {},
	"runtime/sys/version":         {},
	"runtime/weights":             {"runtime/data/tokenizer", "runtime/weights/gguf", "runtime/weights/llama2c", "runtime/weights/mindspore", "runtime/weights/naming", "runtime/weights/safetensors", "runtime/weights/sharded", "runtime/weights/torch"},
	"runtime/weights/gguf":        {"runtime/data/tokenizer", "runtime/sys/atomicfile", "runtime/sys/mmap"},
	"runtime/weights/llama2c":     {"runtime/sys/atomicfile", "runtime/sys/mmap", "runtime/weights/naming", "runtime/weights/safetensors"},
	"runtime/weights/mindspore":   {"runtime/sys/atomicfile", "runtime/sys/mmap", "runtime/sys/protowire", "runtime/weights/safetensors"},
	"runtime/weights/naming":      {},
	"runtime/weights/peft":        {"kernels", "runtime/sys/atomicfile", "runtime/sys/version", "runtime/weights/naming", "runtime/weights/safetensors", "runtime/weights/torch"},
	"runtime/weights/quantise":    {"kernels", "runtime/sys/mmap", "runtime/weights", "runtime/weights/gguf", "runtime/weights/naming", "runtime/weights/peft"},
	"runtime/weights/safetensors": {"runtime/sys/atomicfile", "runtime/sys/mmap"},
	"runtime/weights/sharded":     {"runtime/sys/atomicfile", "runtime/sys/mmap", "runtime/sys/protowire", "runtime/weights/mindspore", "runtime/weights/naming"},
	"runtime/weights/torch":       {"runtime/sys/atomicfile", "runtime/sys/mmap", "runtime/weights/safetensors"},
	"cmd/lorac":                   {"cmd/lorac/formats", "cmd/lorac/mindindex", "codegen", "compiler", "compiler/config", "compiler/model", "compiler/passes", "configs", "ir", "ir/diag", "kernels", "runtime", "runtime/data/dataset", "runtime/data/mindrecord", "runtime/data/tokenizer", "runtime/sys/atomicfile", "runtime/sys/mmap", "runtime/sys/version", "runtime/weights", "runtime/weights/mindspore", "runtime/weights/naming", "runtime/weights/quantise", "runtime/weights/safetensors", "runtime/weights/sharded"},
	"cmd/lorac/formats":           {"kernels", "runtime/sys/atomicfile", "runtime/sys/protowire", "runtime/weights", "runtime/weights/gguf", "runtime/weights/llama2c", "runtime/weights/mindspore", "runtime/weights/naming", "runtime/weights/peft", "runtime/weights/safetensors", "runtime/weights/sharded", "runtime/weights/torch"},
	"cmd/lorac/mindindex":         {"runtime/data/mindrecord"},

	"cmd/lorac/mindindex/lorac-mindindex": {}, // all that links SQLite
}

func TestLayers(t *testing.T) {
	out, err := testkit.Command(t, "go", "list", "-json=ImportPath,Imports", "lorac/...").Output()
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
		if strings.HasPrefix(name, "testdata/") {
			continue // emitted trainers
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
