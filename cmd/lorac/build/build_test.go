package build

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"lorac/cmd/lorac/cli"
	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/runtime/weights/naming"
	"lorac/runtime/weights/safetensors"
)

const cases = "../../../testdata/cases/"

// job is a config with a base of bf16, but for the norms, and some rows of ids.
type job struct {
	t                *testing.T
	cfg              *config.Config
	file, base, rows string
	fill             byte // of which the tensors are made
}

func newJob(t *testing.T, name string, keys ...string) *job {
	t.Helper()
	j := &job{t: t, file: cases + name + "/config.yaml", base: t.TempDir(), rows: filepath.Join(t.TempDir(), "rows.jsonl")}
	var o []config.Override
	for i := 0; i < len(keys); i += 2 {
		o = append(o, config.Override{Path: keys[i], Value: keys[i+1], Origin: "test"})
	}
	var err error
	if j.cfg, err = Load(j.file, o); err != nil {
		t.Fatal(err)
	}
	j.write(func(string) bool { return true })
	rows := `{"input_ids": [1, 5, 6, 7, 8], "labels": [1, 5, 6, 7, 8]}` + "\n" + `{"input_ids": [1, 5, 6], "labels": [1, 5, 6]}` + "\n"
	if err := os.WriteFile(j.rows, []byte(rows), 0o666); err != nil {
		t.Fatal(err)
	}
	return j
}

// write writes the tensors of the base that are wanted.
func (j *job) write(want func(name string) bool) {
	j.t.Helper()
	tensors, err := Tensors(j.cfg)
	if err != nil {
		j.t.Fatal(err)
	}
	var entries []safetensors.Entry
	for _, x := range tensors {
		n, dtype := 2, "BF16"
		if len(x.Shape) == 1 {
			n, dtype = 4, "F32"
		}
		for _, d := range x.Shape {
			n *= d
		}
		if want(x.Name) {
			entries = append(entries, safetensors.Entry{Name: naming.HF(x.Name), DType: dtype, Shape: x.Shape,
				Write: func(w io.Writer) error { _, err := w.Write(bytes.Repeat([]byte{j.fill}, n)); return err }})
		}
	}
	if err := safetensors.Write(filepath.Join(j.base, "model.safetensors"), entries, nil); err != nil {
		j.t.Fatal(err)
	}
}

func (j *job) compile(t Target) *Result {
	j.t.Helper()
	r, err := Compile(j.cfg, t, Options{})
	if err != nil {
		j.t.Fatal(err)
	}
	return r
}

func (j *job) running(limit int) Target {
	return Target{Weights: j.base, Args: []string{"--train_dataset_dir", j.rows}, Runs: true, Limit: limit}
}

// The types of the base and the extents of the data are found out.
func TestCompileForABaseAndData(t *testing.T) {
	j := newJob(t, "two_layers")
	r := j.compile(j.running(0))
	if d := r.Module.Storage("layer.wq.w").Type.DType; d != ir.BF16 {
		t.Errorf("the linears are %s", d)
	}
	if d := r.Module.Storage("norm").Type.DType; d != ir.F32 {
		t.Errorf("the norm is %s", d)
	}
	if env := r.Module.MaxEnv(); env["T"] != 6 || env["N"] != 2 { // a row of n ids is n−1 live tokens
		t.Errorf("extents %v", env)
	}
	if r.Process == nil || r.Process.Total < 1<<20 {
		t.Errorf("memory: %+v", r.Process)
	}
	any := j.compile(Target{Weights: filepath.Join(j.base, "elsewhere")}) // may be where it will run
	if d := any.Module.Storage("layer.wq.w").Type.DType; d != ir.F32 {
		t.Errorf("a base that is not here is %s", d)
	}
	if any.Module.Identity() != r.Module.Identity() { // a checkpoint knows the tensors of its base
		t.Error("a base that is stored in another type makes another graph")
	}
}

// A checkpoint that does not fit is refused, with all that is wrong.
func TestBaseThatDoesNotFit(t *testing.T) {
	j := newJob(t, "two_layers")
	j.write(func(name string) bool { return !strings.Contains(name, "layers.1.") })
	_, err := Compile(j.cfg, Target{Weights: j.base}, Options{})
	if err == nil || !strings.Contains(err.Error(), "does not fit the config") || !strings.Contains(err.Error(), "is missing") || !strings.Contains(err.Error(), "= help:") {
		t.Errorf("layers lack: %v", err)
	}
	set, err := OpenBase(j.base)
	if err != nil {
		t.Fatal(err)
	}
	defer set.Close()
	if err := CheckBase(j.cfg, set, j.base, false); err == nil {
		t.Error("the open checkpoint fits")
	}
	if err := FindBase(j.cfg, ""); err == nil || !strings.Contains(err.Error(), "--load_checkpoint") {
		t.Errorf("no base is given: %v", err)
	}
	if err := FindBase(j.cfg, filepath.Join(j.base, "none")); err == nil {
		t.Error("a base that is not there")
	}
	if err := FindBase(j.cfg, j.base); err != nil {
		t.Error(err)
	}
}

// Biases that the config has no place for are refused with the key that makes one,
// unless they are all zero.
func TestBiasesWithoutAPlace(t *testing.T) {
	biased := newJob(t, "bias")
	j := newJob(t, "bias", "model.model_config.qkv_has_bias", "False", "model.model_config.attn_proj_has_bias", "False", "model.model_config.pet_config.freeze_exclude", "[]")
	if _, err := Compile(j.cfg, Target{Weights: biased.base}, Options{}); err != nil {
		t.Errorf("zeros: %v", err)
	}
	biased.fill = 1
	biased.write(func(string) bool { return true })
	_, err := Compile(j.cfg, Target{Weights: biased.base}, Options{})
	for _, want := range []string{"q_proj.bias is in the checkpoint, the config has no place for it; set qkv_has_bias: True", "o_proj.bias is in the checkpoint, the config has no place for it; set attn_proj_has_bias: True"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, not %s", err, want)
		}
	}
	if _, err := Compile(biased.cfg, Target{Weights: biased.base}, Options{}); err != nil {
		t.Error(err)
	}
}

// Quantised types and their bytes.
func TestBlocks(t *testing.T) {
	j := newJob(t, "quant_int4", "compute", "int8")
	m := j.compile(Target{Weights: j.base}).Module
	if a, b := m.Storage("embed").Type.DType, m.Storage("layer.wq.w").Type.DType; a != ir.Q8_0 || b != ir.I8 {
		t.Errorf("stored as %s and computed as %s", a, b)
	}
	n, err := BlockBytes(j.cfg)
	if err != nil || n == 0 {
		t.Fatal(n, err)
	}
	tensors, _ := Tensors(j.cfg)
	want := 0
	for _, x := range tensors {
		if len(x.Shape) == 1 {
			want += 4 * x.Shape[0]
		} else if per := x.Shape[0] * x.Shape[1] / 32; strings.Contains(x.Name, "layers.") {
			want += 18 * per
		} else {
			want += 34 * per
		}
	}
	if n != want {
		t.Errorf("%d bytes in blocks, want %d", n, want)
	}
	if n, err := BlockBytes(newJob(t, "two_layers").cfg); n != 0 || err != nil {
		t.Errorf("without quant: %d, %v", n, err)
	}
}

// A limit that is too low is explained.
func TestShortfallHelps(t *testing.T) {
	j := newJob(t, "memory_limit")
	_, err := Compile(j.cfg, j.running(1<<20), Options{})
	if err == nil {
		t.Fatal("a limit of one MiB was accepted")
	}
	for _, want := range []string{"more than the limit of 1.0 MiB", "= help: a smaller --batch_size", "--quant int4 saves"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in %v", want, err)
		}
	}
	many := j.running(1 << 20)
	many.Threads = 500
	if _, err = Compile(j.cfg, many, Options{}); err == nil || !strings.Contains(err.Error(), "a thread a core saves") {
		t.Errorf("500 threads: %v", err)
	}
}

// Flags of the trainer that the compiler wants to know.
func TestTargetRead(t *testing.T) {
	var x Target
	err := x.Read([]string{"--load_checkpoint", "w", "--no_progress", "--auto_trans_ckpt", "True", "--src_strategy_path_or_dir", "s", "--run_mode", "eval",
		"--use_past", "False", "--threads", "3", "--mem_limit", "2GiB"})
	if err != nil || x.Weights != "w" || !*x.Trans || x.Layout != "s" || x.Mode != "eval" || !x.Whole || x.Threads != 3 || x.Limit != 2<<30 || !x.Runs {
		t.Errorf("%+v, %v", x, err)
	}
	for _, args := range [][]string{{"--threads", "0"}, {"--threads", "many"}, {"--mem_limit", "much"}} {
		if err := new(Target).Read(args); err == nil || !cli.IsUsage(err) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

// A plan counts what is compiled; more tokens than a micro-batch has are refused.
func TestPlanOf(t *testing.T) {
	j := newJob(t, "two_layers")
	s := Source{Config: j.file}
	p, err := PlanOf(s, j.running(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0
	for _, part := range p.Bytes {
		sum += part.Bytes
	}
	if p.Tokens != 6 || sum != p.Total || p.FLOPs >= p.Unpruned || p.Trainable == 0 || p.Parameters < p.Trainable {
		t.Errorf("%+v", p)
	}
	any, err := PlanOf(s, Target{}, 0)
	if err != nil || any.Tokens != 64 || any.FLOPs <= p.FLOPs {
		t.Errorf("any data: %+v, %v", any, err)
	}
	few, err := PlanOf(s, Target{}, 5)
	if err != nil || few.Tokens != 5 || few.FLOPs >= any.FLOPs {
		t.Errorf("5 tokens: %+v, %v", few, err)
	}
	if _, err := PlanOf(s, Target{}, 65); err == nil || !cli.IsUsage(err) {
		t.Errorf("65 tokens: %v", err)
	}
}

// Dumps of every pass, and a module that is resumed from one.
func TestDump(t *testing.T) {
	j := newJob(t, "two_layers")
	dir := filepath.Join(t.TempDir(), "all")
	s := Source{Config: j.file, Overrides: []config.Override{{Path: "load_checkpoint", Value: j.base, Origin: "test"}}}
	final, steps, err := Dump(s, Target{}, "", dir)
	if err != nil {
		t.Fatal(err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.ir"))
	if len(files) != len(steps)+1 || filepath.Base(files[0]) != "00-model.ir" || filepath.Base(files[1]) != "01-store-types.ir" {
		t.Errorf("%v of %d steps", files, len(steps))
	}
	for last, want := range map[string]string{"model": "f32[vocab", "store-types": "bf16[vocab"} {
		text, _, err := Dump(s, Target{}, last, "")
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("after %s there is no %s: %v", last, want, err)
		}
	}
	for _, file := range files {
		again, _, err := Dump(Source{From: file}, Target{}, "", "")
		if err != nil || again != final {
			t.Errorf("resumed from %s the text differs, %v", file, err)
		}
	}
	if _, err := (&Source{From: files[0]}).Compile(Target{Limit: 1 << 30}); err == nil || !cli.IsUsage(err) {
		t.Errorf("a dump under a limit: %v", err)
	}
	broken := filepath.Join(dir, "broken.ir")
	if err := os.WriteFile(broken, []byte("module x from"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{broken, filepath.Join(dir, "none.ir")} {
		if _, err := (&Source{From: file}).Compile(Target{}); err == nil {
			t.Errorf("%s was compiled", file)
		}
	}
	if _, err := (&Source{Config: filepath.Join(dir, "none.yaml")}).Compile(Target{}); err == nil {
		t.Error("a config that is not there was compiled")
	}
	o := Options{Off: []string{"cse"}, Fuel: map[string]int{"fuse-lora": 1}}
	r, err := Compile(j.cfg, Target{}, o)
	if err != nil || slices.ContainsFunc(r.Steps, func(s passes.Step) bool { return s.Name == "cse" }) {
		t.Errorf("cse is switched off: %v", err)
	}
}
