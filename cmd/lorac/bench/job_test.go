package bench

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/synthetic"
	"lorac/cmd/test/testkit"
	"lorac/compiler/config"
	"lorac/compiler/cost"
	"lorac/ir"
	"lorac/kernels"
	"lorac/runtime/sys/human"
)

func smallConfig(t *testing.T, settings map[string]string) *config.Config {
	t.Helper()
	cfg, err := build.Load("../../../configs/stories260K/lora_stories260K.yaml", overrides(settings))
	if err != nil {
		t.Fatal(err)
	}
	return cfg
}

func overrides(settings map[string]string) (o []config.Override) {
	for k, v := range settings {
		o = append(o, config.Override{Path: k, Value: v, Origin: "test"})
	}
	return o
}

// The kernels that are measured are those of the job: its products are in blocks
// with quant, in eight bits with compute, and all of them can be called.
func TestBenchKernelsOfTheJob(t *testing.T) {
	for _, x := range []struct {
		settings map[string]string
		want     map[string]string // a type in the shape, by op
	}{
		{nil, map[string]string{"lora_linear": "f32"}},
		{map[string]string{"quant": "int4"}, map[string]string{"lora_linear": "q4_0", "add_matmul": "q4_0", "head_loss": "q8_0", "embed": "q8_0"}},
		{map[string]string{"quant": "int8"}, map[string]string{"lora_linear": "q8_0", "add_matmul": "q8_0", "head_loss": "q8_0"}},
		{map[string]string{"compute": "int8"}, map[string]string{"lora_linear": "i8", "lora_linear_grad_acc": "i8", "add_matmul": "i8"}},
		{map[string]string{"compute": "int8", "quant": "int4"}, map[string]string{"lora_linear": "i8", "add_matmul": "i8", "head_loss": "q8_0"}},
	} {
		r, err := build.Compile(smallConfig(t, x.settings), build.Target{}, build.Options{})
		if err != nil {
			t.Fatal(err)
		}
		k := kernels.New(0)
		defer k.Close()
		env, seen := benchEnv(16), map[string]bool{}
		cost.Each(cost.Root(r.Module), func(s *ir.Stmt, _ int) {
			shape := shapeOf(s, env)
			if want := x.want[s.Op.Name]; !strings.Contains(shape, want) {
				t.Errorf("%v: %s at %s, want %s", x.settings, s.Op.Name, shape, want)
			}
			seen[s.Op.Name] = true
			if make := benchOps[s.Op.Name]; make != nil {
				make(&benchCase{k: k, s: s, env: env})()
			}
		})
		for op := range x.want {
			if !seen[op] {
				t.Errorf("%v: no %s", x.settings, op)
			}
		}
	}
}

// A step is compiled for the limit that is given; its useful work stays that of
// the graph that computes nothing twice.
func TestBenchUnderALimit(t *testing.T) {
	dir := t.TempDir()
	cfg := smallConfig(t, map[string]string{"model.model_config.compute_dtype": "bfloat16"})
	full, err := build.Compile(cfg, build.Target{}, build.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := synthetic.Rows(filepath.Join(dir, "rows.jsonl"), 2, 512, cfg.Model.Vocab.V); err != nil {
		t.Fatal(err)
	}
	for limit, choice := range map[int]bool{0: false, full.Process.Total: false, 21 << 20: true} {
		c, s := &Options{}, &stepRate{Limit: limit, Tokens: 512, Layers: 5}
		r, err := c.limited(s, cfg, full, stepArgs(dir, 1))
		if err != nil {
			t.Fatal(err)
		}
		if (s.Choice != "") != choice {
			t.Errorf("limit %s: choice %q", human.Bytes(limit), s.Choice)
		}
		if got, _ := r.Module.Setting("memory.limit").(int); choice && got != limit {
			t.Errorf("compiled for %d bytes, not %d", got, limit)
		}
	}
}

// Weights are no longer written once a signal has come.
func TestWriteBaseUntil(t *testing.T) {
	cfg := smallConfig(t, nil)
	ctx, stop := context.WithCancel(context.Background())
	stop()
	dir := t.TempDir()
	if err := writeBase(ctx, cfg, dir); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%s is left", left[0].Name())
	}
}

// A temporary directory that cannot be used is named, and so is what says it.
func TestTempDir(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, file + "/no", "no/such"} {
		t.Setenv("TMPDIR", dir)
		full, _ := filepath.Abs(dir)
		if _, err := tempDir(); err == nil || !strings.Contains(err.Error(), "directory, "+full+": ") || !strings.Contains(err.Error(), "= help: TMPDIR") {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// A directory of a bench that was killed goes, one in use stays.
func TestBenchDir(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	killed, f, err := benchDir()
	if err != nil {
		t.Fatal(err)
	}
	f.Unlock()
	removeKilled()
	first, f, err := benchDir()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Unlock()
	second, g, err := benchDir()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Unlock()
	removeKilled()
	for dir, there := range map[string]bool{killed: false, first: true, second: true} {
		if _, err := os.Stat(dir); (err == nil) != there {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// What people read says what was run, in lines that fit a terminal, in good
// English for one of a thing, too.
func TestBenchPrint(t *testing.T) {
	long := []opShare{{Name: "kernels.checkAttention", Share: 0.012}, {Name: "(*metrics).add", Share: 0.011}, {Name: "kernels.LoRALinearGrad", Share: 0.01}}
	kernel := kernelRate{Op: "lora_linear", Shape: "1 row, 64×64 i8 + rank 4", Rows: 1, Share: 1.5, ShareOf: ofPeak, GFLOPS: 300}
	for _, x := range []struct {
		r        Report
		has, not []string
	}{
		{Report{Threads: 1, Step: &stepRate{Tokens: 1, Layers: 1, Of: 1, DType: "bf16", Compute: "f32", Steps: 1, Samples: 19}},
			[]string{", 1 thread\n", "a step of 1 live token, 1 layer, synthetic bf16 base, median of 1 step after", "too short to say where its time went (19 samples"}, []string{"idle", "of the step", "mem_limit", "compute"}},
		{Report{Threads: 2, Step: &stepRate{Tokens: 2, Layers: 1, Of: 6, Why: "--layers", DType: "int4", Compute: "int8", Steps: 9, Samples: 20, Serial: long,
			Limit: 64 << 20, Choice: "kept as bf16: x"}},
			[]string{", 2 threads\n", "2 live tokens, 1 of 6 layers (--layers), synthetic int4 base, compute int8, median of 9 steps", "idle 0.00 % of their time\n",
				"for --mem_limit 64.0 MiB: kept as bf16: x\n", "alone: kernels.checkAttention 1.20 %, "}, nil},
		{Report{Threads: 2, Kernels: []kernelRate{kernel}}, []string{"150.0 % 1 row, 64×64 i8", "Products in eight bits (i8)"}, []string{"Not measured", "a step of"}},
	} {
		var b bytes.Buffer
		x.r.Print(&b)
		text := b.String()
		for _, want := range x.has {
			if !strings.Contains(text, want) {
				t.Errorf("%q is not in\n%s", want, text)
			}
		}
		for _, no := range x.not {
			if strings.Contains(text, no) {
				t.Errorf("%q is in\n%s", no, text)
			}
		}
		for line := range strings.Lines(text) {
			if n := len([]rune(line)); n > 130 {
				t.Errorf("%d columns: %s", n, line)
			}
		}
		if !strings.HasSuffix(text, "\n") {
			t.Errorf("no line ends the report:\n%s", text)
		}
	}
}

// What a step is said to need is what it leaves in its directory.
func TestDiskSpace(t *testing.T) {
	if testing.Short() {
		t.Skip("builds trainers")
	}
	for file, settings := range map[string]map[string]string{
		"stories260K/finetune_stories260K.yaml": {"callbacks": "[{type: CheckpointMonitor, checkpoint_format: ckpt}]"},
		"stories15M/lora_stories15M.yaml":       {"quant": "int4", "compute": "int8"},
	} {
		steps := 300
		c := &Options{Config: "../../../configs/" + file, Overrides: overrides(settings), Rows: []int{64}, Steps: &steps}
		if strings.Contains(file, "15M") {
			if steps = 3; !testkit.Wanted("memory") {
				continue
			}
		}
		k := kernels.New(1)
		defer k.Close()
		r := &Report{Threads: 1, Machine: []limits{{Threads: 1, Peak: 10}}, k: k}
		cfg, err := c.loadAs()
		if err != nil {
			t.Fatal(err)
		}
		m, err := build.Compile(cfg, build.Target{}, build.Options{})
		if err != nil {
			t.Fatal(err)
		}
		job, err := c.prepare(r, cfg, m.Module)
		if err != nil {
			t.Fatal(err)
		}
		said, err := job.bytes()
		if err != nil {
			t.Fatal(err)
		}
		dir := t.TempDir()
		if err := c.runStep(context.Background(), job, r, dir); err != nil {
			t.Fatal(err)
		}
		var data, built int
		filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
			info, e := d.Info()
			switch {
			case err != nil || e != nil:
				t.Error(err, e)
			case d.IsDir():
			case strings.HasPrefix(path, filepath.Join(dir, "build")):
				built += int(info.Size())
			default:
				data += int(info.Size())
			}
			return nil
		})
		if want := float64(data); math.Abs(float64(said-buildBytes)-want) > 0.05*want {
			t.Errorf("%s: %d bytes are needed, %d were written", file, said-buildBytes, data)
		}
		if built > 11<<20 {
			t.Errorf("%s: the build takes %d bytes", file, built)
		}
	}
}

// Layers that memory has no place for are refused, as a run of them would be.
func TestBenchMemory(t *testing.T) {
	was := free
	defer func() { free = was }()
	layers := 3
	o := Options{Config: "../../../configs/stories260K/lora_stories260K.yaml", Layers: &layers}
	cfg := smallConfig(t, nil)
	r, err := build.Compile(cfg, build.Target{}, build.Options{})
	if err != nil {
		t.Fatal(err)
	}
	report := &Report{Machine: []limits{{Peak: 100}}, Threads: 2}
	free = func() (int, string) { return 1 << 20, "memory.max of control group /pod" }
	_, err = o.prepare(report, cfg, r.Module)
	if err == nil || !strings.Contains(err.Error(), "a step of 3 layers and 512 tokens takes about ") || !strings.Contains(err.Error(), "and there are 1.0 MiB (memory.max of control group /pod)\n  = help: fewer --layers") {
		t.Error(err)
	}
	free = func() (int, string) { return 1 << 40, "the free memory of the machine" }
	if _, err := o.prepare(report, cfg, r.Module); err != nil {
		t.Error(err)
	}
}
