package main

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
)

// layers is the house on one page: which of our packages each package may
// import. A new package needs a row here, and an arrow against the layers fails.
var layers = map[string][]string{
	"configs":                     {},
	"ir/diag":                     {"runtime/sys/spell"},
	"ir":                          {"ir/diag"},
	"ir/op":                       {"ir"},
	"ir/op/optest":                {"ir"},
	"compiler/config":             {"ir/diag", "runtime/job", "runtime/weights/claims", "runtime/weights/naming"},
	"compiler/cost":               {"ir"},
	"compiler/model":              {"compiler/config", "ir", "ir/diag", "ir/op", "runtime/job"},
	"compiler/passes":             {"compiler/cost", "ir"},
	"compiler":                    {"compiler/config", "compiler/cost", "compiler/model", "compiler/passes", "ir", "ir/diag"},
	"codegen":                     {"codegen/filelock", "codegen/jinja", "codegen/toolchain", "codegen/vendored", "ir", "kernels", "kernels/ascend", "runtime", "runtime/job", "runtime/sys/version", "runtime/weights/naming"},
	"codegen/filelock":            {},
	"codegen/jinja":               {"runtime/data/chat"},
	"codegen/toolchain":           {"runtime/sys/signals"},
	"codegen/vendored":            {},
	"kernels/simd":                {},
	"kernels/simd/neongen":        {},
	"kernels":                     {"kernels/simd"},
	"kernels/ascend":              {"kernels"},
	"kernels/ascend/formulas":     {},
	"kernels/ascend/ascendtest":   {"kernels/ascend/ascendtest/cxx", "runtime/device", "runtime/sys/dl"},
	"runtime":                     {"kernels", "runtime/comm", "runtime/data/chat", "runtime/data/dataset", "runtime/data/tokenizer", "runtime/exit", "runtime/infer", "runtime/job", "runtime/lowrank", "runtime/microbatch", "runtime/report", "runtime/rng", "runtime/sys/atomicfile", "runtime/sys/disk", "runtime/sys/human", "runtime/sys/limits", "runtime/sys/mmap", "runtime/sys/offheap", "runtime/sys/signals", "runtime/sys/spell", "runtime/sys/version", "runtime/train", "runtime/weights", "runtime/weights/claims", "runtime/weights/mindspore", "runtime/weights/modeldir", "runtime/weights/naming", "runtime/weights/peft", "runtime/weights/quantise", "runtime/weights/safetensors", "runtime/weights/sharded", "runtime/wire"},
	"runtime/ascend":              {"kernels", "kernels/ascend", "runtime", "runtime/comm", "runtime/comm/hccl", "runtime/device", "runtime/exit", "runtime/sys/human", "runtime/sys/mmap"},
	"runtime/comm":                {"runtime/exit"},
	"runtime/comm/local":          {"runtime/comm"},
	"runtime/comm/hccl":           {"runtime/comm", "runtime/comm/mpi", "runtime/comm/star", "runtime/exit", "runtime/sys/dl"},
	"runtime/comm/star":           {"runtime/comm", "runtime/exit"},
	"runtime/comm/mpi":            {"runtime/comm", "runtime/exit", "runtime/sys/dl"},
	"runtime/mesh":                {"kernels", "runtime", "runtime/comm", "runtime/exit", "runtime/weights/naming"},
	"runtime/data/dataset":        {"runtime/data/chat", "runtime/data/mindrecord", "runtime/data/tokenizer", "runtime/sys/human", "runtime/sys/mmap", "runtime/sys/offheap"},
	"runtime/data/chat":           {"runtime/python"},
	"runtime/data/mindrecord":     {"runtime/sys/mmap"},
	"runtime/data/tokenizer":      {"runtime/sys/protowire"},
	"runtime/device":              {"runtime/sys/dl", "runtime/sys/human"},
	"runtime/exit":                {},
	"runtime/wire":                {},
	"runtime/infer":               {"kernels", "runtime/data/dataset", "runtime/data/mindrecord", "runtime/data/tokenizer", "runtime/exit", "runtime/job", "runtime/microbatch", "runtime/python", "runtime/rng", "runtime/sys/atomicfile", "runtime/sys/human"},
	"runtime/job":                 {"runtime/data/chat"},
	"runtime/lowrank":             {},
	"runtime/microbatch":          {"runtime/data/dataset", "runtime/exit", "runtime/job", "runtime/rng"},
	"runtime/python":              {},
	"runtime/report":              {"runtime/sys/atomicfile", "runtime/sys/human"},
	"runtime/rng":                 {},
	"runtime/sys/atomicfile":      {"runtime/sys/signals"},
	"runtime/sys/disk":            {},
	"runtime/sys/dl":              {},
	"runtime/sys/human":           {},
	"runtime/sys/limits":          {},
	"runtime/sys/mmap":            {},
	"runtime/sys/offheap":         {},
	"runtime/sys/protowire":       {},
	"runtime/sys/signals":         {},
	"runtime/sys/spell":           {},
	"runtime/sys/version":         {},
	"runtime/train":               {"runtime/exit", "runtime/job", "runtime/python", "runtime/sys/atomicfile", "runtime/sys/human", "runtime/sys/protowire"},
	"runtime/weights":             {"runtime/data/tokenizer", "runtime/sys/atomicfile", "runtime/sys/mmap", "runtime/weights/claims", "runtime/weights/gguf", "runtime/weights/kind", "runtime/weights/llama2c", "runtime/weights/mindspore", "runtime/weights/naming", "runtime/weights/safetensors", "runtime/weights/sharded", "runtime/weights/torch"},
	"runtime/weights/claims":      {"runtime/weights/jsonkeys"},
	"runtime/weights/gguf":        {"runtime/data/tokenizer", "runtime/sys/atomicfile", "runtime/sys/mmap"},
	"runtime/weights/jsonkeys":    {},
	"runtime/weights/kind":        {},
	"runtime/weights/llama2c":     {"runtime/sys/atomicfile", "runtime/sys/mmap", "runtime/weights/naming", "runtime/weights/safetensors"},
	"runtime/weights/modeldir":    {"runtime/data/tokenizer", "runtime/sys/atomicfile"},
	"runtime/weights/mindspore":   {"runtime/sys/atomicfile", "runtime/sys/mmap", "runtime/sys/protowire", "runtime/weights/safetensors"},
	"runtime/weights/naming":      {},
	"runtime/weights/peft":        {"kernels", "runtime/sys/atomicfile", "runtime/sys/disk", "runtime/sys/mmap", "runtime/sys/version", "runtime/weights/jsonkeys", "runtime/weights/kind", "runtime/weights/naming", "runtime/weights/safetensors", "runtime/weights/torch"},
	"runtime/weights/quantise":    {"kernels", "runtime/sys/mmap", "runtime/weights", "runtime/weights/claims", "runtime/weights/gguf", "runtime/weights/naming", "runtime/weights/peft"},
	"runtime/weights/safetensors": {"runtime/sys/atomicfile", "runtime/sys/mmap"},
	"runtime/weights/sharded":     {"runtime/sys/atomicfile", "runtime/sys/mmap", "runtime/sys/protowire", "runtime/weights/mindspore", "runtime/weights/naming"},
	"runtime/weights/torch":       {"runtime/sys/atomicfile", "runtime/sys/mmap", "runtime/weights/safetensors"},
	"cmd/lorac":                   {"cmd/lorac/bench", "cmd/lorac/build", "cmd/lorac/cli", "cmd/lorac/complete", "cmd/lorac/convert", "cmd/lorac/doctor", "cmd/lorac/launch", "cmd/lorac/page", "cmd/lorac/preview", "cmd/lorac/start", "cmd/lorac/talk", "cmd/lorac/talk/model", "cmd/lorac/watch", "compiler/config", "compiler/cost", "configs", "ir/diag", "runtime", "runtime/data/chat", "runtime/sys/atomicfile", "runtime/sys/disk", "runtime/sys/human", "runtime/sys/signals", "runtime/sys/version"},
	"cmd/lorac/ascend":            {"cmd/lorac/cache", "codegen", "kernels/ascend", "runtime/sys/signals"},
	"cmd/lorac/bench":             {"cmd/lorac/ascend", "cmd/lorac/build", "cmd/lorac/cli", "cmd/lorac/synthetic", "codegen/filelock", "compiler/config", "compiler/cost", "ir", "kernels", "kernels/ascend", "kernels/ascend/formulas", "runtime/exit", "runtime/rng", "runtime/sys/atomicfile", "runtime/sys/disk", "runtime/sys/human", "runtime/sys/protowire", "runtime/sys/signals", "runtime/weights/safetensors"},
	"cmd/lorac/build":             {"cmd/lorac/ascend", "cmd/lorac/cache", "cmd/lorac/cli", "cmd/lorac/start", "codegen", "codegen/jinja", "codegen/toolchain", "compiler", "compiler/config", "compiler/cost", "compiler/model", "compiler/passes", "ir", "ir/diag", "kernels", "kernels/ascend", "runtime", "runtime/comm", "runtime/data/chat", "runtime/exit", "runtime/microbatch", "runtime/sys/atomicfile", "runtime/sys/disk", "runtime/sys/human", "runtime/sys/limits", "runtime/sys/mmap", "runtime/weights", "runtime/weights/claims", "runtime/weights/naming", "runtime/weights/quantise"},
	"cmd/lorac/cache":             {"codegen/filelock"},
	"cmd/lorac/cli":               {"runtime", "runtime/exit", "runtime/sys/human", "runtime/sys/signals"},
	"cmd/lorac/convert":           {"cmd/lorac/build", "cmd/lorac/cli", "cmd/lorac/convert/formats", "cmd/lorac/convert/mindindex", "cmd/lorac/convert/parquet", "cmd/lorac/progress", "cmd/lorac/synthetic", "compiler/config", "ir", "kernels", "runtime/data/dataset", "runtime/data/mindrecord", "runtime/data/tokenizer", "runtime/sys/atomicfile", "runtime/sys/disk", "runtime/sys/human", "runtime/sys/mmap", "runtime/weights", "runtime/weights/gguf", "runtime/weights/kind", "runtime/weights/llama2c", "runtime/weights/mindspore", "runtime/weights/modeldir", "runtime/weights/naming", "runtime/weights/peft", "runtime/weights/quantise", "runtime/weights/safetensors", "runtime/weights/sharded", "runtime/weights/torch"},
	"cmd/lorac/complete":          {},
	"cmd/lorac/watch":             {"runtime/report", "runtime/sys/human", "runtime/train"},
	"cmd/lorac/doctor":            {"cmd/lorac/ascend", "cmd/lorac/build", "cmd/lorac/cache", "cmd/lorac/mpi", "codegen/toolchain", "runtime/sys/disk", "runtime/sys/human", "runtime/sys/limits", "runtime/sys/version"},
	"cmd/lorac/page":              {},
	"cmd/lorac/preview":           {"runtime", "runtime/data/dataset", "runtime/microbatch", "runtime/sys/human"},
	"cmd/lorac/progress":          {"runtime/sys/human"},
	"cmd/lorac/start":             {"compiler/config", "ir/diag", "runtime/data/tokenizer", "runtime/sys/human", "runtime/weights", "runtime/weights/claims", "runtime/weights/kind", "runtime/weights/naming", "runtime/weights/peft"},
	"cmd/lorac/convert/formats":   {"kernels", "runtime/data/tokenizer", "runtime/sys/atomicfile", "runtime/sys/protowire", "runtime/weights", "runtime/weights/claims", "runtime/weights/gguf", "runtime/weights/llama2c", "runtime/weights/mindspore", "runtime/weights/modeldir", "runtime/weights/naming", "runtime/weights/peft", "runtime/weights/safetensors", "runtime/weights/sharded", "runtime/weights/torch"},
	"cmd/lorac/talk":              {"cmd/lorac/cli", "cmd/lorac/program", "cmd/lorac/talk/model", "runtime", "runtime/wire"},
	"cmd/lorac/talk/lorac-serve":  {"cmd/lorac/talk/model", "cmd/lorac/talk/serve", "runtime/exit", "runtime/sys/human"},
	"cmd/lorac/talk/model":        {"runtime/exit", "runtime/wire"},
	"cmd/lorac/talk/modeltest":    {"cmd/lorac/talk/model", "runtime/wire"},
	"cmd/lorac/talk/serve":        {"cmd/lorac/talk/model", "runtime/sys/signals", "runtime/wire"},
	"cmd/lorac/convert/mindindex": {"cmd/lorac/program", "runtime/data/mindrecord"},
	"cmd/lorac/convert/mindindex/lorac-mindindex": {},
	"cmd/lorac/launch":                            {"cmd/lorac/cache", "cmd/lorac/cli", "cmd/lorac/mpi", "compiler/config", "ir/diag", "runtime", "runtime/comm", "runtime/comm/star", "runtime/exit", "runtime/train", "runtime/sys/atomicfile", "runtime/sys/disk", "runtime/sys/human", "runtime/sys/signals", "runtime/sys/version"},
	"cmd/lorac/mpi":                               {},
	"cmd/lorac/convert/parquet":                   {"cmd/lorac/cache", "cmd/lorac/program", "runtime/sys/atomicfile", "runtime/sys/disk"},
	"cmd/lorac/convert/parquet/lorac-parquet":     {},
	"cmd/lorac/program":                           {"cmd/lorac/cache", "codegen/toolchain", "runtime/sys/disk", "runtime/sys/signals"},
	"cmd/lorac/synthetic":                         {"cmd/lorac/build", "cmd/lorac/convert/formats", "compiler/config", "kernels", "runtime/rng", "runtime/sys/atomicfile", "runtime/weights/naming", "runtime/weights/safetensors"},
	"cmd/release":                                 {"codegen/toolchain", "runtime/sys/human", "runtime/sys/version"},
	"cmd/test":                                    {"cmd/test/testkit"},
	"cmd/test/mpitest":                            {"cmd/lorac/mpi", "cmd/test/testkit"},
	"cmd/test/testkit":                            {"codegen/filelock"},

	"kernels/ascend/ascendtest/cxx": {},
}

// expensive are packages that would make the first build of lorac, which a new user
// waits for, noticeably longer.
var expensive = map[string]string{
	"database/sql":                     "lorac-mindindex has it",
	"github.com/parquet-go/parquet-go": "lorac-parquet has it",
	"crypto/tls":                       "it takes as long as net/http",
	"golang.org/x/sys/unix":            "it is long to download and to compile",
	"github.com/google/pprof/profile":  "its module is larger than all others, and few of its fields are read",
	"go/types":                         "tests may; it takes longer than codegen",
	"net/http":                         "lorac-serve has it",
	"text/template":                    "it keeps all methods of all types",
}

// linked are the packages that one of ours imports, directly and by others of ours.
func linked(imports map[string][]string, from string) (list []string) {
	have := map[string]bool{from: true}
	for list = []string{from}; len(list) > 0; list = list[1:] {
		for _, i := range imports[list[0]] {
			if !have[i] {
				have[i] = true
				list = append(list, i)
			}
		}
	}
	return slices.Collect(maps.Keys(have))
}

func TestLayers(t *testing.T) {
	out, err := testkit.Command(t, "go", "list", "-json=ImportPath,Imports", "lorac/...").Output()
	if err != nil {
		t.Fatal(err)
	}
	dec := json.NewDecoder(strings.NewReader(string(out)))
	seen, imports := 0, map[string][]string{}
	for dec.More() {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := dec.Decode(&p); err != nil {
			t.Fatal(err)
		}
		imports[p.ImportPath] = p.Imports
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
	for name, allowed := range layers { // the driver alone sees both sides
		if name != "cmd/lorac/build" && contains(allowed, "compiler") && contains(allowed, "codegen") {
			t.Errorf("%s sees compiler and codegen", name)
		}
	}
	for _, name := range linked(imports, "lorac/cmd/lorac") {
		if why, ok := expensive[name]; ok {
			t.Errorf("lorac links %s: %s", name, why)
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
