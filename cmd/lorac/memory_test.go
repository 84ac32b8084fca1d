package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"lorac/cmd/lorac/build"
	"lorac/cmd/lorac/convert"
	"lorac/cmd/test/testkit"
	"lorac/codegen"
	"lorac/codegen/toolchain"
	"lorac/compiler/config"
	"lorac/runtime/weights/gguf"
)

// limitedJob is a job whose activations are most of its memory.
type limitedJob struct {
	t          *testing.T
	cfg        *config.Config
	dir, file  string
	base, rows string
	out        string
}

// newLimitedJob makes it, with some texts of its config replaced.
func newLimitedJob(t *testing.T, replaced ...string) *limitedJob {
	j := &limitedJob{t: t, dir: t.TempDir()}
	file := filepath.Join(j.dir, "middle.yaml")
	j.file = file
	text := strings.NewReplacer("seq_length: 12", "seq_length: 512\n    compute_dtype: bfloat16", "hidden_size: 16", "hidden_size: 256",
		"intermediate_size: 24", "intermediate_size: 704", "num_layers: 3", "num_layers: 5", "lora_dropout: 0.0", "lora_dropout: 0.1").Replace(tinyYAML)
	text = strings.NewReplacer(replaced...).Replace(text)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(file, []byte(text), 0o666))
	j.base, j.rows = filepath.Join(j.dir, "base"), filepath.Join(j.dir, "rows.jsonl")
	_, _, err := convert.SynthesizeBase(file, nil, j.base, "bf16", 1)
	must(err)
	rng := rand.New(rand.NewPCG(5, 6))
	var lines []byte
	for i := range 4 {
		ids := make([]int, 333+60*i) // the last step has the largest pass
		for i := range ids {
			ids[i] = 3 + rng.IntN(37)
		}
		line, _ := json.Marshal(map[string]any{"input_ids": ids, "labels": ids})
		lines = append(append(lines, line...), '\n')
	}
	must(os.WriteFile(j.rows, lines, 0o666))
	j.cfg, err = build.Load(file, nil)
	must(err)
	return j
}

func (j *limitedJob) target(limit int) build.Target {
	return build.Target{Weights: j.base, Args: []string{"--train_dataset_dir", j.rows}, Runs: true, Limit: limit}
}

var peakLine = regexp.MustCompile(`peak memory ([0-9.]+) MiB`)

// run trains under a limit and returns what was chosen, the bytes planned and
// the bytes measured.
func (j *limitedJob) run(limit int) (choice string, planned, measured int) {
	j.t.Helper()
	r, err := build.Compile(j.cfg, j.target(limit), build.Options{})
	if err != nil {
		j.t.Fatal(err)
	}
	choice, _ = r.Module.Setting("memory.choice").(string)
	bin, _, err := codegen.Build(filepath.Join(j.dir, fmt.Sprint("build", limit)), "middle", r.Module, toolchain.Here())
	if err != nil {
		j.t.Fatal(err)
	}
	j.out = filepath.Join(j.dir, fmt.Sprint("out", limit))
	text, err := testkit.Command(j.t, bin, "--load_checkpoint", j.base, "--train_dataset_dir", j.rows, "--output_dir", j.out).CombinedOutput()
	if err != nil {
		j.t.Fatalf("%v\n%s", err, text)
	}
	return choice, r.Process.Total, peakOf(j.t, string(text))
}

// TestMemoryLimit: trainers compiled for lower and lower limits stay below
// them, take what was planned, and give the same bits whatever they compute
// again.
func TestMemoryLimit(t *testing.T) {
	testkit.Slow(t, "memory")
	j := newLimitedJob(t)
	_, full, measured := j.run(0)
	check := func(what string, planned, measured int) {
		t.Helper()
		promised(t, what, planned, measured)
	}
	check("no limit", full, measured)
	bin := filepath.Join(j.dir, "build0", "middle")
	text, err := testkit.Command(t, bin, "--load_checkpoint", j.base, "--train_dataset_dir", j.rows, "--mem_limit", "64MiB").CombinedOutput()
	if err == nil {
		t.Error("a trainer for more memory than --mem_limit started")
	}
	mustContain(t, string(text), "more than --mem_limit allows", "lorac compile --mem_limit 64MiB")
	free := metricsOf(t, j.out)

	_, err = build.Compile(j.cfg, j.target(1<<20), build.Options{})
	if err == nil {
		t.Fatal("a limit of one MiB was accepted")
	}
	mustContain(t, err.Error(), "bytes more than the limit of 1.0 MiB", "= help: a smaller --batch_size makes smaller micro-batches", "--quant int4 saves about")
	lacks := regexp.MustCompile(`([0-9,]+) bytes more`).FindStringSubmatch(err.Error())
	n, _ := strconv.Atoi(strings.ReplaceAll(lacks[1], ",", ""))
	least := n + 1<<20

	want, choices := "", map[string]bool{}
	for i := range 3 {
		if i == 2 && !testkit.Wanted("memory") {
			continue
		}
		limit := least + (full-least)*i/3
		choice, planned, measured := j.run(limit)
		choices[choice] = true
		check(choice, planned, measured)
		if planned > limit {
			t.Errorf("limit %d: %d planned", limit, planned)
		}
		got := outcome(t, j.out)
		if want == "" {
			want = got
			for k, r := range metricsOf(t, j.out) {
				if math.Abs(r.Loss-free[k].Loss) > 0.01*free[k].Loss {
					t.Errorf("step %d: the loss is %v, %v without a limit", k+1, r.Loss, free[k].Loss)
				}
			}
		}
		sameOutcome(t, choice, want, got)
	}
	split := 0
	for c := range choices {
		if strings.Contains(c, " in layer") {
			split++
		}
	}
	if len(choices) < 2 || split == 0 {
		t.Errorf("limits chose %v; layers are split in %d", choices, split)
	}
}

// A file of mixed types is counted as it is: each layer in the type it has.
func TestPlanCountsMixedTypes(t *testing.T) {
	dir := t.TempDir()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	config := filepath.Join(dir, "small.yaml")
	must(os.WriteFile(config, []byte(strings.NewReplacer("hidden_size: 16", "hidden_size: 64", "intermediate_size: 24", "intermediate_size: 96").Replace(tinyYAML)), 0o666))
	_, _, err := convert.SynthesizeBase(config, nil, filepath.Join(dir, "base"), "f32", 1)
	must(err)
	files := map[string]*gguf.File{}
	for _, kind := range []string{"int8", "int4"} {
		out := filepath.Join(dir, kind)
		must((&convert.Quantize{Config: config, Base: filepath.Join(dir, "base"), Out: out, Quant: kind}).Run())
		files[kind], err = gguf.Open(filepath.Join(out, "model.gguf"))
		must(err)
		defer files[kind].Close()
	}
	var entries []gguf.Entry
	size := 0
	for _, x := range files["int4"].Tensors {
		if strings.HasPrefix(x.Name, "blk.1.") {
			x, _ = files["int8"].Tensor(x.Name)
		}
		if x.Name != "token_embd.weight" { // it is not mapped
			size += len(x.Data)
		}
		entries = append(entries, gguf.Entry{Name: x.Name, Type: x.Type, Shape: x.Shape, Write: func(w io.Writer) error {
			_, err := w.Write(x.Data)
			return err
		}})
	}
	mixed := filepath.Join(dir, "mixed.gguf")
	meta := []gguf.KV{{Key: "general.architecture", Value: "llama"}}
	for _, key := range []string{"llama.embedding_length", "llama.attention.head_count", "llama.attention.head_count_kv"} {
		n, _ := files["int4"].Meta[key].(uint64)
		meta = append(meta, gguf.KV{Key: key, Value: uint32(n)})
	}
	must(gguf.Write(mixed, meta, entries))
	cfg, err := build.Load(config, nil)
	must(err)
	r, err := build.Compile(cfg, build.Target{Weights: mixed}, build.Options{})
	must(err)
	planned := 0
	for _, p := range r.Process.Parts {
		if strings.HasPrefix(p.Name, "frozen weights") {
			planned += p.Bytes
		}
	}
	if planned != size {
		t.Errorf("planned %d bytes of frozen weights, those of the file take %d", planned, size)
	}
}
