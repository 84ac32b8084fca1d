package main

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/test/testkit"
	"lorac/codegen"
	"lorac/compiler"
	"lorac/ir"
)

// ranksText makes one process of a trainer that is one of several: each is a
// goroutine, and they sum over shared memory.
const ranksText = `package main

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"lorac/runtime/comm"
	rt "lorac/runtime/mesh"
)

type process struct {
	w *world
	n int
}

type world struct {
	mu   sync.Mutex
	cond *sync.Cond
	in   [][]float32
	sum  []float32
	came int
	turn int
}

func (r process) Rank() int { return r.n }
func (r process) Size() int { return len(r.w.in) }

func (r process) AllSum(x []float32, mem comm.Memory) error {
	w := r.w
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in[r.n] = x
	turn := w.turn
	if w.came++; w.came == len(w.in) {
		w.sum = append([]float32(nil), w.in[0]...)
		for _, other := range w.in[1:] {
			if len(other) != len(x) {
				return fmt.Errorf("one rank sums %d numbers, another %d", len(x), len(other))
			}
			mem.Add(w.sum, w.sum, other)
		}
		w.came = 0
		w.turn++
		w.cond.Broadcast()
	}
	for w.turn == turn {
		w.cond.Wait()
	}
	copy(x, w.sum)
	if w.came++; w.came == len(w.in) {
		w.came = 0
		w.turn++
		w.cond.Broadcast()
	}
	for w.turn == turn+1 {
		w.cond.Wait()
	}
	return nil
}

func main() {
	w := &world{in: make([][]float32, modelRanks)}
	w.cond = sync.NewCond(&w.mu)
	out := os.Args[1]
	var all sync.WaitGroup
	for n := range modelRanks {
		all.Add(1)
		go func() {
			defer all.Done()
			dir := filepath.Join(out, fmt.Sprint(n))
			if err := rt.Execute(process{w, n}, &job, append(os.Args[2:], "--output_dir", dir), os.Stdout, run, rt.Mesh{Model: modelRanks}); err != nil {
				fmt.Println("error:", err)
				os.Exit(1)
			}
		}()
	}
	all.Wait()
}
`

// meshTrainer builds the trainer of a job for ranks that share each layer.
func (x *tiny) meshTrainer(ranks int) string {
	x.t.Helper()
	r, err := compiler.Compile(x.cfg, &compiler.Target{Mesh: []ir.Axis{{Name: ir.Model, N: ranks}}})
	x.must(err)
	tree, err := codegen.Tree(r.Module)
	x.must(err)
	const start = "func main() {\n\trt.Main(&job, run, rt.Mesh{Model: modelRanks})\n}\n"
	text := string(tree["trainer/main.go"])
	if !strings.Contains(text, start) {
		x.t.Fatalf("main.go begins in another way:\n%s", text)
	}
	tree["trainer/main.go"] = []byte(strings.Replace(text, start, "", 1))
	tree["trainer/ranks.go"] = []byte(ranksText)
	dir := filepath.Join(x.dir, fmt.Sprint("mesh", ranks))
	for name, text := range tree {
		path := filepath.Join(dir, name)
		x.must(os.MkdirAll(filepath.Dir(path), 0o755))
		x.must(os.WriteFile(path, text, 0o644))
	}
	bin := filepath.Join(dir, "ranks")
	cmd := testkit.Command(x.t, "go", "build", "-trimpath", "-o", bin, "./trainer")
	cmd.Dir = dir
	if text, err := cmd.CombinedOutput(); err != nil {
		x.t.Fatalf("%v\n%s", err, text)
	}
	return bin
}

// runRanks trains on all ranks.
func (x *tiny) runRanks(bin, out string, args ...string) string {
	x.t.Helper()
	all := []string{out, "--load_checkpoint", filepath.Join(x.dir, "base"), "--train_dataset_dir", filepath.Join(x.dir, "rows.jsonl"), "--threads", "1"}
	text, err := testkit.Command(x.t, bin, append(all, args...)...).CombinedOutput()
	if err != nil {
		x.t.Fatalf("%v\n%s", err, text)
	}
	return string(text)
}

// adapterOf is the file of a written adapter.
func (x *tiny) adapterOf(out string) []byte {
	x.t.Helper()
	text, err := os.ReadFile(filepath.Join(out, "adapter", "adapter_model.safetensors"))
	x.must(err)
	return text
}

// TestMeshTrainer: ranks that share each layer train as one process does, to
// rounding; what they write is whole, the same on all, and can be resumed.
func TestMeshTrainer(t *testing.T) {
	testkit.Slow(t, "passes")
	const mc, pet = "model.model_config.", "model.model_config.pet_config."
	for name, set := range map[string]map[string]string{
		"all seven": {pet + "target_modules": ".*w1|.*w2|.*w3|.*wq|.*wk|.*wv|.*wo", pet + "lora_dropout": "0.3"},
		"grouped":   {mc + "n_kv_heads": "2", pet + "target_modules": ".*wk|.*wo", mc + "tie_word_embeddings": "True"},
		"full":      {"full": "", mc + "n_kv_heads": "2"},
		"biases":    {mc + "n_kv_heads": "2", mc + "qkv_has_bias": "True", mc + "attn_proj_has_bias": "True", mc + "mlp_has_bias": "True", pet + "target_modules": ".*wq|.*w2", pet + "freeze_exclude": "['*.wv.bias', '*.1.*bias']"},
		"concat":    {mc + "qkv_concat": "True", mc + "n_kv_heads": "2", pet + "target_modules": ".*w_qkv|.*w2"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newTiny(t, set)
			n := 2
			if name == "all seven" {
				n = 4
			}
			bin := x.meshTrainer(n)
			one, out := filepath.Join(x.dir, "one"), filepath.Join(x.dir, "ranks.out")
			run := func(out string, args ...string) string {
				args = append(args, "--load_checkpoint", filepath.Join(x.dir, "base"), "--train_dataset_dir", filepath.Join(x.dir, "rows.jsonl"), "--output_dir", out, "--threads", "1")
				text, err := testkit.Command(t, x.bin, args...).CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, text)
				}
				return string(text)
			}
			run(one, "--epochs", "2")
			x.runRanks(bin, out, "--epochs", "2")
			agree := func(want, got []record) {
				t.Helper()
				if len(got) != len(want) || len(got) < 6 {
					t.Fatalf("%d steps, not %d", len(got), len(want))
				}
				for i := range want {
					if d := math.Abs(got[i].Loss-want[i].Loss) / want[i].Loss; d > 1e-5 {
						t.Errorf("step %d: loss %v, not %v", i+1, got[i].Loss, want[i].Loss)
					}
					if d := math.Abs(got[i].GradNorm-want[i].GradNorm) / want[i].GradNorm; d > 1e-4 {
						t.Errorf("step %d: norm %v, not %v", i+1, got[i].GradNorm, want[i].GradNorm)
					}
				}
			}
			for rank := range n {
				agree(metricsOf(t, one), metricsOf(t, filepath.Join(out, fmt.Sprint(rank))))
			}
			if x.cfg.LoRA == nil {
				return
			}
			if !bytes.Equal(x.adapterOf(filepath.Join(out, "0")), x.adapterOf(filepath.Join(out, fmt.Sprint(n-1)))) {
				t.Error("the adapter differs between ranks")
			}
			// What the ranks wrote is evaluated by one process as they do it.
			eval := []string{"--run_mode", "eval", "--eval_dataset_dir", filepath.Join(x.dir, "rows.jsonl"), "--load_adapter", filepath.Join(out, "0", "adapter")}
			said := evalLine.FindStringSubmatch(run(filepath.Join(x.dir, "eval"), eval...))
			all := evalLine.FindAllStringSubmatch(x.runRanks(bin, filepath.Join(x.dir, "eval.ranks"), eval...), -1)
			if len(all) != n {
				t.Errorf("%d of %d ranks say what they evaluate", len(all), n)
			}
			for _, m := range all {
				var want, got float64
				if said != nil {
					fmt.Sscan(said[1], &want)
				}
				if fmt.Sscan(m[1], &got); math.Abs(got-want) > 1e-4 {
					t.Errorf("ranks evaluate to %v, one process to %v", m, said)
				}
			}
			// The first step has a rate of zero: adapters begin with the same bits.
			still, ranks := filepath.Join(x.dir, "still"), filepath.Join(x.dir, "still.ranks")
			run(still, "--steps", "1")
			x.runRanks(bin, ranks, "--steps", "1")
			if !bytes.Equal(x.adapterOf(filepath.Join(ranks, "0")), x.adapterOf(still)) {
				t.Error("the adapter begins otherwise on ranks")
			}
			// A run of one process resumes on ranks: checkpoints are whole.
			resumed := filepath.Join(x.dir, "resumed")
			for rank := range n {
				x.must(os.CopyFS(filepath.Join(resumed, fmt.Sprint(rank)), os.DirFS(still)))
			}
			x.runRanks(bin, resumed, "--steps", "6", "--resume_training", "True")
			run(still, "--steps", "6", "--resume_training", "True")
			agree(metricsOf(t, still), metricsOf(t, filepath.Join(resumed, "1")))
		})
	}
}
