package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/format"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/lorac/build"
	"lorac/cmd/test/testkit"
	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/ir"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata/cases")

const casesDir = root + "/testdata/cases"

// goldenCases are the folders of testdata/cases with the config each is made
// from: one of the shipped ones, or a small one of its own.
var goldenCases = []struct {
	name, config string
	builds       bool // the emitted module is built and vetted, too
}{
	{"two_layers", casesDir + "/two_layers/config.yaml", true},
	{"bias", casesDir + "/bias/config.yaml", true},
	{"full", casesDir + "/full/config.yaml", true},
	{"llama2_7b", root + "/configs/llama2/lora_llama2_7b.yaml", false},
	{"llama2_13b", root + "/configs/llama2/lora_llama2_13b.yaml", false},
	{"stories260K", root + "/configs/stories260K/lora_stories260K.yaml", true},
	{"quant_int4", casesDir + "/quant_int4/config.yaml", true},
	{"compute_int8", casesDir + "/compute_int8/config.yaml", true},
	{"memory_limit", casesDir + "/memory_limit/config.yaml", true},
	{"fitted", casesDir + "/fitted/config.yaml", true},
	{"came", casesDir + "/came/config.yaml", true},
	{"ascend_gqa", casesDir + "/ascend_gqa/config.yaml", true},
	{"ascend_7b", root + "/configs/llama2/lora_llama2_7b.yaml", false},
}

// compileFile is YAML to module, for the target that target.json next to the
// config states.
func compileFile(t *testing.T, path string) *compiler.Result {
	t.Helper()
	return compileFor(t, path, filepath.Dir(path))
}

// compileFor is YAML to module, for the target that target.json in a directory
// states: goldens depend on no machine.
func compileFor(t *testing.T, path, dir string) *compiler.Result {
	t.Helper()
	cfg, list := config.Load(path, nil)
	if cfg == nil {
		t.Fatal(list)
	}
	target := compiler.Target{Blocks: build.BlockType}
	if text, err := os.ReadFile(filepath.Join(dir, "target.json")); err == nil {
		if err := json.Unmarshal(text, &target); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
	}
	r, err := compiler.Compile(cfg, &target)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestCases compares what the compiler makes of a config, to the byte, with
// the folder of the case: the final module, what each pass did, the program.
func TestCases(t *testing.T) {
	for _, c := range goldenCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join(casesDir, c.name)
			got := caseFiles(t, compileFor(t, c.config, dir))
			if again := caseFiles(t, compileFor(t, c.config, dir)); !maps.EqualFunc(got, again, bytes.Equal) {
				t.Error("compiled twice, the texts differ")
			}
			if *update {
				rewriteCase(t, dir, got)
			}
			compareCase(t, dir, got)
		})
	}
}

// TestCaseFolders holds the table and the directory together: no folder that
// nothing makes.
func TestCaseFolders(t *testing.T) {
	dirs, err := os.ReadDir(casesDir)
	if err != nil {
		t.Fatal(err)
	}
	var have, want []string
	for _, d := range dirs {
		have = append(have, d.Name())
	}
	for _, c := range goldenCases {
		want = append(want, c.name)
	}
	slices.Sort(want)
	if !slices.Equal(have, want) {
		t.Errorf("testdata/cases has %v, the table %v", have, want)
	}
}

// caseFiles is every golden of a case by its path in the folder.
func caseFiles(t *testing.T, r *compiler.Result) map[string][]byte {
	t.Helper()
	program, err := codegen.Emit(r.Module)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{"module.ir": []byte(r.Module.String()), "stats.txt": statsText(r)}
	for name, text := range program {
		files["trainer/"+name] = text
	}
	return files
}

// statsText is what each pass did and left; no timings, so it is the same on
// every machine.
func statsText(r *compiler.Result) []byte {
	var b bytes.Buffer
	for _, s := range r.Steps {
		fmt.Fprintf(&b, "%s: rewrites %d, statements %d, FLOPs %.0f, bytes kept %d\n",
			s.Name, s.Rewrites, s.After.Statements, s.After.FLOPs, s.After.KeptBytes)
	}
	return b.Bytes()
}

func rewriteCase(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(dir, "trainer")); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

func compareCase(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		old, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
		if err != nil {
			t.Errorf("%v; run go test ./cmd/lorac -run TestCases -update", err)
			continue
		}
		if !bytes.Equal(old, files[name]) {
			t.Errorf("%s is stale; if the change is meant, run go test ./cmd/lorac -run TestCases -update\n%s", name, firstDifference(string(old), string(files[name])))
		}
	}
	stale, _ := filepath.Glob(filepath.Join(dir, "trainer", "*"))
	for _, path := range stale {
		if _, ok := files["trainer/"+filepath.Base(path)]; !ok {
			t.Errorf("%s is not emitted any more", path)
		}
	}
}

// firstDifference shows the first lines that differ, with one before them.
func firstDifference(old, now string) string {
	a, b := strings.Split(old, "\n"), strings.Split(now, "\n")
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	var out strings.Builder
	fmt.Fprintf(&out, "line %d:\n", i+1)
	show := func(sign string, lines []string, from, to int) {
		for _, l := range lines[max(from, 0):max(min(to, len(lines)), 0)] {
			fmt.Fprintf(&out, "%s %s\n", sign, l)
		}
	}
	show(" ", a, i-1, i)
	show("-", a, i, i+3)
	show("+", b, i, i+3)
	return out.String()
}

// TestEmittedFormatted holds for every shipped config: what is emitted is as
// gofmt would have it.
func TestEmittedFormatted(t *testing.T) {
	shipped, err := filepath.Glob(root + "/configs/*/*.yaml")
	if err != nil || len(shipped) < 6 {
		t.Fatalf("%d shipped configs, %v", len(shipped), err)
	}
	for _, path := range append(shipped, casesDir+"/two_layers/config.yaml", casesDir+"/full/config.yaml", casesDir+"/ascend_gqa/config.yaml") {
		files, err := codegen.Emit(compileFile(t, path).Module)
		if err != nil {
			t.Fatal(err)
		}
		for name, text := range files {
			clean, err := format.Source(text)
			if err != nil {
				t.Errorf("%s of %s: %v", name, path, err)
			} else if !bytes.Equal(clean, text) {
				t.Errorf("%s of %s is not as gofmt has it\n%s", name, path, firstDifference(string(text), string(clean)))
			}
		}
	}
}

// TestCaseVetted builds emitted modules where nothing of this repository is in
// sight and no network answers, and has go vet read them, vendored sources of
// ours included.
func TestCaseVetted(t *testing.T) {
	for _, c := range goldenCases {
		if !c.builds {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeModule(t, dir, compileFor(t, c.config, filepath.Join(casesDir, c.name)).Module)
			for _, args := range [][]string{{"build", "-mod=vendor", "-trimpath", "-o", filepath.Join(dir, "bin"), "./trainer"}, {"vet", "-mod=vendor", "-trimpath", "./trainer"}} {
				cmd := testkit.Command(t, "go", args...)
				cmd.Dir = dir
				cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOPROXY=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0")
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Errorf("go %s: %v\n%s", strings.Join(args, " "), err, out)
				}
			}
		})
	}
}

// TestCaseOnServers builds and vets a trainer for Ascend for the processors that
// servers with such cards have.
func TestCaseOnServers(t *testing.T) {
	testkit.Slow(t, "systems")
	dir := t.TempDir()
	writeModule(t, dir, compileFile(t, casesDir+"/ascend_gqa/config.yaml").Module)
	for _, arch := range []string{"amd64", "arm64"} {
		for _, args := range [][]string{{"build", "-mod=vendor", "-trimpath", "-o", filepath.Join(dir, arch), "./trainer"}, {"vet", "-mod=vendor", "./..."}} {
			cmd := testkit.Command(t, "go", args...)
			cmd.Dir = dir
			cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "GOPROXY=off", "GOTOOLCHAIN=local", "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%s: go %s: %v\n%s", arch, strings.Join(args, " "), err, out)
			}
		}
	}
}

func writeModule(t *testing.T, dir string, m *ir.Module) {
	t.Helper()
	tree, err := codegen.Tree(m)
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range tree {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// TestFinalModules states what must not be there: no gradient of a frozen
// weight anywhere, no dense score matrix, and a dump that parses back to
// itself.
func TestFinalModules(t *testing.T) {
	for _, c := range goldenCases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m := compileFor(t, c.config, filepath.Join(casesDir, c.name)).Module
			text := m.String()
			back, err := ir.Parse("module.ir", text)
			if err != nil {
				t.Fatal(err)
			}
			if back.String() != text {
				t.Errorf("the module does not print as it was parsed\n%s", firstDifference(text, back.String()))
			}
			trains := map[string]bool{}
			for _, s := range m.Storages {
				if s.Kind == ir.Param && s.Trainable {
					trains[s.Name] = true
				}
			}
			if len(trains) == 0 {
				t.Error("nothing trains")
			}
			grads := 0
			for _, s := range m.Storages {
				if s.Kind != ir.Grad {
					continue
				}
				grads++
				if of := s.Attrs.Str("of"); !trains[of] {
					t.Errorf("%s is the gradient of %s, which does not train", s.Name, of)
				}
			}
			if grads != len(trains) {
				t.Errorf("%d gradients of %d parameters that train", grads, len(trains))
			}
			for _, f := range m.Funcs {
				f.EachValue(func(v *ir.Value) {
					tokens := 0
					for _, d := range v.Type.Shape {
						if d.Sym == "T" {
							tokens++
						}
					}
					if tokens > 1 {
						t.Errorf("%s in %s has more than one dimension of tokens", v, f.Name)
					}
				})
			}
		})
	}
}
