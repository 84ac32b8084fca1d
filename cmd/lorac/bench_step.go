package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"lorac/codegen"
	"lorac/compiler"
	"lorac/compiler/config"
	"lorac/compiler/passes"
	"lorac/ir"
	"lorac/runtime/checkpoint"
)

// stepRate is a run of the built trainer on synthetic weights and rows.
type stepRate struct {
	Tokens   int       `json:"live_tokens"` // of a step, one sequence, all supervised
	Layers   int       `json:"layers"`
	Of       int       `json:"layers_of_the_config"`
	Why      string    `json:"fewer_layers_because,omitempty"`
	DType    string    `json:"base_dtype"`
	Steps    int       `json:"steps_measured"`
	FLOPs    float64   `json:"useful_flops"` // of a step, as `plan` counts
	Seconds  float64   `json:"seconds_per_step"`
	TokensPS float64   `json:"tokens_per_second"`
	GFLOPS   float64   `json:"useful_gflops"`
	Peak     float64   `json:"fma_gflops"` // sampled before and after the run
	Share    float64   `json:"share"`
	Ops      []opShare `json:"by_op"`
	Serial   []opShare `json:"one_thread_alone"`
	Waiting  float64   `json:"waiting_for_the_last_task"` // share of the step's time
	Idle     float64   `json:"others_idle"`               // share of the other threads' time
}

// step synthesizes weights and data, builds the trainer, runs it and reads
// its metrics and profile.
func (c *benchCmd) step(r *benchReport, cfg *config.Config, m *ir.Module) error {
	tokens := 0
	for _, n := range c.Rows {
		tokens = max(tokens, n)
	}
	tokens = min(tokens, cfg.Model.SeqLength.V)
	s := &stepRate{Tokens: tokens, Of: cfg.Model.Layers.V}
	budget := memoryBudget()
	if c.Layers > 0 {
		s.Layers, s.Why = min(c.Layers, s.Of), "--layers"
	} else {
		s.Layers, s.Why = fitLayers(cfg, m, tokens, r.peak(), budget)
	}
	if s.Layers == s.Of {
		s.Why = ""
	}
	dir, err := os.MkdirTemp("", "lorac-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// The config again, shortened and without what a run would do beside training.
	o := append(c.overrides(),
		config.Override{Path: "model.model_config.num_layers", Value: strconv.Itoa(s.Layers), Origin: "bench"},
		config.Override{Path: "load_checkpoint", Value: "", Origin: "bench"},
		config.Override{Path: "run_mode", Value: "finetune", Origin: "bench"})
	path, _ := c.path()
	if cfg, err = loadConfig(path, o); err != nil {
		return err
	}
	s.DType = cfg.Model.ParamDType.V
	fmt.Fprintf(os.Stderr, "writing %s weights of %d layers to %s\n", s.DType, s.Layers, dir)
	if _, _, err := synthesize(path, o, dir, s.DType, 1); err != nil {
		return err
	}
	res, err := compiler.Compile(cfg, c.options(), nil)
	if err != nil {
		return err
	}
	if err := matchWeights(res.Module, dir, false, ""); err != nil {
		return err
	}
	bin, _, err := codegen.Build(filepath.Join(dir, "build"), res.Module.Name, res.Module)
	if err != nil {
		return err
	}
	for _, w := range passes.Work(res.Module, passes.Root(res.Module), benchEnv(tokens)) {
		s.FLOPs += w.FLOPs
	}
	s.Steps = c.Steps
	if s.Steps == 0 {
		s.Steps = int(min(max(10*r.peak()*1e9*0.6/s.FLOPs, 2), 500))
	}
	if err := writeRows(filepath.Join(dir, "rows.jsonl"), s.Steps+1, tokens, cfg.Model.Vocab.V); err != nil {
		return err
	}
	peaks := samplePeaks(5)
	if err := s.run(bin, dir, r.Threads); err != nil {
		return err
	}
	s.Peak = median(append(peaks, samplePeaks(5)...))
	s.GFLOPS = s.FLOPs / s.Seconds / 1e9
	s.TokensPS = float64(tokens) / s.Seconds
	s.Share = s.GFLOPS / s.Peak
	if err := s.attribute(filepath.Join(dir, "profile"), res.Module, benchEnv(tokens)); err != nil {
		return err
	}
	r.Step = s
	return nil
}

// run takes one step to warm up and the measured ones, and reads the metrics.
func (s *stepRate) run(bin, dir string, threads int) error {
	cmd := exec.Command(bin, "--load_checkpoint", dir, "--train_dataset_dir", filepath.Join(dir, "rows.jsonl"),
		"--output_dir", filepath.Join(dir, "out"), "--threads", strconv.Itoa(threads), "--batch_size", "1", "--gradient_accumulation_steps", "1",
		"--sink_mode", "False", "--save_checkpoint_steps", "0", "--epochs", "1", "--do_eval", "False", "--no_progress",
		"--profile", filepath.Join(dir, "profile"))
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("the trainer failed: %w\n%s", err, text)
	}
	f, err := os.Open(filepath.Join(dir, "out", "metrics.jsonl"))
	if err != nil {
		return err
	}
	defer f.Close()
	var seconds []float64
	for in := bufio.NewScanner(f); in.Scan(); {
		var line struct {
			Step   int     `json:"step"`
			Tokens int     `json:"tokens"`
			Speed  float64 `json:"tokens_per_second"`
		}
		if err := json.Unmarshal(in.Bytes(), &line); err != nil {
			return fmt.Errorf("%s: %w", f.Name(), err)
		}
		if line.Tokens != s.Tokens {
			return fmt.Errorf("BUG: bench: a step had %d live tokens, not %d", line.Tokens, s.Tokens)
		}
		if line.Step > 1 {
			seconds = append(seconds, float64(line.Tokens)/line.Speed)
		}
	}
	if len(seconds) == 0 {
		return fmt.Errorf("BUG: bench: the trainer measured no step")
	}
	s.Steps, s.Seconds = len(seconds), median(seconds)
	return nil
}

// writeRows makes rows of random ids; a row of n+1 ids is n live tokens.
func writeRows(path string, rows, n, vocab int) error {
	return checkpoint.WriteFile(path, func(w io.Writer) error {
		ids := make([]int32, n+1)
		for r := range rows {
			for i := range ids {
				ids[i] = int32(3 + splitmix(uint64(r*(n+1)+i))%uint64(vocab-3))
			}
			line, err := json.Marshal(map[string][]int32{"input_ids": ids})
			if err != nil {
				return err
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	})
}

// fitLayers is how many layers leave half the memory free and let a step take
// no more than some ten seconds, and what forbade more.
func fitLayers(cfg *config.Config, m *ir.Module, tokens int, peak float64, memory int) (int, string) {
	layers := cfg.Model.Layers.V
	least := min(layers, 2)
	var weights, kept float64
	for _, s := range m.Storages {
		if s.Stack != nil && s.Kind != ir.Cache {
			weights += float64(s.Type.Bytes(nil)) // of a layer
		}
	}
	env := benchEnv(tokens)
	eachCallee(passes.Root(m), func(f *ir.Func) {
		n := 0
		for _, v := range f.Keep {
			n += v.Type.Bytes(env)
		}
		kept = math.Max(kept, float64(n))
	})
	flops := 0.0
	for _, w := range passes.Work(m, passes.Root(m), env) {
		flops += w.FLOPs
	}
	byMemory := int(float64(memory) / 2 / (weights + kept))
	byTime := int(12 * peak * 1e9 * 0.6 / (flops / float64(layers)))
	switch {
	case layers <= byMemory && layers <= byTime:
		return layers, ""
	case byMemory < byTime:
		return max(byMemory, least), "half of the free memory"
	}
	return max(byTime, least), "a step of all would take over ten seconds"
}

func eachCallee(f *ir.Func, visit func(*ir.Func)) {
	if f == nil {
		return
	}
	for _, s := range f.Body {
		if s.Callee != nil {
			visit(s.Callee)
			eachCallee(s.Callee, visit)
		}
	}
}

// memoryBudget is what the machine has left, by /proc/meminfo, or 4 GiB.
func memoryBudget() int {
	text, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemAvailable:" {
			if n, err := strconv.Atoi(f[1]); err == nil {
				return n << 10
			}
		}
	}
	return 4 << 30
}

// procCPU is the model name in /proc/cpuinfo.
func procCPU() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

func (r *benchReport) peak() float64 { return r.Machine[len(r.Machine)-1].Peak }
