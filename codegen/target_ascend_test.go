package codegen_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/ir"
)

// compileAscend is compile for a card.
func compileAscend(t *testing.T, text string) *ir.Module {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sized.yaml")
	if err := os.WriteFile(path, []byte(text), 0o666); err != nil {
		t.Fatal(err)
	}
	c, list := config.Load(path, nil)
	if c == nil {
		t.Fatal(list)
	}
	r, err := compiler.Compile(c, &compiler.Target{Ascend: &passes.Ascend{SoC: "910b3"}})
	if err != nil {
		t.Fatal(err)
	}
	return r.Module
}

// wide has sizes that a card takes.
var wide = sizes{layers: 3, heads: 4, kvHeads: 2, rank: 4, hidden: 64, ffn: 176, vocab: 96, seq: 32}

// sameText are the differences of a program for Ascend, beside white space: imports,
// types of tensors, copies of adapters, and what messages of faults need.
var sameText = []struct{ from, to string }{
	{`(?m)^\s*//.*$`, ""},
	{`"lorac/(kernels|runtime)/ascend"`, `"lorac/$1"`},
	{`Half\(k\.BF16, `, `Mat(`},
	{`(\.w\w+[AB])(Low|Scaled)\b`, `$1`},
	{`Scale: 1\b`, `Scale: loraScale`},
	{`m\.k\.Layer\(i\)`, ""},
	{`,?\s+`, " "},
	{`, ([)}])`, "$1"},
	{`([({]) `, "$1"},
	{` ([)}])`, "$1"},
}

func plain(text string) string {
	for _, c := range sameText {
		text = regexp.MustCompile(c.from).ReplaceAllString(text, c.to)
	}
	return strings.ReplaceAll(text, " m.k.", "\nm.k.")
}

// TestAscendText: the forward of a program for Ascend is that for the CPU but for
// what sameText lists.
func TestAscendText(t *testing.T) {
	cpu := regexp.MustCompile(`(?s)// (layerNext|next)\w* \(.*?\n}\n`).ReplaceAllString(emit(t, compile(t, wide.yaml()))["forward.go"], "")
	npu := emit(t, compileAscend(t, wide.yaml()))
	if x, y := plain(cpu), plain(npu["forward.go"]); x != y {
		t.Errorf("the forward differs:\n%s", firstDifference(x, y))
	}
	for name, text := range npu {
		if strings.Contains(text, `"lorac/kernels"`) || strings.Contains(text, `"lorac/runtime"`) {
			t.Errorf("%s links the packages of the CPU", name)
		}
		for _, line := range strings.Split(text, "\n") {
			if n := len([]rune(strings.ReplaceAll(line, "\t", "    "))); n > 120 {
				t.Errorf("%s has a line of %d columns: %s", name, n, line)
			}
		}
	}
	for _, want := range []string{"//go:embed backward.go forward.go update.go\nvar program embed.FS\n", "rt.Main(&job, run, program)", `Device:         "ascend"`} {
		if !strings.Contains(npu["main.go"], want) {
			t.Errorf("main.go has no %q\n%s", want, npu["main.go"])
		}
	}
	if !strings.Contains(npu["model.go"], "run.Copy(m.allLayerWqA, k.BF16, loraScale)") {
		t.Errorf("model.go makes no copies\n%s", npu["model.go"])
	}
}

// TestAscendOver: a program of several processes has another main.go by one line and its
// import.
func TestAscendOver(t *testing.T) {
	m := compileAscend(t, wide.yaml())
	one := emit(t, m)
	m.Settings = append(m.Settings, &ir.Setting{Key: "over", Val: "hccl"})
	many := emit(t, m)
	for name := range one {
		if name != "main.go" && afterHeader(one[name]) != afterHeader(many[name]) {
			t.Errorf("%s differs", name)
		}
	}
	want := strings.NewReplacer("rt.Main(&job,", "rt.MainOver(hccl.Join, &job,", "\t\"embed\"\n", "\t\"embed\"\n\n").Replace(one["main.go"])
	got := strings.Replace(strings.Replace(many["main.go"], "\tOver:           \"hccl\",\n", "", 1), "\thccl \"lorac/runtime/comm/hccl\"\n", "", 1)
	if squeeze(afterHeader(got)) != squeeze(afterHeader(want)) {
		t.Errorf("main.go differs:\n%s", firstDifference(squeeze(afterHeader(want)), squeeze(afterHeader(got))))
	}
}

// afterHeader is a file without its first line, which names the module.
func afterHeader(text string) string {
	_, text, _ = strings.Cut(text, "\n")
	return text
}

// squeeze leaves one blank where there is white space.
func squeeze(text string) string { return strings.Join(strings.Fields(text), " ") }

// TestAscendTree: only trainers for a device carry what opens C libraries, with its
// licence.
func TestAscendTree(t *testing.T) {
	cpu, err := codegen.Tree(compile(t, wide.yaml()))
	if err != nil {
		t.Fatal(err)
	}
	npu, err := codegen.Tree(compileAscend(t, wide.yaml()))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"lorac/kernels/ascend/context.go", "lorac/runtime/ascend/main.go", "lorac/runtime/device/device.go", "lorac/runtime/sys/dl/dl.go", "lorac/runtime/comm/hccl/link.go", "lorac/runtime/comm/star/join.go",
		"github.com/ebitengine/purego/LICENSE", "github.com/ebitengine/purego/dlfcn.go"} {
		if npu["vendor/"+name] == nil {
			t.Errorf("a trainer for Ascend has no %s", name)
		}
		if cpu["vendor/"+name] != nil {
			t.Errorf("a trainer for the CPU has %s", name)
		}
	}
	for name := range npu {
		if strings.HasSuffix(name, "_test.go") || strings.Contains(name, "/csrc/") || strings.HasSuffix(name, "/embed.go") {
			t.Errorf("a trainer for Ascend has %s", name)
		}
	}
	if !strings.Contains(string(npu["go.mod"]), "purego") || strings.Contains(string(cpu["go.mod"]), "purego") {
		t.Errorf("go.mod of the two:\n%s\n%s", npu["go.mod"], cpu["go.mod"])
	}
}

// TestAscendRefuses: an op without a kernel there says so.
func TestAscendRefuses(t *testing.T) {
	m := compileAscend(t, wide.yaml())
	for _, s := range m.Func("update").Body {
		if s.Op.Name == "adamw" {
			s.Op = ir.Lookup("adam")
		}
	}
	if _, err := codegen.Emit(m); err == nil || !strings.Contains(err.Error(), "op `adam` in `update` has no kernel on Ascend\n  = help: compile with --device cpu") {
		t.Errorf("%v", err)
	}
}

// TestBuildHereAscend: the module of others is beside the common sources.
func TestBuildHereAscend(t *testing.T) {
	fakeGo(t)
	dir, common := t.TempDir(), filepath.Join(t.TempDir(), "sources")
	if _, _, err := codegen.BuildHere(dir, "toy", compileAscend(t, wide.yaml()), common); err != nil {
		t.Fatal(err)
	}
	list, _ := filepath.Glob(filepath.Join(common, "*", "purego", "go.mod"))
	if len(list) != 1 {
		t.Fatalf("%v", list)
	}
	mod := read(t, dir, ".build", "go.mod")
	if want := "replace github.com/ebitengine/purego => \"" + filepath.Dir(list[0]) + "\"\n"; !strings.Contains(mod, want) || !strings.Contains(mod, "require github.com/ebitengine/purego v") {
		t.Errorf("%q is not in\n%s", want, mod)
	}
}
