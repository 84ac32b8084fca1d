package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/internal/testkit"
	"lorac/ir"
	"lorac/kernels"
)

func smallConfig(t *testing.T, settings map[string]string) *config.Config {
	t.Helper()
	var o []config.Override
	for k, v := range settings {
		o = append(o, config.Override{Path: k, Value: v, Origin: "test"})
	}
	cfg, err := loadConfig("../../configs/stories260K/lora_stories260K.yaml", o)
	if err != nil {
		t.Fatal(err)
	}
	return cfg
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
		r, _, err := compileFor(smallConfig(t, x.settings), target{}, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		env, seen := benchEnv(16), map[string]bool{}
		eachStmt(passes.Root(r.Module), func(s *ir.Stmt, _ float64) {
			shape := shapeOf(s, env)
			if want := x.want[s.Op.Name]; !strings.Contains(shape, want) {
				t.Errorf("%v: %s at %s, want %s", x.settings, s.Op.Name, shape, want)
			}
			seen[s.Op.Name] = true
			if make := benchOps[s.Op.Name]; make != nil {
				make(&benchCase{s: s, env: env})()
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
	defer kernels.SetThreads(kernels.Threads()) // the trainer's flags are read here, --threads too
	dir := t.TempDir()
	cfg := smallConfig(t, map[string]string{"model.model_config.compute_dtype": "bfloat16"})
	full, mem, err := compileFor(cfg, target{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := writeRows(filepath.Join(dir, "rows.jsonl"), 2, 512, cfg.Model.Vocab.V); err != nil {
		t.Fatal(err)
	}
	for limit, choice := range map[int]bool{0: false, mem.Total: false, 20 << 20: true} {
		c, s := &benchCmd{}, &stepRate{Limit: limit, Tokens: 512, Layers: 5}
		r, err := c.limited(s, cfg, full, stepArgs(dir, 1))
		if err != nil {
			t.Fatal(err)
		}
		if (s.Choice != "") != choice {
			t.Errorf("limit %s: choice %q", size(limit), s.Choice)
		}
		if got, _ := r.Module.Setting("memory.limit").(int); choice && got != limit {
			t.Errorf("compiled for %d bytes, not %d", got, limit)
		}
	}
}

// A signal ends the trainer, too, and leaves nothing in the temporary directory,
// which may be given relative to where one is; nohup's has no effect.
func TestBenchInterrupted(t *testing.T) {
	if testing.Short() {
		t.Skip("builds a trainer")
	}
	testkit.DeliverHangup(t)
	for name, x := range map[string]struct {
		start   string
		signals []os.Signal
		said    string
	}{
		"alone": {`exec "$0" "$@"`, []os.Signal{syscall.SIGHUP}, "hangup signal received"},
		"nohup": {`trap "" HUP; exec "$0" "$@"`, []os.Signal{syscall.SIGHUP, syscall.SIGTERM}, "terminated signal received"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			interruptBench(t, x.start, x.signals, x.said)
		})
	}
}

func interruptBench(t *testing.T, start string, signals []os.Signal, want string) {
	dir := t.TempDir()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	relative, err := filepath.Rel(here, dir)
	if err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := testkit.Command(t, "/bin/sh", "-c", start, self, "bench", "../../configs/stories260K/lora_stories260K.yaml", "--only", "step", "--rows", "96", "--steps", "100000")
	cmd.Env = append(os.Environ(), "LORAC_TEST_AS_LORAC=1", "TMPDIR="+relative)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for running := false; !running; { // until the trainer has done a step
		select {
		case err := <-ended:
			t.Fatalf("bench ended by itself: %v\n%s", err, said.String())
		case <-time.After(20 * time.Millisecond):
		}
		list, _ := filepath.Glob(filepath.Join(dir, "lorac-bench-*", "out", "metrics.jsonl"))
		running = len(list) > 0
	}
	trainers := processesOf(dir)
	for i, s := range signals {
		if i > 0 {
			time.Sleep(50 * time.Millisecond) // the one before is seen first, were it seen
		}
		cmd.Process.Signal(s)
	}
	err = <-ended
	var e *exec.ExitError
	if !errors.As(err, &e) || e.ExitCode() != 3 || !strings.Contains(said.String(), want) {
		t.Errorf("%v\n%s", err, said.String())
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%s is left", left[0].Name())
	}
	if left := processesOf(dir); len(left) > 0 {
		t.Errorf("of the processes %v, %v are left", trainers, left)
	}
}

// processesOf are those whose command line names the directory, where /proc tells.
func processesOf(dir string) (ids []int) {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, name := range list {
		if line, _ := os.ReadFile(name); bytes.Contains(line, []byte(dir)) {
			id, _ := strconv.Atoi(filepath.Base(filepath.Dir(name)))
			ids = append(ids, id)
		}
	}
	return ids
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
	f.Close()
	removeKilled()
	first, f, err := benchDir()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	second, g, err := benchDir()
	if err != nil {
		t.Fatal(err)
	}
	defer g.Close()
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
		r        benchReport
		has, not []string
	}{
		{benchReport{Threads: 1, Step: &stepRate{Tokens: 1, Layers: 1, Of: 1, DType: "bf16", Compute: "f32", Steps: 1, Samples: 19}},
			[]string{", 1 thread\n", "a step of 1 live token, 1 layer, synthetic bf16 base, median of 1 step behind", "too short to say where its time went (19 samples"}, []string{"idle", "of the step", "mem_limit", "compute"}},
		{benchReport{Threads: 2, Step: &stepRate{Tokens: 2, Layers: 1, Of: 6, Why: "--layers", DType: "int4", Compute: "int8", Steps: 9, Samples: 20, Serial: long,
			Limit: 64 << 20, Choice: "kept as bf16: x"}},
			[]string{", 2 threads\n", "2 live tokens, 1 of 6 layers (--layers), synthetic int4 base, compute int8, median of 9 steps", "idle 0.00 % of their time\n",
				"for --mem_limit 64.0 MiB: kept as bf16: x\n", "alone: kernels.checkAttention 1.20 %, "}, nil},
		{benchReport{Threads: 2, Kernels: []kernelRate{kernel}}, []string{"150.0 % 1 row, 64×64 i8", "Products in eight bits (i8)"}, []string{"Not measured", "a step of"}},
	} {
		var b bytes.Buffer
		x.r.print(&b)
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
