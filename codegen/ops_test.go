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
var replaced = map[string]bool{"repeat": true, "embed_grad": true, "rmsnorm_grad_w": true, "lora_linear_grad": true}

// everyOp is a module whose one function runs the sample of every op.
func everyOp(t *testing.T) *ir.Module {
	t.Helper()
	var body strings.Builder
	var scalars []string
	for i, op := range ir.Ops() {
		if replaced[op.Name] {
			continue
		}
		sample := optest.Samples[op.Name]
		for _, r := range []string{"r", "s", "u"} { // the results of all in one function
			name := fmt.Sprintf("%%%s%d", r, i)
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
	m, err := ir.Parse("every.ir", text+strings.TrimSpace(body.String())+"\n}\n")
	if err != nil {
		t.Fatal(err)
	}
	// Where values lie does not matter here: each gets bytes of its own.
	at := 0
	m.Func("every").EachValue(func(v *ir.Value) {
		if v.Def != nil && v.Type.Rank() > 0 {
			v.Place = &ir.Place{Region: "frame", Offset: at}
			at += ir.AlignUp(v.Type.Bytes(m.MaxEnv()))
		}
	})
	return m
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
	cmd := exec.Command("go", "build", "-mod=vendor", "-o", os.DevNull, "./trainer")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
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
		m, s, err := optest.Parse(op)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range s.Results {
			r.Place = &ir.Place{Region: "frame", Offset: 64 * i}
		}
		if _, err := codegen.Emit(m); err == nil || !strings.Contains(err.Error(), "`"+op+"` has no kernel") {
			t.Errorf("%s: %v", op, err)
		}
	}
}
