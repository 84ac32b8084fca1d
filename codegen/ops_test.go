package codegen_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"lorac/codegen"
	"lorac/ir"
	"lorac/ir/op/optest"
	"lorac/kernels"
)

// replaced are the ops that no program holds: a pass puts others in their place.
var replaced = map[string]bool{"repeat": true, "embed_grad": true, "rmsnorm_grad_w": true, "sum_rows": true, "scale_cols_grad_m": true, "lora_linear_grad": true}

// entry makes a program of the module.
const entry = `
entry func loss(%tokens: i32[T], %rows: i32[S], %targets: i32[S], %weights: f32[S]) -> (%loss) {
  %x = embed %tokens, $w : f32[T,4] @3:4
  %live = gather_rows %x, %rows : f32[S,4] @3:4
  %loss = head_loss %live, $w, %targets, %weights : f32[] @3:4
}
`

// everyOp is a module whose one function runs the sample of every op.
func everyOp(t *testing.T) *ir.Module {
	t.Helper()
	var body strings.Builder
	var scalars []string
	var narrowed string
	for i, op := range ir.Ops() {
		if replaced[op.Name] || optest.OfMesh[op.Name] {
			continue
		}
		sample := optest.Samples[op.Name]
		if op.Name == "widen" { // what it widens was narrowed before
			sample = strings.Replace(sample, "%x", narrowed, 1)
		}
		for _, r := range []string{"r", "s", "u"} { // the results of all in one function
			name := fmt.Sprintf("%%%s%d", r, i)
			if op.Name == "narrow" && r == "r" {
				narrowed = name
			}
			sample = strings.ReplaceAll(sample+" ", "%"+r+" ", name+" ")
			sample = strings.ReplaceAll(sample, "%"+r+",", name+",")
			if strings.Contains(sample, name+" = ") && strings.Contains(sample, " : f32[]") && r == "r" || r == "r" && op.Name == "head_loss" {
				scalars = append(scalars, name)
			}
		}
		body.WriteString("  " + sample + "@3:4\n")
	}
	text := strings.Replace(optest.Header, "entry func main(", "func every[%index](", 1)
	text = strings.Replace(text, "-> ()", "-> ("+strings.Join(scalars, ", ")+")", 1)
	m, err := ir.Parse("every.ir", text+strings.TrimSpace(body.String())+"\n}\n"+entry)
	if err != nil {
		t.Fatal(err)
	}
	place(m)
	return m
}

// place gives each value bytes of its own: where they are does not matter here.
func place(m *ir.Module) {
	at := 0
	for _, f := range m.Funcs {
		f.EachValue(func(v *ir.Value) {
			if v.Def != nil && v.Type.Rank() > 0 {
				v.Place = &ir.Place{Region: "frame", Offset: at}
				at += ir.AlignUp(v.Type.Bytes(m.MaxEnv()), ir.Align)
			}
		})
	}
}

// TestEveryOpCompiles: each op of the registry but the replaced ones becomes a
// call that the kernels have with these arguments.
func TestEveryOpCompiles(t *testing.T) {
	m := everyOp(t)
	context := reflect.TypeFor[*kernels.Context]()
	for _, s := range m.Func("every").Body {
		if _, ok := context.MethodByName(s.KernelName()); !ok {
			t.Errorf("op %s runs kernel %q, which the kernels do not have", s.Op.Name, s.KernelName())
		}
	}
	tree, err := codegen.Tree(m)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range tree {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command("go", "build", "-mod=vendor", "-trimpath", "-o", os.DevNull, "./trainer")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, tree["trainer/forward.go"])
	}
}

// TestReplacedOps: those say so instead of a program that does not build.
func TestReplacedOps(t *testing.T) {
	for op := range replaced {
		if op == "repeat" {
			continue
		}
		m, err := ir.Parse(op, optest.Header+optest.Samples[op]+" @3:4\n}\n"+entry)
		if err != nil {
			t.Fatal(err)
		}
		place(m)
		if _, err := codegen.Emit(m); err == nil || !strings.Contains(err.Error(), "`"+op+"` has no kernel") {
			t.Errorf("%s: %v", op, err)
		}
	}
}
