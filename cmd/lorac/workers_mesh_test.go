package main

import (
	"bytes"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"lorac/cmd/lorac/mpi"
	"lorac/cmd/test/mpitest"
	"lorac/cmd/test/testkit"
)

// wide is a job of more layers than stages, of which every linear has an adapter.
func wide(t *testing.T, more map[string]string) *shared {
	const mc = "model.model_config."
	return newShared(t, merged(map[string]string{mc + "num_layers": "5", mc + "pet_config.target_modules": ".*w1|.*w2|.*w3|.*wq|.*wk|.*wv|.*wo"}, more))
}

// Processes that have the layers in turn come to the bits of one process.
func TestPipelineSameBits(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := wide(t, nil)
	mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
		for _, mesh := range []string{"pp=2", "pp=3", "pp=5", "dp=2,pp=2", "dp=3,pp=2"} {
			out := filepath.Join(t.TempDir(), "out")
			text, err := under(x.finetune(out, "--mesh", mesh), l).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", mesh, err, text)
			}
			sameOutcome(t, mesh, x.alone(), outcome(t, out))
		}
	})
}

// A unit without rows, and stages in which nothing trains, change nothing.
func TestPipelineUneven(t *testing.T) {
	testkit.Slow(t, "mpi")
	for _, set := range []map[string]string{
		{"devices": "3", "train_dataset.drop_remainder": "False"},
		{"model.model_config.pet_config.exclude_layers": "['layers.0', 'layers.1']"},
		{"devices": "1", "runner_config.batch_size": "4", "model.model_config.tie_word_embeddings": "True"},
	} {
		x := wide(t, set)
		for _, mesh := range []string{"pp=3", "dp=2,pp=2"} {
			out := filepath.Join(t.TempDir(), "out")
			text, err := x.finetune(out, "--mesh", mesh).CombinedOutput()
			if err != nil {
				t.Fatalf("%v, %s: %v\n%s", set, mesh, err, text)
			}
			sameOutcome(t, mesh, x.alone(), outcome(t, out))
		}
	}
}

// Layers that a process does not compute with are not made eight bits of.
func TestPipelineOfEightBits(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := wide(t, map[string]string{"compute": "int8"})
	var came []string
	for _, args := range [][]string{nil, {"--mesh", "pp=2"}} {
		out := filepath.Join(t.TempDir(), "out")
		if text, err := x.finetune(out, append(args, "--allow_slow", "True", "--steps", "6")...).CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		came = append(came, outcome(t, out))
	}
	sameOutcome(t, "pp=2", came[0], came[1])
}

// losses are those of the steps of a run.
func losses(t *testing.T, text string) (out []float64) {
	t.Helper()
	for line := range strings.Lines(text) {
		var m struct{ Loss *float64 }
		if json.Unmarshal([]byte(strings.TrimSpace(line)+"}"), &m) == nil && m.Loss != nil {
			out = append(out, *m.Loss)
		}
	}
	return out
}

// Where processes share each layer of a stage, too, they come to the same to rounding.
func TestPipelineOfParts(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := wide(t, nil)
	mpitest.Each(t, func(t *testing.T, l mpi.Launcher) {
		for _, mesh := range []string{"pp=2,mp=2", "dp=2,pp=2,mp=2"} {
			out := filepath.Join(t.TempDir(), "out")
			text, err := under(x.finetune(out, "--mesh", mesh), l).CombinedOutput()
			if err != nil {
				t.Fatalf("%s: %v\n%s", mesh, err, text)
			}
			want, got := losses(t, x.alone()), losses(t, outcome(t, out))
			if len(want) != len(got) || len(want) < 6 {
				t.Fatalf("%s: %d steps, not %d", mesh, len(got), len(want))
			}
			for i := range want {
				if math.Abs(got[i]-want[i]) > 1e-5*want[i] {
					t.Errorf("%s: step %d: loss %v, not %v", mesh, i+1, got[i], want[i])
				}
			}
		}
	})
}

// A run of stages resumes on one process, and one of one process on stages.
func TestPipelineResumes(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := wide(t, nil)
	for _, order := range [][]string{{"--mesh pp=2", "", "--mesh pp=3"}, {"", "--mesh dp=2,pp=2", "--workers 3"}} {
		out := filepath.Join(t.TempDir(), "out")
		for i, how := range order {
			args := append(strings.Fields(how), "--resume_training", "True")
			if i < 2 {
				args = append(args, "--steps", []string{"5", "11"}[i])
			}
			if text, err := x.finetune(out, args...).CombinedOutput(); err != nil {
				t.Fatalf("%q: %v\n%s", how, err, text)
			}
		}
		sameOutcome(t, strings.Join(order, ", then "), x.alone(), outcome(t, out))
	}
}

// A whole model trains on stages, with evaluations; embedding, head and norms are of the
// first and the last one.
func TestPipelineOfModel(t *testing.T) {
	testkit.Slow(t, "mpi")
	for _, set := range []map[string]string{
		{},
		{"model.model_config.n_kv_heads": "2", "runner_wrapper.use_clip_grad": "False", "optimizer.type": "Lamb"},
	} {
		x := wide(t, merged(set, map[string]string{"model.model_config.pet_config.freeze_exclude": "['*']", "do_eval": "True", "eval_step_interval": "4"}))
		eval := []string{"--eval_dataset_dir", filepath.Join(x.dir, "rows.jsonl")}
		one, out := filepath.Join(x.dir, "one"), filepath.Join(x.dir, "out")
		for dir, args := range map[string][]string{one: nil, out: {"--mesh", "pp=2"}} {
			if text, err := x.finetune(dir, append(args, eval...)...).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
		}
		sameOutcome(t, "pp=2", outcome(t, one), outcome(t, out))
		if text, _ := os.ReadFile(filepath.Join(out, "metrics.jsonl")); !bytes.Contains(text, []byte("eval_loss")) {
			t.Error("nothing was evaluated")
		}
	}
}

// Texts and evaluations are those of one process.
func TestPipelineTexts(t *testing.T) {
	testkit.Slow(t, "mpi")
	x := wide(t, nil)
	file := (&limitedJob{t: t, dir: x.dir}).tokenizer(40)
	changeFile(t, file, func(b []byte) []byte {
		return bytes.ReplaceAll(b, []byte(`"byte_fallback": true`), []byte(`"byte_fallback": false`))
	})
	texts := func(args ...string) (out string) {
		t.Helper()
		for _, past := range []string{"True", "False"} {
			dir := filepath.Join(t.TempDir(), "out")
			all := append([]string{"--run_mode", "predict", "--tokenizer", file, "--save_file=", "--max_length", "11", "--predict_data", "abc", "--predict_data", "zz", "--use_past", past}, args...)
			if text, err := x.finetune(dir, all...).CombinedOutput(); err != nil {
				t.Fatalf("%q: %v\n%s", args, err, text)
			}
			text, err := os.ReadFile(filepath.Join(dir, "text_generation_result.txt"))
			x.must(err)
			out += string(text)
		}
		return out
	}
	if want, got := texts(), texts("--mesh", "dp=2,pp=2"); want != got || len(want) < 20 {
		t.Errorf("%q, not %q", got, want)
	}
}
